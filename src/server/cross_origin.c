/* cross_origin.c -- which web pages may use the server. */
#include "server/cross_origin.h"

#include <string.h>
#include <strings.h>

static const char *header(const struct exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->http, MHD_HEADER_KIND, name);
}

static bool is_listed(const char *const *names, size_t n_names, const char *name, size_t n)
{
    for (size_t i = 0; i < n_names; i++)
        if (strcmp(names[i], "*") == 0 ||
            (strlen(names[i]) == n && strncasecmp(names[i], name, n) == 0))
            return true;
    return false;
}

void add_cross_origin_headers(const struct exchange *exchange, struct MHD_Response *response)
{
    const struct server_options *options = &exchange->server->options;
    const char *origin = header(exchange, MHD_HTTP_HEADER_ORIGIN);

    if (options->n_origins == 0)
        return;
    MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Origin");
    if (origin && is_listed(options->origins, options->n_origins, origin, strlen(origin))) {
        MHD_add_response_header(response, "Access-Control-Allow-Origin", origin);
        MHD_add_response_header(response, "Access-Control-Expose-Headers", "X-Request-Id");
    }
}

void add_page_headers(struct MHD_Response *response)
{
    MHD_add_response_header(response, "Content-Security-Policy",
                            "default-src 'none'; script-src 'self'; style-src 'self'; "
                            "img-src 'self'; connect-src 'self'; base-uri 'none'; "
                            "form-action 'none'; frame-ancestors 'none'");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cross-Origin-Opener-Policy", "same-origin");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
}

bool reply_preflight(struct exchange *exchange, struct api_error *error)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result;

    if (!response)
        return api_fail_memory(error);
    MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET, POST");
    MHD_add_response_header(response, "Access-Control-Allow-Headers",
                            "Authorization, Content-Type, X-Stainless-Retry-Count");
    MHD_add_response_header(response, "Access-Control-Max-Age", "600");
    add_cross_origin_headers(exchange, response);
    exchange->status = MHD_HTTP_NO_CONTENT;
    result = MHD_queue_response(exchange->http, MHD_HTTP_NO_CONTENT, response);
    MHD_destroy_response(response);
    return result == MHD_YES;
}

bool check_host_name(const struct exchange *exchange, struct api_error *error)
{
    static const char *const local_names[] = {"localhost", "127.0.0.1", "[::1]"};
    const struct server_options *options = &exchange->server->options;
    const char *host = header(exchange, MHD_HTTP_HEADER_HOST);
    const char *end;
    size_t n;

    if (!exchange->server->is_local_address || options->n_api_keys > 0 || !host)
        return true;
    end = host[0] == '[' ? strchr(host, ']') : NULL;
    n = end ? (size_t)(end + 1 - host) : strcspn(host, ":"); /* without the port */
    if (is_listed(local_names, sizeof local_names / sizeof *local_names, host, n) ||
        is_listed(options->host_names, options->n_host_names, host, n) ||
        (strlen(options->host) == n && strncasecmp(options->host, host, n) == 0))
        return true;
    return api_fail(error, MHD_HTTP_FORBIDDEN, NULL,
                    "this server is not known as '%.100s'; start it with --host-name, or with "
                    "--api-key",
                    host);
}
