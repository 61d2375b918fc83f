/* json_text.c -- jansson's writer over our buffers.
 *
 * json_dumps() does not notice when memory runs out while it writes a key, and the key is missing
 * from the text.  So each write is checked here. */
#include "model/json_text.h"

struct sink {
    struct upg_buffer *out;
    upg_status status; /* of the first write that failed */
    upg_error *err;
};

static int append(const char *text, size_t n, void *context)
{
    struct sink *sink = context;

    if (sink->status == UPG_OK)
        sink->status = upg_buffer_append(sink->out, text, n, sink->err);
    return sink->status == UPG_OK ? 0 : -1;
}

upg_status upg_json_append(struct upg_buffer *out, const json_t *json, size_t digits,
                           upg_error *err)
{
    struct sink sink = {.out = out, .err = err};

    if (!json)
        return upg_fail_memory(err, "a JSON document", 0);
    if (json_dump_callback(json, append, &sink, JSON_COMPACT | JSON_REAL_PRECISION(digits)) != 0 &&
        sink.status == UPG_OK)
        return upg_fail_memory(err, "a JSON text", out->n);
    return sink.status;
}
