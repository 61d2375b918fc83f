/* http.c -- libmicrohttpd: its threads, its callbacks, its rules.
 *
 * The life of an exchange: receive() is called when the headers are there, for each piece of the
 * body, when all of it is there, and again when a suspended connection goes on; completed() once, at
 * the end, however it ends.  A body is taken in whole before anything is answered: a client that is
 * still sending would not read the answer. */
#include "server/http.h"

#include "server/exchange.h"
#include "server/log.h"
#include "server/random_id.h"
#include "server/routes.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    N_THREADS = 2,            /* reading and writing is little work beside the model */
    HEADER_BYTES = 32 * 1024, /* of a connection: request line, headers, reply headers */
    THREAD_STACK_BYTES = 2 * 1024 * 1024, /* the JSON parser recurses */
    REFUSED_BODIES = 8 /* a body up to so many times too large is read, so that the client can be
                          told; beyond that the connection is cut */
};

static struct connection *connection_of(struct MHD_Connection *http)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(http, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

static struct exchange *begin_exchange(struct server *server, struct MHD_Connection *http,
                                       const char *method, const char *path)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);

    if (!exchange)
        return NULL;
    exchange->server = server;
    exchange->http = http;
    exchange->connection = connection_of(http);
    exchange->begun = monotonic_seconds();
    random_id(exchange->id, sizeof exchange->id, "req-");
    snprintf(exchange->method, sizeof exchange->method, "%s", method);
    snprintf(exchange->path, sizeof exchange->path, "%s", path);
    atomic_fetch_add(&server->n_exchanges, 1);
    if (exchange->connection)
        connection_set_deadline(&server->connections, exchange->connection,
                                exchange->begun + server->options.request_timeout_s);
    route_exchange(exchange, method, path);
    return exchange;
}

/* Keep a piece of the body, or only count it.  false: it is far too long. */
static bool take_body(struct exchange *exchange, const char *bytes, size_t n)
{
    const size_t limit = exchange->server->options.max_body_bytes;

    exchange->n_received += n;
    if (exchange->n_received / REFUSED_BODIES > limit)
        return false;
    if (exchange->n_received > limit) {
        exchange->handler = NULL;
        exchange->refusal = (struct api_error){0};
        api_fail(&exchange->refusal, MHD_HTTP_CONTENT_TOO_LARGE, NULL,
                 "the body is larger than %zu bytes", limit);
        text_buffer_clear(&exchange->body);
    } else if (exchange->handler) {
        text_buffer_add(&exchange->body, bytes, n);
    }
    return !exchange->body.failed;
}

/* The request is complete. */
static bool answer(struct exchange *exchange)
{
    struct server *server = exchange->server;
    struct api_error error = exchange->refusal;

    exchange->is_received = true;
    if (exchange->connection)
        connection_set_deadline(&server->connections, exchange->connection, INFINITY);
    if (exchange->handler && exchange->endpoint != 0 && atomic_load(&server->is_draining)) {
        error.retry_after_s = 1;
        api_fail(&error, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "the server is shutting down");
    } else if (exchange->handler) {
        memset(&error, 0, sizeof error);
        if (exchange->handler(exchange, &error))
            return true;
        if (error.http_status == 0) /* the reply could not be made: memory is out */
            return false;
    }
    return reply_error(exchange, &error);
}

static enum MHD_Result receive(void *context, struct MHD_Connection *http, const char *path,
                               const char *method, const char *version, const char *body,
                               size_t *n_body, void **state)
{
    struct server *server = context;
    struct exchange *exchange = *state;
    bool is_good = true;

    (void)version;
    if (!exchange) {
        *state = exchange = begin_exchange(server, http, method, path);
        return exchange ? MHD_YES : MHD_NO;
    }
    if (*n_body > 0) {
        is_good = take_body(exchange, body, *n_body);
        *n_body = 0;
    } else if (!exchange->is_received) {
        is_good = answer(exchange);
    } else if (exchange->generation && exchange->status == 0) {
        is_good = exchange_finish(exchange);
    }
    return is_good ? MHD_YES : MHD_NO;
}

