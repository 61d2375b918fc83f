/* json_output.h -- building and writing JSON documents with jansson.
 *
 * The makers return NULL when memory is out; jansson's pack functions then return NULL as well, and
 * json_write() reports it, so that a document needs one check. */
#ifndef UPG_CLI_JSON_OUTPUT_H
#define UPG_CLI_JSON_OUTPUT_H

#include "upg/upg.h"

#include <jansson.h>

/* A string; bytes that are not UTF-8 become U+FFFD.  bytes NULL: null. */
json_t *json_text(const char *bytes, size_t n);
json_t *json_c_text(const char *text);

/* null for what JSON cannot say: NaN and infinities. */
json_t *json_number(double value);

json_t *json_ids(const upg_tokens *ids);

/* A document that the library wrote; NULL when memory is out. */
json_t *json_of_library(const char *text);

/* Write the document and a line end to standard output; takes the document.  flags: jansson's. */
upg_status json_write(json_t *document, size_t flags, upg_error *err);

#endif
