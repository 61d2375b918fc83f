/* json_text.h -- JSON as text. */
#ifndef UPG_MODEL_JSON_TEXT_H
#define UPG_MODEL_JSON_TEXT_H

#include "base/buffer.h"

#include <jansson.h>

/* Append `json` to the buffer without spaces, real numbers with so many digits (0: as many as it
 * takes to read the same number back).  UPG_ERR_MEMORY, also if json is NULL, as the functions
 * that make one return when out of memory. */
upg_status upg_json_append(struct upg_buffer *out, const json_t *json, size_t digits,
                           upg_error *err);

#endif