static void completed(void *context, struct MHD_Connection *http, void **state,
                      enum MHD_RequestTerminationCode code)
{
    struct server *server = context;
    struct exchange *exchange = *state;

    (void)http;
    if (!exchange)
        return;
    if (exchange->connection) {
        connection_set_generation(&server->connections, exchange->connection, NULL);
        connection_set_deadline(&server->connections, exchange->connection,
                                monotonic_seconds() + server->options.idle_timeout_s +
                                    server->options.request_timeout_s);
    }
    if (exchange->generation)
        generation_abandon(exchange->generation);
    log_exchange(exchange, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    metrics_count_exchange(&server->metrics, exchange->endpoint, exchange->status,
                           monotonic_seconds() - exchange->begun);
    if (exchange->generation)
        generation_release(exchange->generation);
    text_buffer_clear(&exchange->body);
    free(exchange);
    *state = NULL;
    atomic_fetch_sub(&server->n_exchanges, 1);
}

static void connection_changed(void *context, struct MHD_Connection *http, void **state,
                               enum MHD_ConnectionNotificationCode code)
{
    struct server *server = context;
    const union MHD_ConnectionInfo *info;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        info = MHD_get_connection_info(http, MHD_CONNECTION_INFO_CONNECTION_FD);
        *state = connections_add(&server->connections, info->connect_fd,
                                 monotonic_seconds() + server->options.request_timeout_s);
    } else if (*state) {
        connections_remove(&server->connections, *state);
        *state = NULL;
    }
}

/* Percent signs in paths; a path with a zero byte stays as it is, and leads nowhere. */
static size_t unescape(void *context, struct MHD_Connection *http, char *text)
{
    (void)context;
    (void)http;
    return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

/* libmicrohttpd ends the program on what it takes for a misuse of it; say at least where. */
static void panic(void *context, const char *file, unsigned int line, const char *reason)
{
    (void)context;
    fprintf(stderr, "upg: error: libmicrohttpd: %s:%u: %s\n", file, line, reason ? reason : "?");
    abort();
}

static void ignore_message(void *context, const char *format, va_list arguments)
{
    (void)context; /* what clients do wrong on the lowest level is no news to anyone */
    (void)format;
    (void)arguments;
}

upg_status http_start(struct server *server, upg_error *err)
{
    const struct server_options *options = &server->options;
    const bool has_tls = options->certificate != NULL;
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)options->certificate},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)options->private_key},
                                   {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

    MHD_set_panic_func(panic, NULL);
    if (has_tls && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
        return server_fail(err, UPG_ERR_UNSUPPORTED,
                           "this libmicrohttpd has no TLS; put a proxy with TLS in front");
    if (server_listen(server, err) != UPG_OK)
        return err ? err->status : UPG_ERR_IO;
    server->daemon = MHD_start_daemon(
        MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
            (has_tls ? MHD_USE_TLS : 0),
        0, NULL, NULL, receive, server, MHD_OPTION_EXTERNAL_LOGGER, ignore_message, NULL,
        MHD_OPTION_LISTEN_SOCKET, server->listen_fd, MHD_OPTION_NOTIFY_COMPLETED, completed, server,
        MHD_OPTION_NOTIFY_CONNECTION, connection_changed, server, MHD_OPTION_THREAD_POOL_SIZE,
        (unsigned)N_THREADS, MHD_OPTION_CONNECTION_LIMIT, (unsigned)options->max_connections,
        MHD_OPTION_CONNECTION_TIMEOUT, options->idle_timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEADER_BYTES, MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK_BYTES,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
        MHD_OPTION_ARRAY, has_tls ? tls : none, MHD_OPTION_END);
    if (!server->daemon)
        return server_fail(err, UPG_ERR_IO, "cannot start the HTTP server%s: %s",
                           has_tls ? " (are certificate and key PEM files that belong together?)"
                                   : "",
                           errno != 0 ? strerror(errno) : "unknown reason");
    return UPG_OK;
}

void http_close_port(struct server *server)
{
    if (server->daemon)
        MHD_quiesce_daemon(server->daemon);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    server->listen_fd = -1;
}

void http_stop(struct server *server)
{
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
}
