/* access.h -- API keys. */
#ifndef UPG_SERVER_ACCESS_H
#define UPG_SERVER_ACCESS_H

#include "server/exchange.h"

/* Check "Authorization: Bearer KEY" and give the exchange its client number: that of the key, or
 * without keys that of the address.  false: error is filled with a 401. */
bool check_key(struct exchange *exchange, struct api_error *error);

/* Who asks when no key is needed. */
uint64_t address_number(const struct exchange *exchange);

#endif
