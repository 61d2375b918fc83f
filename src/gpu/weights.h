/* weights.h -- a model's matrices in the device's memory. */
#ifndef UPG_GPU_WEIGHTS_H
#define UPG_GPU_WEIGHTS_H

#include "gpu/device.h"
#include "model/model.h"

/* A matrix.  Packed ones are as codec.h has them, with the words of two column groups side by side;
 * plain ones are F32, F16, BF16 or I8_ROWS with rows padded to whole words: GGUF's block types become
 * F16. */
struct gpu_matrix {
    enum upg_type type;
    uint32_t n_rows, n_cols, row_words; /* row_words: of a plain row */
    int k;
    uint32_t padded_rows, padded_cols, n_blocks;
    bool has_output_transform;
    struct gpu_range codes;     /* or the plain rows */
    struct gpu_range row_scale; /* packed: binary16; I8_ROWS: float32 */
    struct gpu_range gain, signs_in, signs_out;
};

struct gpu_linear {
    size_t n_parts;
    struct gpu_matrix part[UPG_MAX_PARTS];
};

enum gpu_map { GPU_QKV, GPU_O, GPU_GATE_UP, GPU_DOWN, GPU_N_MAPS };

/* A layer; behind the last one the head, whose norm is norms[0] and map is maps[0]; behind that
 * the embedding, if it is on the device, as maps[0]. */
struct gpu_layer {
    struct gpu_buffer buffer;
    struct gpu_range norms[2];
    struct gpu_linear maps[GPU_N_MAPS];
};

struct gpu_weights {
    struct gpu_device *gpu;        /* borrowed */
    const struct upg_model *model; /* borrowed */
    struct gpu_layer *layers;      /* [n], owned */
    size_t n;                      /* n_layers + 1, or + 2 with the embedding */
    size_t first;                  /* of these the first that is here */
    struct gpu_buffer tables;      /* pair tables of k = 2, 3, 4, 256 words each */
    uint64_t n_bytes;              /* that every token reads: without the embedding */
};

/* Copy a model from layer `first` on, and if that is 0 the embedding as far as gpu_embedding() returns
 * it.  weights is zeroed; clear it whatever is returned. */
upg_status gpu_weights_load(struct gpu_weights *weights, struct gpu_device *gpu,
                            const struct upg_model *model, size_t first, upg_error *err);
void gpu_weights_clear(struct gpu_weights *weights);

/* Where a map or a norm of the model is; NULL if it is none of the model's. */
const struct gpu_linear *gpu_find_linear(const struct gpu_weights *weights,
                                         const struct upg_linear *linear);
const struct gpu_range *gpu_find_norm(const struct gpu_weights *weights, const float *norm);

/* The embedding, packed without an output side; NULL: it is of another type, with the host. */
const struct gpu_matrix *gpu_embedding(const struct gpu_weights *weights);

/* The pair table of packed.comp for k. */
struct gpu_range gpu_pairs(const struct gpu_weights *weights, int k);

#endif
