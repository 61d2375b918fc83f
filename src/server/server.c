/* server.c -- starting and stopping. */
#include "server/server.h"

#include "server/http.h"
#include "server/log.h"
#include "server/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What a client that does not take its last bytes can delay the end by. */
#define LAST_BYTES_SECONDS 5.0

upg_status server_fail(upg_error *err, upg_status status, const char *format, ...)
{
    va_list arguments;

    if (err) {
        err->status = status;
        va_start(arguments, format);
        vsnprintf(err->message, sizeof err->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

void server_options_defaults(struct server_options *options)
{
    *options = (struct server_options){.host = "127.0.0.1",
                                       .port = 8080,
                                       .max_body_bytes = (size_t)4 << 20,
                                       .max_connections = 1024,
                                       .request_timeout_s = 30,
                                       .idle_timeout_s = 60,
                                       .page = true,
                                       .log = true};
}

/* "models/phi-4.upg" -> "phi-4"; the embedded model is "default". */
static void name_model(struct server *server)
{
    static const char *const endings[] = {".upg", ".gguf"};
    const char *path = server->info.path;
    size_t n = strlen(path), begin;

    if (server->options.model_name) {
        snprintf(server->model_name, sizeof server->model_name, "%s", server->options.model_name);
        return;
    }
    if (path[0] == '(') {
        snprintf(server->model_name, sizeof server->model_name, "default");
        return;
    }
    while (n > 1 && path[n - 1] == '/')
        n--;
    for (begin = n; begin > 0 && path[begin - 1] != '/'; begin--)
        continue;
    path += begin;
    n -= begin;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (n > strlen(endings[i]) &&
            strncmp(path + n - strlen(endings[i]), endings[i], strlen(endings[i])) == 0)
            n -= strlen(endings[i]);
    snprintf(server->model_name, sizeof server->model_name, "%.*s", (int)(n < 200 ? n : 200), path);
}

static upg_status check_options(const struct server_options *options, upg_error *err)
{
    for (size_t i = 0; i < options->n_api_keys; i++)
        if (options->api_keys[i][0] == '\0')
            return server_fail(err, UPG_ERR_ARGUMENT, "an API key is empty");
    if (!options->certificate != !options->private_key)
        return server_fail(err, UPG_ERR_ARGUMENT,
                           "TLS needs a certificate and its private key, not one alone");
    return UPG_OK;
}

static upg_status start_parts(struct server *server, upg_error *err)
{
    upg_status status = grammars_init(&server->grammars, server->tokenizer, &server->info, err);

    if (status == UPG_OK) {
        status = connections_start(&server->connections, err);
        if (status == UPG_OK)
            status = http_start(server, err);
        if (status != UPG_OK) {
            http_close_port(server);
            connections_stop(&server->connections);
        }
    }
    if (status != UPG_OK)
        grammars_clear(&server->grammars);
    return status;
}

upg_status server_start(struct server **result, const upg_model *model, upg_scheduler *scheduler,
                        const struct server_options *options, upg_error *err)
{
    struct server *server;
    upg_status status = check_options(options, err);

    if (status != UPG_OK)
        return status;
    server = calloc(1, sizeof *server);
    if (!server)
        return server_fail(err, UPG_ERR_MEMORY, "out of memory");
    server->options = *options;
    server->model = model;
    server->tokenizer = upg_model_tokenizer(model);
    server->scheduler = scheduler;
    server->listen_fd = -1;
    server->context = upg_scheduler_context(scheduler);
    server->start_time = (long long)time(NULL);
    snprintf(server->fingerprint, sizeof server->fingerprint, "upg-%.20s", upg_version());
    upg_model_get_info(model, &server->info);
    name_model(server);
    if (!server->tokenizer)
        status = server_fail(err, UPG_ERR_UNSUPPORTED, "%s: has no tokenizer", server->info.path);
    if (status == UPG_OK)
        status = start_parts(server, err);
    if (status != UPG_OK) {
        free(server);
        return status;
    }
    if (options->log)
        log_event(server, "listening",
                  json_pack("{s:s, s:s, s:I}", "url", server->url, "model", server->model_name,
                            "context", (json_int_t)server->context));
    if (options->log && !server->is_local_address && options->n_api_keys == 0)
        log_event(server, "warning",
                  json_pack("{s:s}", "message",
                            "whoever reaches this address may use the server; give it keys"));
    *result = server;
    return UPG_OK;
}

const char *server_url(const struct server *server)
{
    return server->url;
}

/* Exchanges that are complete for us may still have bytes to send. */
static void wait_for_exchanges(struct server *server)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    const double until = monotonic_seconds() + LAST_BYTES_SECONDS;

    while (atomic_load(&server->n_exchanges) > 0 && monotonic_seconds() < until)
        nanosleep(&pause, NULL);
}

void server_stop(struct server *server, double grace_seconds)
{
    if (!server)
        return;
    atomic_store(&server->is_draining, true);
    if (server->options.log)
        log_event(server, "stopping",
                  json_pack("{s:I}", "requests", (json_int_t)atomic_load(&server->n_exchanges)));
    http_close_port(server);
    upg_scheduler_drain(server->scheduler, grace_seconds);
    wait_for_exchanges(server); /* after the drain nothing sleeps: all that is left is sending */
    http_stop(server);
    connections_stop(&server->connections);
    grammars_clear(&server->grammars);
    if (server->options.log)
        log_event(server, "stopped", NULL);
    free(server);
}
