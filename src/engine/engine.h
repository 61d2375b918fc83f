/* engine.h -- what an engine and its sequences are, for the files of this room. */
#ifndef UPG_ENGINE_ENGINE_H
#define UPG_ENGINE_ENGINE_H

#include "base/pool.h"
#include "engine/forward.h"
#include "kernels/kernels.h"

/* Rows of a step that every engine takes: beyond, products on a CPU gain nothing more. */
enum { UPG_MAX_ROWS = 256 };

struct upg_engine {
    const struct upg_model *model; /* borrowed */
    struct upg_arena arena;        /* backend, buffers, block lists */
    struct upg_pool *pool;         /* owned; NULL where the kernels compute nothing */
    struct upg_gpu *gpu;           /* owned; NULL: the CPU computes all */
    struct upg_kernels kernels;
    char tier[256];
    struct upg_kv_cache cache;
    struct upg_rope rope[2]; /* short (or only) and long factors */
    struct upg_forward forward;
    size_t context;                   /* most tokens of a sequence */
    size_t max_rows;                  /* of a step: UPG_MAX_ROWS, on a GPU more */
    size_t chunk_rows;                /* most rows that a step takes of one prompt, 1 .. max_rows */
    struct upg_row *rows;             /* [max_rows] of the step that is being put together */
    uint32_t *wanted;                 /* [max_rows] */
    float *logits;                    /* [logits_capacity, n_vocab], owned */
    size_t logits_capacity, n_logits; /* rows: allocated, valid */
    const upg_sequence *logits_of;    /* the sequence whose logits these are */
};

/* The context of an engine whose options name none. */
size_t upg_default_context(const struct upg_model *model);

/* A row of tokens, and the part of it whose keys and values are in the cache.
 *
 * Invariants:
 *   (1) list.n_tokens <= n_tokens <= engine->context.
 *   (2) what the cache holds was computed with `rope`.  Before tokens are computed, rope is the
 *       one that n_tokens asks for; if that changes, the cache is dropped and all is computed
 *       again: from the second layer on keys depend on the factors through the states below, so
 *       rotating them again would not do. */
struct upg_sequence {
    upg_engine *engine;
    int32_t *ids; /* [engine->context] */
    size_t n_tokens;
    struct upg_kv_list list;
    const struct upg_rope *rope;
};

/* Add a token that is computed later, with the next step.  n_tokens < engine->context. */
void upg_sequence_push(upg_sequence *sequence, int32_t id);

/* Forget what the cache holds; the tokens stay. */
void upg_sequence_drop(upg_sequence *sequence);

/* Establish invariant (2) after n_tokens changed; call before upg_engine_step(). */
void upg_sequence_choose_rope(upg_sequence *sequence);

/* The share of one sequence in a step: its next n_rows tokens that are not computed yet, and
 * logits for the last n_logits of them. */
struct upg_share {
    upg_sequence *sequence;
    size_t n_rows, n_logits;
};

/* Room for n_rows rows of logits; what was there is lost.  UPG_ERR_MEMORY. */
upg_status upg_engine_reserve_logits(upg_engine *engine, size_t n_rows, upg_error *err);

/* Compute one step for several sequences, at most engine->max_rows rows together.
 *   logits  [sum of n_logits, n_vocab], in the order of the shares
 * After a failure caches hold no more than before. */
upg_status upg_engine_step(upg_engine *engine, const struct upg_share *shares, size_t n_shares,
                           float *logits, upg_error *err);

/* Compute all tokens that are not computed yet, and the logits of the last n_logits (at most
 * n_tokens) into the engine's buffer.  A failure may leave some computed. */
upg_status upg_sequence_compute(upg_sequence *sequence, size_t n_logits, upg_progress_fn progress,
                                void *progress_context, upg_error *err);

#endif
