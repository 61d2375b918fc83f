/* gguf_builder.h -- GGUF files for tests, well-formed unless the test asks for something else. */
#ifndef UPG_TESTS_GGUF_BUILDER_H
#define UPG_TESTS_GGUF_BUILDER_H

#include "base/buffer.h"
#include "model/gguf.h"

/* Start from {.alignment = 32}. */
struct gguf_builder {
    size_t alignment;
    struct upg_buffer entries, tensors, data;
    uint64_t n_entries, n_tensors;
};

/* Little-endian numbers of any width at the end of a buffer. */
void gguf_put(struct upg_buffer *buffer, uint64_t value, size_t n_bytes);
void gguf_put_text(struct upg_buffer *buffer, const char *text, size_t n);

/* One metadata entry.  Values of gguf_add_number() are the bits of the type's representation. */
void gguf_add_key(struct gguf_builder *b, const char *key, enum upg_gguf_type type);
void gguf_add_number(struct gguf_builder *b, const char *key, enum upg_gguf_type type,
                     uint64_t bits);
void gguf_add_u32(struct gguf_builder *b, const char *key, uint32_t value);
void gguf_add_f32(struct gguf_builder *b, const char *key, float value);
void gguf_add_bool(struct gguf_builder *b, const char *key, bool value);
void gguf_add_text(struct gguf_builder *b, const char *key, const char *text);

/* A tensor of n_bytes zero-filled bytes, [n_cols, n_rows]; n_rows 0 makes it one-dimensional.
 * Returns its bytes, valid until the next call. */
uint8_t *gguf_add_tensor(struct gguf_builder *b, const char *name, uint32_t type, uint64_t n_cols,
                         uint64_t n_rows, size_t n_bytes);

/* The whole file; the builder is empty afterwards. */
void gguf_finish(struct gguf_builder *b, struct upg_buffer *file);

#endif
