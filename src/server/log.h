/* log.h -- a line on standard error for what happens: key=value, or JSON.  Never a prompt, an answer
 * or a key. */
#ifndef UPG_SERVER_LOG_H
#define UPG_SERVER_LOG_H

#include "server/exchange.h"

#include <jansson.h>

/* An exchange has ended; completely, or because the client left. */
void log_exchange(const struct exchange *exchange, bool is_complete);

/* Anything else: members of an object, which is taken. */
void log_event(const struct server *server, const char *event, json_t *members);

#endif
