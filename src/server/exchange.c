/* exchange.c -- replies. */
#include "server/exchange.h"

#include "server/cross_origin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_BLOCK_BYTES = 8192 };

static bool queue(struct exchange *exchange, int status, const char *content_type,
                  struct MHD_Response *response)
{
    enum MHD_Result result;

    if (!response)
        return false;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, "X-Request-Id", exchange->id);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (!exchange->is_static)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    add_cross_origin_headers(exchange, response);
    if (atomic_load(&exchange->server->is_draining))
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    exchange->status = status;
    result = MHD_queue_response(exchange->http, (unsigned)status, response);
    MHD_destroy_response(response); /* the connection holds a reference of its own */
    return result == MHD_YES;
}

bool reply_text(struct exchange *exchange, int status, const char *content_type,
                struct text_buffer *body)
{
    struct MHD_Response *response = NULL;

    if (!body->failed)
        response = MHD_create_response_from_buffer(body->n, body->bytes, MHD_RESPMEM_MUST_FREE);
    if (!response)
        text_buffer_clear(body);
    memset(body, 0, sizeof *body);
    return queue(exchange, status, content_type, response);
}

bool reply_static(struct exchange *exchange, const char *content_type, const void *bytes, size_t n)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(n, (void *)bytes, MHD_RESPMEM_PERSISTENT);

    if (response)
        add_page_headers(response);
    exchange->is_static = true;
    return queue(exchange, MHD_HTTP_OK, content_type, response);
}

static int add_bytes(const char *bytes, size_t n, void *body)
{
    text_buffer_add(body, bytes, n);
    return 0;
}

static bool write_document(struct text_buffer *body, json_t *document)
{
    if (!document || json_dump_callback(document, add_bytes, body, JSON_COMPACT) != 0)
        body->failed = true;
    text_buffer_add_text(body, "\n");
    json_decref(document);
    return !body->failed;
}

bool reply_json(struct exchange *exchange, int status, json_t *document)
{
    struct text_buffer body = {0};

    write_document(&body, document);
    return reply_text(exchange, status, "application/json", &body);
}

bool reply_error(struct exchange *exchange, const struct api_error *error)
{
    struct text_buffer body = {0};
    struct MHD_Response *response = NULL;
    char seconds[16];

    if (write_document(&body, api_error_json(error)))
        response = MHD_create_response_from_buffer(body.n, body.bytes, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        text_buffer_clear(&body);
        return false;
    }
    if (error->retry_after_s > 0) {
        snprintf(seconds, sizeof seconds, "%u", error->retry_after_s);
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    }
    if (error->http_status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (exchange->allowed_methods[0])
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, exchange->allowed_methods);
    return queue(exchange, error->http_status, "application/json", response);
}

static ssize_t read_stream(void *context, uint64_t position, char *bytes, size_t max)
{
    struct exchange *exchange = context;

    (void)position;
    return generation_read_stream(exchange->generation, exchange->http, bytes, max);
}

bool reply_stream(struct exchange *exchange)
{
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, read_stream, exchange, NULL);

    if (response) /* a proxy must not collect what is meant to be seen at once */
        MHD_add_response_header(response, "X-Accel-Buffering", "no");
    exchange->is_streaming = true;
    return queue(exchange, MHD_HTTP_OK, "text/event-stream; charset=utf-8", response);
}

static bool check_model(const struct server *server, const char *name, struct api_error *error)
{
    if (!name || strcmp(name, server->model_name) == 0)
        return true;
    error->code = "model_not_found";
    return api_fail(error, MHD_HTTP_NOT_FOUND, "model",
                    "there is no model '%.100s' here; this server has '%s'", name,
                    server->model_name);
}

bool exchange_request(struct exchange *exchange, struct request *request, struct api_error *error)
{
    const bool is_good =
        request_parse(request, exchange->endpoint, exchange->body.bytes ? exchange->body.bytes : "",
                      exchange->body.n, error) &&
        check_model(exchange->server, request->model, error);

    text_buffer_clear(&exchange->body);
    return is_good;
}

/* Users of one key, or of one address, take turns like clients of their own. */
static uint64_t client_number(const struct exchange *exchange, const char *user)
{
    uint64_t hash = exchange->client;

    for (; user && *user; user++) /* FNV-1a */
        hash = (hash ^ (unsigned char)*user) * 1099511628211U;
    return hash;
}

bool exchange_generate(struct exchange *exchange, struct request *request,
                       const struct answer_format *format, struct api_error *error)
{
    struct server *server = exchange->server;
    const uint64_t client = client_number(exchange, request->user);
    struct generation *generation = generation_new(server, request, format, error);

    if (!generation)
        return false;
    exchange->generation = generation;
    if (!generation_submit(generation, client, error))
        return false;
    if (exchange->connection)
        connection_set_generation(&server->connections, exchange->connection, generation);
    if (generation->request.stream)
        return reply_stream(exchange);
    return generation_sleep_until_finished(generation, exchange->http) || exchange_finish(exchange);
}

bool exchange_finish(struct exchange *exchange)
{
    struct api_error error = {0};

    if (!generation_check(exchange->generation, &error))
        return reply_error(exchange, &error);
    return reply_json(exchange, MHD_HTTP_OK,
                      exchange->generation->format->document(exchange->generation));
}
