#include "gguf_builder.h"

#include "base/half.h"

#include <stdlib.h>
#include <string.h>

/* Memory of a test does not run out. */
static void append(struct upg_buffer *buffer, const void *bytes, size_t n)
{
    if (upg_buffer_append(buffer, bytes, n, NULL) != UPG_OK)
        abort();
}

void gguf_put(struct upg_buffer *buffer, uint64_t value, size_t n_bytes)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    append(buffer, bytes, n_bytes);
}

void gguf_put_text(struct upg_buffer *buffer, const char *text, size_t n)
{
    gguf_put(buffer, n, 8);
    append(buffer, text, n);
}

void gguf_add_key(struct gguf_builder *b, const char *key, enum upg_gguf_type type)
{
    gguf_put_text(&b->entries, key, strlen(key));
    gguf_put(&b->entries, type, 4);
    b->n_entries++;
}

void gguf_add_number(struct gguf_builder *b, const char *key, enum upg_gguf_type type,
                     uint64_t bits)
{
    static const uint8_t n_bytes[UPG_GGUF_N_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

    gguf_add_key(b, key, type);
    gguf_put(&b->entries, bits, n_bytes[type]);
}

void gguf_add_u32(struct gguf_builder *b, const char *key, uint32_t value)
{
    gguf_add_number(b, key, UPG_GGUF_U32, value);
}

void gguf_add_f32(struct gguf_builder *b, const char *key, float value)
{
    gguf_add_number(b, key, UPG_GGUF_F32, upg_f32_to_bits(value));
}

void gguf_add_bool(struct gguf_builder *b, const char *key, bool value)
{
    gguf_add_number(b, key, UPG_GGUF_BOOL, value);
}

void gguf_add_text(struct gguf_builder *b, const char *key, const char *text)
{
    gguf_add_key(b, key, UPG_GGUF_TEXT);
    gguf_put_text(&b->entries, text, strlen(text));
}

static void pad(struct upg_buffer *buffer, size_t alignment)
{
    while (buffer->n % alignment != 0)
        gguf_put(buffer, 0, 1);
}

uint8_t *gguf_add_tensor(struct gguf_builder *b, const char *name, uint32_t type, uint64_t n_cols,
                         uint64_t n_rows, size_t n_bytes)
{
    size_t begin;

    pad(&b->data, b->alignment);
    begin = b->data.n;
    gguf_put_text(&b->tensors, name, strlen(name));
    gguf_put(&b->tensors, n_rows ? 2 : 1, 4);
    gguf_put(&b->tensors, n_cols, 8);
    if (n_rows)
        gguf_put(&b->tensors, n_rows, 8);
    gguf_put(&b->tensors, type, 4);
    gguf_put(&b->tensors, begin, 8);
    b->n_tensors++;
    for (size_t i = 0; i < n_bytes; i++)
        gguf_put(&b->data, 0, 1);
    return (uint8_t *)b->data.bytes + begin;
}

void gguf_finish(struct gguf_builder *b, struct upg_buffer *file)
{
    append(file, "GGUF", 4);
    gguf_put(file, 3, 4);
    gguf_put(file, b->n_tensors, 8);
    gguf_put(file, b->n_entries, 8);
    append(file, b->entries.bytes, b->entries.n);
    append(file, b->tensors.bytes, b->tensors.n);
    pad(file, b->alignment);
    append(file, b->data.bytes, b->data.n);
    upg_buffer_clear(&b->entries);
    upg_buffer_clear(&b->tensors);
    upg_buffer_clear(&b->data);
    b->n_entries = b->n_tensors = 0;
}
