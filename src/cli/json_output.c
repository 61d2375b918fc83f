/* json_output.c -- JSON for programs that read our output. */
#include "cli/json_output.h"

#include "cli/message.h"
#include "cli/output.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The detokenizer turns any bytes into whole characters. */
static json_t *repaired_text(const char *bytes, size_t n)
{
    upg_detokenizer detokenizer = {0};
    char *text = malloc(UPG_DETOKENIZE_CAPACITY(n) + UPG_DETOKENIZE_CAPACITY(0));
    size_t length;
    json_t *string;

    if (!text)
        return NULL;
    length = upg_detokenize(&detokenizer, bytes, n, text);
    length += upg_detokenize(&detokenizer, NULL, 0, text + length);
    string = json_stringn(text, length);
    free(text);
    return string;
}

json_t *json_text(const char *bytes, size_t n)
{
    json_t *string;

    if (!bytes)
        return json_null();
    string = json_stringn(bytes, n);
    return string ? string : repaired_text(bytes, n);
}

/* jansson loses a character and says nothing when an allocation fails within a string: two readings
 * that agree have lost none. */
json_t *json_of_library(const char *text)
{
    json_t *document = json_loads(text, 0, NULL), *again = json_loads(text, 0, NULL);

    if (!json_equal(document, again)) {
        json_decref(document);
        document = NULL;
    }
    json_decref(again);
    return document;
}

json_t *json_c_text(const char *text)
{
    return json_text(text, text ? strlen(text) : 0);
}

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_ids(const upg_tokens *ids)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < ids->n; i++)
        if (json_array_append_new(array, json_integer(ids->ids[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

static int write_piece(const char *bytes, size_t n, void *unused)
{
    (void)unused;
    return fwrite(bytes, 1, n, stdout) == n ? 0 : -1;
}

upg_status json_write(json_t *document, size_t flags, upg_error *err)
{
    upg_status status;
    bool is_whole;

    if (!document)
        return fail_memory(err, "the JSON document");
    is_whole = json_dump_callback(document, write_piece, NULL, flags) == 0;
    json_decref(document);
    putchar('\n');
    status = output_check(err); /* says why writing failed, if that was it */
    return status == UPG_OK && !is_whole ? fail_memory(err, "the JSON document") : status;
}
