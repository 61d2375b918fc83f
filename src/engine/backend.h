/* backend.h -- the operations that the forward pass is made of.
 *
 * Everything happens on the rows of a step: tokens of one or of many sequences, prompt chunks and
 * single tokens mixed.  A row's result depends on its own sequence alone, never on the other rows
 * of the step: that is what makes a text the same alone, in a batch and in chunks of any size.
 *
 * Operations cannot fail one by one; what goes wrong is kept and reported by finish(). */
#ifndef UPG_ENGINE_BACKEND_H
#define UPG_ENGINE_BACKEND_H

#include "engine/kv_cache.h"
#include "engine/rope.h"
#include "model/model.h"

/* A token of a sequence. */
struct upg_row {
    const struct upg_kv_list *list; /* the sequence's blocks, as they are when the step is done */
    const struct upg_rope *rope;
    size_t pos;
    int32_t id;
};

struct upg_step {
    const struct upg_row *rows; /* rows of one sequence stand together, in the order of positions */
    size_t n_rows;
    const float *cosine, *sine; /* [n_rows, rotary_dim / 2] */
};

/* Rows of float32, 64-byte aligned, row i at rows + i * stride. */
struct upg_activation {
    float *rows;
    size_t stride;
};

struct upg_backend {
    void *state;
    size_t max_rows; /* of a step: that of the setup, or more if they are done faster together */

    /* Memory for activations: n_floats at an address, aligned to 64, that nobody but the backend
     * reads or writes.  NULL: the backend takes any memory. */
    upg_status (*new_rows)(void *state, size_t n_floats, float **rows, upg_error *err);

    /* x[i] = embedding[id of row i]. */
    void (*embed)(void *state, struct upg_activation x, const struct upg_matrix *embedding,
                  const struct upg_step *step);

    /* out[i] = rms(x[pick[i]]) * weight, i < n_rows; pick NULL: all rows in order.
     * Zhang & Sennrich 2019 (RMSNorm), with the model's epsilon under the root. */
    void (*norm)(void *state, struct upg_activation out, struct upg_activation x,
                 const uint32_t *pick, const float *weight, size_t n_rows);

    /* out[i] = W x[i]; out [n_rows, linear->n_rows], x [n_rows, linear->n_cols]. */
    void (*linear)(void *state, struct upg_activation out, const struct upg_linear *linear,
                   struct upg_activation x, size_t n_rows);

    /* qkv rows [q heads, k heads, v heads]: rotate q in place, rotate k, and store k and v at the
     * row's position of cache layer `layer`. */
    void (*rotate_and_append)(void *state, struct upg_activation qkv, size_t layer,
                              const struct upg_step *step);

    /* out[i] = causal attention of row i's rotated queries over positions 0 .. pos of its sequence;
     * out [n_rows, n_heads * head_dim].  Query head h reads key/value head h * n_kv_heads / n_heads
     * (Ainslie et al. 2023, GQA); scores are divided by sqrt(head_dim); softmax in float32. */
    void (*attend)(void *state, struct upg_activation out, struct upg_activation qkv, size_t layer,
                   const struct upg_step *step);

    /* gate_up rows [gate, up] of d_ff each: gate = up * silu(gate), in place.  Shazeer 2020. */
    void (*gate)(void *state, struct upg_activation gate_up, size_t n_rows);

    /* x[i] += y[i]; both [n_rows, d_model]. */
    void (*add)(void *state, struct upg_activation x, struct upg_activation y, size_t n_rows);

    /* In place of embed(), where other backends have computed the layers in front of the setup's
     * first_layer: x, in its rows' memory, is the residual stream of the step.  NULL: the backend
     * has all layers. */
    void (*resume)(void *state, struct upg_activation x, const struct upg_step *step);

    /* Wait for everything; UPG_OK, or the first failure since the last finish(). */
    upg_status (*finish)(void *state, upg_error *err);
};

/* What a backend is made for.  Everything is borrowed and outlives it. */
struct upg_backend_setup {
    const struct upg_model *model;
    struct upg_kv_cache *cache;
    size_t context;  /* tokens of the longest sequence */
    size_t max_rows; /* of a step, at least */
    size_t
        first_layer; /* GPU: it has the layers from here on, and the head; 0: and the embedding */
};

/* Backends live in the arena.
 *
 * The specification: scalar, one thread, weights as float32, sums in float64. */
upg_status upg_backend_reference(struct upg_backend *backend, const struct upg_backend_setup *setup,
                                 struct upg_arena *arena, upg_error *err);

struct upg_pool;
struct upg_kernels;

/* The kernel table on a pool of threads, both borrowed. */
upg_status upg_backend_cpu(struct upg_backend *backend, const struct upg_backend_setup *setup,
                           struct upg_pool *pool, const struct upg_kernels *kernels,
                           struct upg_arena *arena, upg_error *err);

#endif
