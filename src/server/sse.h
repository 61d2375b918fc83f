/* sse.h -- framing of server-sent events (WHATWG HTML, section 9.2). */
#ifndef UPG_SERVER_SSE_H
#define UPG_SERVER_SSE_H

#include "server/text_buffer.h"

#include <jansson.h>

/* Append "event: NAME" (unless name is NULL) and "data: JSON"; takes the document.  A document that
 * is NULL, because memory was out, marks the buffer as failed. */
void sse_event(struct text_buffer *out, const char *name, json_t *document);

/* The end of a stream as the OpenAI API has it: "data: [DONE]". */
void sse_done(struct text_buffer *out);

#endif
