/* routes.c -- the table of paths. */
#include "server/routes.h"

#include "server/access.h"
#include "server/cross_origin.h"
#include "server/handlers.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

const struct route routes[] = {
    {"POST", "/v1/chat/completions", ENDPOINT_CHAT, false, handle_chat, "Answer a conversation"},
    {"POST", "/v1/completions", ENDPOINT_COMPLETIONS, false, handle_completions,
     "Go on with a text"},
    {"POST", "/v1/responses", ENDPOINT_RESPONSES, false, handle_responses,
     "Answer a conversation, in the newer form of the API"},
    {"POST", "/v1/embeddings", ENDPOINT_EMBEDDINGS, false, handle_embeddings,
     "Turn texts into vectors"},
    {"GET", "/v1/models", 0, false, handle_models, "The model that is served"},
    {"GET", "/v1/models/*", 0, false, handle_model, NULL},
    {"POST", "/tokenize", ENDPOINT_TOKENIZE, false, handle_tokenize,
     "Turn a text or a conversation into token ids"},
    {"POST", "/detokenize", ENDPOINT_DETOKENIZE, false, handle_detokenize,
     "Turn token ids into text"},
    {"GET", "/health", 0, true, handle_health, "Is the server alive?"},
    {"GET", "/ready", 0, true, handle_ready, "Does the server take requests?"},
    {"GET", "/metrics", 0, false, handle_metrics, "Counters for Prometheus"},
    {"GET", "/openapi.json", 0, true, handle_openapi, "This document"},
    {"GET", "/", 0, true, handle_page, NULL},
    {"GET", "/page/*", 0, true, handle_page, NULL},
};

const size_t n_routes = sizeof routes / sizeof *routes;

static bool is_path(const struct route *route, const char *path)
{
    const size_t n = strlen(route->path);

    if (route->path[n - 1] == '*')
        return strncmp(route->path, path, n - 1) == 0;
    return strcmp(route->path, path) == 0;
}

static bool is_method(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static const struct route *find_route(struct exchange *exchange, const char *method,
                                      const char *path)
{
    struct api_error *error = &exchange->refusal;

    for (size_t i = 0; i < n_routes; i++) {
        if (!is_path(&routes[i], path))
            continue;
        if (is_method(&routes[i], method))
            return &routes[i];
        snprintf(exchange->allowed_methods, sizeof exchange->allowed_methods, "%s%s",
                 routes[i].method, routes[i].method[0] == 'G' ? ", HEAD" : "");
    }
    error->code = NULL;
    if (exchange->allowed_methods[0])
        api_fail(error, MHD_HTTP_METHOD_NOT_ALLOWED, NULL, "%.16s is not allowed here, only %s",
                 method, exchange->allowed_methods);
    else
        api_fail(error, MHD_HTTP_NOT_FOUND, NULL, "there is nothing at %.200s", path);
    return NULL;
}

/* A body must say that it is JSON: for anything else a foreign web page need not ask. */
static bool check_content_type(const struct exchange *exchange, struct api_error *error)
{
    static const char json[] = "application/json";
    const char *type =
        MHD_lookup_connection_value(exchange->http, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    const size_t n = sizeof json - 1;

    if (type && strncasecmp(type, json, n) == 0 &&
        (type[n] == '\0' || type[n] == ';' || type[n] == ' '))
        return true;
    return api_fail(error, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, NULL,
                    "the body must have the header 'Content-Type: application/json'");
}

void route_exchange(struct exchange *exchange, const char *method, const char *path)
{
    struct api_error *error = &exchange->refusal;
    const struct route *route;

    if (!check_host_name(exchange, error))
        return;
    if (strcmp(method, "OPTIONS") == 0 && exchange->server->options.n_origins > 0) {
        exchange->handler = reply_preflight;
        return;
    }
    route = find_route(exchange, method, path);
    if (!route)
        return;
    exchange->endpoint = route->endpoint;
    exchange->client = address_number(exchange);
    if (!route->is_open && !check_key(exchange, error))
        return;
    if (route->endpoint != 0 && !check_content_type(exchange, error))
        return;
    exchange->handler = route->handler;
}
