/* text_buffer.c -- bytes that grow at the end, doubling. */
#include "server/text_buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 256 };

static bool make_room(struct text_buffer *buffer, size_t n)
{
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_BYTES;
    char *bytes;

    if (buffer->failed || n > SIZE_MAX / 4 - buffer->n) {
        buffer->failed = true;
        return false;
    }
    if (buffer->n + n <= buffer->capacity)
        return true;
    while (capacity < buffer->n + n)
        capacity *= 2;
    bytes = realloc(buffer->bytes, capacity);
    if (!bytes) {
        buffer->failed = true;
        return false;
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

void text_buffer_add(struct text_buffer *buffer, const char *bytes, size_t n)
{
    if (n == 0 || !make_room(buffer, n))
        return;
    memcpy(buffer->bytes + buffer->n, bytes, n);
    buffer->n += n;
}

void text_buffer_add_text(struct text_buffer *buffer, const char *text)
{
    text_buffer_add(buffer, text, strlen(text));
}

void text_buffer_print(struct text_buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    int n;

    va_start(arguments, format);
    va_copy(again, arguments);
    n = vsnprintf(NULL, 0, format, arguments);
    if (n < 0)
        buffer->failed = true;
    else if (make_room(buffer, (size_t)n + 1)) { /* vsnprintf also writes a zero byte */
        vsnprintf(buffer->bytes + buffer->n, (size_t)n + 1, format, again);
        buffer->n += (size_t)n;
    }
    va_end(again);
    va_end(arguments);
}

void text_buffer_empty(struct text_buffer *buffer)
{
    buffer->n = 0;
    buffer->failed = false;
}

void text_buffer_clear(struct text_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct text_buffer){0};
}
