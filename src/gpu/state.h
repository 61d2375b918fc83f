/* state.h -- what the files of the backend share. */
#ifndef UPG_GPU_STATE_H
#define UPG_GPU_STATE_H

#include "gpu/gpu.h"
#include "gpu/step.h"
#include "gpu/weights.h"

enum { GPU_MAX_ACTIVATIONS = 8, GPU_SPAN = 256 /* positions; as in attention.comp */ };

/* Rows of activations.  Their addresses are a part of the address space that nobody can read or
 * write: places for the forward pass to name. */
struct gpu_activation {
    struct gpu_buffer buffer;
    uint8_t *base;
    size_t n_bytes; /* of addresses */
};

/* Where the step's own data lies in `upload`, in bytes. */
struct gpu_step_layout {
    uint64_t rows, tiles, ids, pick, angles, lists, embedded, end;
    uint64_t lists_bytes;
};

/* A row of the step as programs see it (cache.glsl). */
struct gpu_row {
    uint32_t pos, list, first_row, end;
};

/* Rows of the step for attention_matrix.comp: they follow each other in one sequence, in a coded cache
 * within one block. */
struct gpu_tile {
    uint32_t first_row, n_rows;
};

/* Buffers of linear maps: quantized rows, decoded parts, and sums of rows. */
struct gpu_scratch {
    struct gpu_buffer codes, scales, sums, decoded, partial, squares;
    uint32_t partial_rows, n_spans; /* rows of an attention dispatch, room for each head */
};

/* A place in a buffer: the range, and floats in front of the first. */
struct gpu_place {
    struct gpu_range range;
    uint32_t begin;
};

struct upg_gpu {
    struct gpu_device device;
    struct gpu_programs programs;
    struct gpu_step step;

    /* From upg_gpu_backend() on. */
    struct upg_backend_setup setup;
    struct gpu_weights weights;
    struct gpu_activation activations[GPU_MAX_ACTIVATIONS];
    size_t n_activations;
    struct gpu_buffer *cache;   /* [n_layers], owned */
    uint64_t cache_block_bytes; /* of a layer */
    struct gpu_buffer upload;
    struct gpu_step_layout layout;
    uint32_t n_rows;       /* of this step, */
    uint32_t n_tiles;      /* and tiles */
    bool keeps_late;       /* this step's attention reads exact tokens that others replace */
    float *decode_scratch; /* for rows of a packed embedding */
    struct gpu_scratch scratch;
    bool has_squares; /* scratch.squares are those of `squared` */
    struct gpu_place squared;
    struct gpu_buffer logits, readback;
    float *logits_to; /* where the host wants them; NULL: not in this step */
    uint64_t logits_bytes;
};

/* Where an activation is. */
struct gpu_place gpu_place_of(struct upg_gpu *gpu, const float *rows);

static inline bool gpu_is_same_place(struct gpu_place a, struct gpu_place b)
{
    return a.range.buffer == b.range.buffer && a.range.offset == b.range.offset &&
           a.begin == b.begin;
}

/* Blocks of columns whose squares are summed apart (squares.glsl). */
static inline uint32_t gpu_n_squares(uint64_t n_cols)
{
    return (uint32_t)((n_cols + 255) / 256);
}

/* The operation of the backend that is not a dispatch or two (linear.c). */
void gpu_linear_op(void *state, struct upg_activation out, const struct upg_linear *linear,
                   struct upg_activation x, size_t n_rows);

/* x[n_rows, n_cols] += y by the map that wrote y; false if the last command was another. */
bool gpu_add_by_map(struct upg_gpu *gpu, struct gpu_place x, uint32_t x_stride, struct gpu_place y,
                    uint32_t n_cols, uint32_t n_rows);

/* Scratch for the model's linear maps. */
upg_status gpu_linear_init(struct upg_gpu *gpu, upg_error *err);

#endif
