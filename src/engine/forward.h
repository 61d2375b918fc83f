/* forward.h -- the forward pass: rows of tokens in, rows of logits out. */
#ifndef UPG_ENGINE_FORWARD_H
#define UPG_ENGINE_FORWARD_H

#include "engine/backend.h"
#include "engine/observe.h"

/* A pass and the buffers of its largest step, which live in the arena given to init. */
struct upg_forward {
    const struct upg_model *model; /* borrowed */
    struct upg_backend backend;    /* borrowed */
    struct upg_observer observer;
    size_t max_rows;
    struct upg_activation x;       /* [max_rows, d_model] the residual stream */
    struct upg_activation h;       /* [max_rows, d_model] normed rows; outputs of o and down */
    struct upg_activation qkv;     /* [max_rows, (n_heads + 2 n_kv_heads) head_dim] */
    struct upg_activation heads;   /* [max_rows, n_heads head_dim] */
    struct upg_activation gate_up; /* [max_rows, 2 d_ff] */
    float *cosine, *sine;          /* [max_rows, rotary_dim / 2] */
};

upg_status upg_forward_init(struct upg_forward *forward, const struct upg_model *model,
                            const struct upg_backend *backend, size_t max_rows,
                            struct upg_arena *arena, upg_error *err);

/* Run one step of 1 .. max_rows rows: append their keys and values to the cache and compute the
 * logits of the rows wanted[n_wanted] (row numbers, ascending).
 *   logits  [n_wanted, n_vocab], 64-byte aligned if the backend's kernels want it */
upg_status upg_forward_run(struct upg_forward *forward, const struct upg_row *rows, size_t n_rows,
                           const uint32_t *wanted, size_t n_wanted, float *logits, upg_error *err);

#endif
