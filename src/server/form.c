/* form.c -- the form of an answer: JSON, JSON of a schema, function calls. */
#include "server/form.h"

#include "server/call_filter.h"
#include "server/grammars.h"
#include "server/state.h"
#include "server/tool_prompt.h"

#include <stdlib.h>
#include <string.h>

bool form_has_tools(const struct request *request)
{
    return request->tools && request->tool_use != TOOLS_NONE;
}

bool form_render(const struct generation *generation, upg_tokens *tokens, struct api_error *error)
{
    struct conversation conversation = {0};
    upg_error cause;
    bool is_good =
        conversation_init(&conversation, &generation->request, generation->server, error);

    if (is_good && upg_chat_render(generation->server->tokenizer, conversation.messages,
                                   conversation.n_messages, 1, tokens, NULL, &cause) != UPG_OK)
        is_good = api_fail_library(
            error, generation->request.endpoint == ENDPOINT_CHAT ? "messages" : "input", &cause);
    conversation_clear(&conversation);
    return is_good;
}

/* The field that a message about the form names. */
static const char *field_name(const struct request *request)
{
    if (form_has_tools(request))
        return "tools";
    return request->endpoint == ENDPOINT_RESPONSES ? "text.format" : "response_format";
}

static json_t *schema_json(const struct request *request)
{
    if (form_has_tools(request))
        return calls_schema(request);
    if (request->format == FORMAT_JSON_OBJECT)
        return json_pack("{s:s}", "type", "object");
    return json_pack("O", request->schema);
}

bool form_schema(const struct request *request, char **schema, struct api_error *error)
{
    json_t *document;

    *schema = NULL;
    if (form_has_tools(request) && request->format != FORMAT_TEXT)
        return api_fail(error, 400, field_name(request),
                        "tools cannot be combined with a format of the text");
    if (!form_has_tools(request) && request->format == FORMAT_TEXT)
        return true;
    document = schema_json(request);
    *schema = document ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    return *schema || api_fail_memory(error);
}

bool form_filter(const struct generation *generation, const char *schema, upg_token_filter *filter,
                 struct api_error *error)
{
    const struct request *request = &generation->request;
    const bool has_tools = form_has_tools(request);
    upg_constraint *constraint;
    upg_error cause;
    upg_status status;

    memset(filter, 0, sizeof *filter);
    if (!schema)
        return true;
    status = grammars_constraint(&generation->server->grammars, schema,
                                 has_tools ? UPG_WHITESPACE_COMPACT : UPG_WHITESPACE_FLEXIBLE,
                                 &constraint, &cause);
    if (status == UPG_ERR_FORMAT || status == UPG_ERR_UNSUPPORTED || status == UPG_ERR_ARGUMENT) {
        error->code = "invalid_json_schema";
        return api_fail(error, 400, field_name(request), "%s", cause.message);
    }
    if (status != UPG_OK)
        return api_fail_library(error, NULL, &cause);
    if (has_tools && request->tool_use == TOOLS_AUTO)
        return call_filter(filter, constraint, generation->server->tokenizer, error);
    *filter = upg_constraint_filter(constraint);
    return true;
}
