/* sse.c -- framing of server-sent events. */
#include "server/sse.h"

static int add_bytes(const char *bytes, size_t n, void *out)
{
    text_buffer_add(out, bytes, n);
    return 0;
}

void sse_event(struct text_buffer *out, const char *name, json_t *document)
{
    if (name)
        text_buffer_print(out, "event: %s\n", name);
    text_buffer_add_text(out, "data: ");
    /* Without line ends: JSON_COMPACT writes none. */
    if (!document || json_dump_callback(document, add_bytes, out, JSON_COMPACT) != 0)
        out->failed = true;
    text_buffer_add_text(out, "\n\n");
    json_decref(document);
}

void sse_done(struct text_buffer *out)
{
    text_buffer_add_text(out, "data: [DONE]\n\n");
}
