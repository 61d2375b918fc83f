/* handlers.c -- the small routes: models, tokens, health. */
#include "server/handlers.h"

#include "server/chat.h"
#include "server/form.h"
#include "server/metrics.h"
#include "server/usage.h"

#include <stdio.h>
#include <string.h>

/* A step of the model that has not ended for so long means that it hangs. */
#define MAX_STEP_SECONDS 120.0

static bool handle_generation(struct exchange *exchange, const struct answer_format *format,
                              struct api_error *error)
{
    struct request request = {0};

    if (exchange_request(exchange, &request, error))
        return exchange_generate(exchange, &request, format, error);
    request_clear(&request);
    return false;
}

bool handle_chat(struct exchange *exchange, struct api_error *error)
{
    return handle_generation(exchange, &chat_format, error);
}

bool handle_completions(struct exchange *exchange, struct api_error *error)
{
    return handle_generation(exchange, &completion_format, error);
}

bool handle_embeddings(struct exchange *exchange, struct api_error *error)
{
    return handle_generation(exchange, &embedding_format, error);
}

bool handle_responses(struct exchange *exchange, struct api_error *error)
{
    return handle_generation(exchange, &response_format, error);
}

static json_t *model_json(const struct server *server)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:I}", "id", server->model_name, "object",
                     "model", "created", (json_int_t)server->start_time, "owned_by", "upg",
                     "max_model_len", (json_int_t)server->context, "parameters",
                     (json_int_t)server->info.n_parameters, "vocabulary",
                     (json_int_t)server->info.n_vocab);
}

bool handle_models(struct exchange *exchange, struct api_error *error)
{
    (void)error;
    return reply_json(
        exchange, MHD_HTTP_OK,
        json_pack("{s:s, s:[o]}", "object", "list", "data", model_json(exchange->server)));
}

bool handle_model(struct exchange *exchange, struct api_error *error)
{
    const char *name = exchange->path + strlen("/v1/models/");

    if (strcmp(name, exchange->server->model_name) == 0)
        return reply_json(exchange, MHD_HTTP_OK, model_json(exchange->server));
    error->code = "model_not_found";
    return api_fail(error, MHD_HTTP_NOT_FOUND, "model",
                    "there is no model '%.100s' here; this server has '%s'", name,
                    exchange->server->model_name);
}

/* The tokens of a text, or of a conversation in the chat template. */
static bool find_tokens(const struct server *server, const struct request *request,
                        upg_tokens *tokens, struct api_error *error)
{
    upg_error cause;
    upg_status status;

    if (request->n_messages > 0)
        status = upg_chat_render(server->tokenizer, request->messages, request->n_messages,
                                 request->add_generation_prompt ? 1 : 0, tokens, NULL, &cause);
    else
        status = upg_tokenize(
            server->tokenizer, request->prompts[0].text, request->prompts[0].n_text_bytes,
            request->parse_special ? UPG_TEXT_PARSE_SPECIAL : UPG_TEXT_PLAIN, tokens, &cause);
    return status == UPG_OK || api_fail_library(error, NULL, &cause);
}

static json_t *tokens_json(const struct server *server, const upg_tokens *tokens, bool with_pieces)
{
    json_t *array = json_array();

    for (size_t i = 0; i < tokens->n; i++) {
        json_t *id = json_integer(tokens->ids[i]);
        if (with_pieces) {
            const char *bytes;
            size_t n;
            upg_token_bytes(server->tokenizer, tokens->ids[i], 0, &bytes, &n);
            id = json_pack("{s:o, s:o}", "id", id, "piece", text_json(bytes, n));
        }
        json_array_append_new(array, id);
    }
    return array;
}

bool handle_tokenize(struct exchange *exchange, struct api_error *error)
{
    const struct server *server = exchange->server;
    struct request request = {0};
    upg_tokens tokens = {0};
    bool is_good = exchange_request(exchange, &request, error) &&
                   find_tokens(server, &request, &tokens, error);

    if (is_good)
        is_good = reply_json(exchange, MHD_HTTP_OK,
                             json_pack("{s:o, s:I, s:I}", "tokens",
                                       tokens_json(server, &tokens, request.with_pieces), "count",
                                       (json_int_t)tokens.n, "max_model_len",
                                       (json_int_t)server->context));
    upg_tokens_clear(&tokens);
    request_clear(&request);
    return is_good;
}

static bool find_text(const struct server *server, const struct request *request,
                      struct text_buffer *text, struct api_error *error)
{
    const size_t n_ids = upg_tokenizer_n_ids(server->tokenizer);

    for (size_t i = 0; i < request->tokens.n; i++) {
        const int32_t id = request->tokens.ids[i];
        const char *bytes;
        size_t n;
        if ((size_t)id >= n_ids)
            return api_fail(error, 400, "tokens", "token %d does not exist; there are %zu", id,
                            n_ids);
        upg_token_bytes(server->tokenizer, id, !request->keep_special, &bytes, &n);
        text_buffer_add(text, bytes, n);
    }
    return !text->failed || api_fail_memory(error);
}

bool handle_detokenize(struct exchange *exchange, struct api_error *error)
{
    struct request request = {0};
    struct text_buffer text = {0};
    bool is_good = exchange_request(exchange, &request, error) &&
                   find_text(exchange->server, &request, &text, error);

    if (is_good) {
        json_t *content = text_json(text.bytes, text.n);
        is_good = reply_json(exchange, MHD_HTTP_OK,
                             json_pack("{s:O, s:o}", "content", content, "prompt", content));
    }
    text_buffer_clear(&text);
    request_clear(&request);
    return is_good;
}

static bool is_stuck(const struct server *server)
{
    upg_scheduler_stats stats = {.size = sizeof stats};

    upg_scheduler_get_stats(server->scheduler, &stats);
    return stats.step_age_seconds > MAX_STEP_SECONDS;
}

/* Never waits for the model: a scheduler that hangs must not hang this as well. */
bool handle_health(struct exchange *exchange, struct api_error *error)
{
    if (is_stuck(exchange->server))
        return api_fail(error, MHD_HTTP_SERVICE_UNAVAILABLE, NULL,
                        "the model has not ended a step for %.0f seconds", MAX_STEP_SECONDS);
    return reply_json(exchange, MHD_HTTP_OK, json_pack("{s:s}", "status", "ok"));
}

bool handle_ready(struct exchange *exchange, struct api_error *error)
{
    if (atomic_load(&exchange->server->is_draining))
        return api_fail(error, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "the server is shutting down");
    return handle_health(exchange, error);
}
