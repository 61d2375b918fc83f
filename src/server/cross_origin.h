/* cross_origin.h -- which web pages may use the server, and what its own page may do.
 *
 * A server on the own machine can be reached from every page that the user visits.  Three things
 * keep such pages out: bodies must be application/json, for which a browser asks first; the answer to
 * that question is no unless the page's origin is allowed; and without API keys, a server on a local
 * address must be called by a local name, so that a foreign name that is made to point here
 * (DNS rebinding) does not pass as the same origin. */
#ifndef UPG_SERVER_CROSS_ORIGIN_H
#define UPG_SERVER_CROSS_ORIGIN_H

#include "server/exchange.h"

void add_cross_origin_headers(const struct exchange *exchange, struct MHD_Response *response);

/* The chat page: nothing from elsewhere, no inline code, no frames. */
void add_page_headers(struct MHD_Response *response);

/* Answer a browser's question (OPTIONS). */
bool reply_preflight(struct exchange *exchange, struct api_error *error);

/* false: error is filled with a 403. */
bool check_host_name(const struct exchange *exchange, struct api_error *error);

#endif
