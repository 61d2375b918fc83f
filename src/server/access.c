/* access.c -- API keys. */
#include "server/access.h"

#include <netinet/in.h>
#include <string.h>
#include <strings.h>

/* Does `given` equal the key?  The time depends on the length of what was given alone, so it tells
 * nothing about the key. */
static bool is_key(const char *given, const char *key)
{
    const size_t n_given = strlen(given), n_key = strlen(key);
    size_t difference = n_given ^ n_key;

    for (size_t i = 0; i < n_given; i++)
        difference |= (size_t)(unsigned char)(given[i] ^ key[n_key > 0 ? i % n_key : 0]);
    return difference == 0;
}

static uint64_t hash_bytes(const void *bytes, size_t n)
{
    uint64_t hash = 14695981039346656037U; /* FNV-1a */

    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211U;
    return hash;
}

uint64_t address_number(const struct exchange *exchange)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->http, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;

    if (address && address->sa_family == AF_INET)
        return hash_bytes(&((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    if (address && address->sa_family == AF_INET6)
        return hash_bytes(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    return 0;
}

bool check_key(struct exchange *exchange, struct api_error *error)
{
    static const char scheme[] = "Bearer ";
    const struct server_options *options = &exchange->server->options;
    const char *header =
        MHD_lookup_connection_value(exchange->http, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    size_t found = 0;

    exchange->client = address_number(exchange);
    if (options->n_api_keys == 0)
        return true;
    error->code = "invalid_api_key";
    if (!header || strncasecmp(header, scheme, sizeof scheme - 1) != 0)
        return api_fail(error, MHD_HTTP_UNAUTHORIZED, NULL,
                        "an API key is needed, in the header 'Authorization: Bearer KEY'");
    header += sizeof scheme - 1;
    for (size_t i = 0; i < options->n_api_keys; i++) /* all of them, whichever it is */
        if (is_key(header, options->api_keys[i]))
            found = i + 1;
    if (found == 0)
        return api_fail(error, MHD_HTTP_UNAUTHORIZED, NULL, "the API key is not valid");
    error->code = NULL;
    exchange->client = hash_bytes(&found, sizeof found);
    return true;
}
