/* attention.h -- causal attention of the CPU backend, in blocks with a running softmax.
 *
 * A task is a tile of rows with consecutive positions of one sequence, and one key/value head with
 * all of its query heads: each block of the cache is read once for all of them. */
#ifndef UPG_ENGINE_ATTENTION_H
#define UPG_ENGINE_ATTENTION_H

#include "engine/backend.h"
#include "kernels/kernels.h"

enum {
    UPG_TILE_ROWS = 16, /* divides UPG_KV_BLOCK, so that a tile lies in one block */
    UPG_SPAN = 1024     /* positions whose sums are made apart; a multiple of UPG_KV_BLOCK */
};

struct upg_attention {
    const struct upg_kernels *kernels;
    const struct upg_kv_cache *cache;
    size_t n_heads;
};

/* Rows [first, first + n_rows) of a step, between two multiples of UPG_TILE_ROWS of positions. */
struct upg_tile {
    size_t first, n_rows;
    size_t n_before; /* rows of the same sequence in front of them */
};

/* Cut a step into tiles, tiles[n_rows of the step]; returns their number. */
size_t upg_attention_tiles(const struct upg_step *step, struct upg_tile *tiles);

/* Bytes of scratch that upg_attention_tile() needs, a multiple of 64; false on overflow. */
bool upg_attention_scratch(const struct upg_attention *attention, size_t *n_bytes);

/* Write the heads of kv_head in the tile's rows of out; shapes as in upg_backend.attend. */
void upg_attention_tile(const struct upg_attention *attention, struct upg_activation out,
                        struct upg_activation qkv, size_t layer, const struct upg_step *step,
                        const struct upg_tile *tile, size_t kv_head, void *scratch);

/* The same in two steps, for few tiles of one row each with much before them: the spans, each on its
 * own, into a partial of upg_attention_partial() floats; then what they make together.  The results
 * are the same bits. */
size_t upg_attention_spans(const struct upg_step *step, const struct upg_tile *tile);
size_t upg_attention_partial(const struct upg_attention *attention);
void upg_attention_span(const struct upg_attention *attention, float *partial,
                        struct upg_activation qkv, size_t layer, const struct upg_step *step,
                        const struct upg_tile *tile, size_t kv_head, size_t span, void *scratch);
void upg_attention_join(const struct upg_attention *attention, struct upg_activation out,
                        float *partials, size_t n_spans, const struct upg_tile *tile,
                        size_t kv_head, void *scratch);

#endif
