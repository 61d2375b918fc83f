/* text_buffer.h -- bytes that grow at the end.
 *
 * A failed allocation is remembered instead of reported by each call: writers write, and whoever
 * uses the result asks once. */
#ifndef UPG_SERVER_TEXT_BUFFER_H
#define UPG_SERVER_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* Start from {0}; free with text_buffer_clear(). */
struct text_buffer {
    char *bytes; /* [n], owned */
    size_t n, capacity;
    bool failed; /* memory was out: what is here is not whole */
};

void text_buffer_add(struct text_buffer *buffer, const char *bytes, size_t n);
void text_buffer_add_text(struct text_buffer *buffer, const char *text);
__attribute__((format(printf, 2, 3))) void text_buffer_print(struct text_buffer *buffer,
                                                             const char *format, ...);

/* Forget the contents, keep the memory. */
void text_buffer_empty(struct text_buffer *buffer);
void text_buffer_clear(struct text_buffer *buffer);

#endif
