/* messages.h -- conversations as JSON: [{"role": "user", "content": "Hello"}, ...]. */
#ifndef UPG_CLI_MESSAGES_H
#define UPG_CLI_MESSAGES_H

#include "upg/upg.h"

#include <jansson.h>

/* The messages of a JSON array.  *messages is for the caller to free(); its strings borrow from
 * the array.  UPG_ERR_FORMAT names the message and the field. */
upg_status messages_of_json(upg_message **messages, size_t *n, const json_t *array, upg_error *err);

/* The other way round; NULL when memory is out. */
json_t *messages_to_json(const upg_message *messages, size_t n);

#endif
