/* hf_builder.h -- small Hugging Face directories, to be made right and then spoilt.
 *
 * The writer of safetensors here is not the product's: it writes what it is told, also lies. */
#ifndef UPG_TESTS_MODEL_HF_BUILDER_H
#define UPG_TESTS_MODEL_HF_BUILDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BUILDER_MAX_TENSORS = 64 };

struct builder_tensor {
    char name[80];
    char dtype[8];
    size_t n_dims, shape[3];
    uint8_t *data; /* owned; NULL: zeros that take no room on the disk */
    size_t n_bytes;
    size_t shard;
};

struct hf_builder {
    json_t *config, *generation; /* owned; generation NULL: no such file */
    json_t *weight_map;          /* owned, made by _build(); written if n_shards > 1 */
    struct builder_tensor tensors[BUILDER_MAX_TENSORS];
    size_t n_tensors, n_shards;
    size_t header_pad; /* spaces behind the header beyond a multiple of 8 */
};

/* A whole model: 2 layers, width 16, 4 heads of 4 and 2 key-value heads, feed-forward 24, 32
 * tokens; elements of `dtype` ("BF16", "F16", "F32") are small fractions, different in every place.
 * Tensors are spread over n_shards files. */
void hf_build(struct hf_builder *builder, const char *architecture, const char *dtype, bool tied,
              size_t n_shards);
void hf_clear(struct hf_builder *builder);

/* config[key] = the JSON in text, or nothing if text is NULL. */
void hf_set(struct hf_builder *builder, const char *key, const char *text);

struct builder_tensor *hf_tensor(struct hf_builder *builder, const char *name);
struct builder_tensor *hf_add_tensor(struct hf_builder *builder, const char *name,
                                     const char *dtype, size_t n_rows, size_t n_cols);
void hf_remove_tensor(struct hf_builder *builder, const char *name);

/* Element i as the product should see it. */
float hf_value(const struct builder_tensor *tensor, size_t i);
void hf_set_value(struct builder_tensor *tensor, size_t i, float value);

/* Write the directory. */
void hf_write(const struct hf_builder *builder, const char *folder);

#endif
