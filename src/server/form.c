/* form.c -- the form of an answer. */
#include "server/form.h"

#include "server/state.h"

#include <stdlib.h>
#include <string.h>

bool form_render(const struct generation *generation, upg_tokens *tokens, struct api_error *error)
{
    const struct request *request = &generation->request;
    const size_t n_extra = request->instructions ? 1 : 0;
    upg_message *messages = calloc(request->n_messages + n_extra, sizeof *messages);
    upg_error cause;
    upg_status status;

    if (!messages)
        return api_fail_memory(error);
    if (n_extra > 0)
        messages[0] = (upg_message){.role = "system", .content = request->instructions};
    memcpy(messages + n_extra, request->messages, request->n_messages * sizeof *messages);
    status = upg_chat_render(generation->server->tokenizer, messages, request->n_messages + n_extra,
                             1, tokens, NULL, &cause);
    free(messages);
    return status == UPG_OK ||
           api_fail_library(error, request->endpoint == ENDPOINT_CHAT ? "messages" : "input",
                            &cause);
}

bool form_constrain(const struct generation *generation, upg_token_filter *filter,
                    struct api_error *error)
{
    const struct request *request = &generation->request;

    memset(filter, 0, sizeof *filter);
    if (request->format != FORMAT_TEXT)
        return api_fail(error, 400, "response_format",
                        "response_format: only text is supported by this server");
    if (request->tools && request->tool_use != TOOLS_NONE)
        return api_fail(error, 400, "tools", "tools are not supported by this server");
    return true;
}

bool form_has_tools(const struct request *request)
{
    return request->tools && request->tool_use != TOOLS_NONE;
}
