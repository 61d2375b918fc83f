/* json.h -- reading JSON from strangers, on top of jansson.
 *
 * A document is refused when it is larger than UPG_JSON_MAX_BYTES, nests deeper than
 * UPG_JSON_MAX_DEPTH, repeats a key, or is not UTF-8.  The getters below name file and field when a
 * value is missing, of another type or out of range. */
#ifndef UPG_BASE_JSON_H
#define UPG_BASE_JSON_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>

enum { UPG_JSON_MAX_DEPTH = 64 };
#define UPG_JSON_MAX_BYTES ((size_t)256 << 20)

/* Parse text[n]; `where` is the file's name for messages.  The caller owns *json (json_decref). */
upg_status upg_json_parse(json_t **json, const char *where, const char *text, size_t n,
                          upg_error *err);

/* Read and parse a file. */
upg_status upg_json_read(json_t **json, const char *path, upg_error *err);

/* Fields of an object.  A field that is absent or null is an error, except with _or, which then
 * gives `fallback`. */
upg_status upg_json_get_size(const json_t *object, const char *where, const char *key, size_t min,
                             size_t max, size_t *value, upg_error *err);
upg_status upg_json_get_size_or(const json_t *object, const char *where, const char *key,
                                size_t min, size_t max, size_t fallback, size_t *value,
                                upg_error *err);
upg_status upg_json_get_double_or(const json_t *object, const char *where, const char *key,
                                  double min, double max, double fallback, double *value,
                                  upg_error *err);
upg_status upg_json_get_bool_or(const json_t *object, const char *where, const char *key,
                                bool fallback, bool *value, upg_error *err);
/* *value is borrowed from the object. */
upg_status upg_json_get_text(const json_t *object, const char *where, const char *key,
                             const char **value, upg_error *err);

#endif
