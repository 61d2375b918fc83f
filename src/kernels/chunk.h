/* chunk.h -- how packed matrices are cut for many tokens.
 *
 * A chunk, 128 rows x a scale block, is decoded into scratch: 32 KiB that stay in the inner caches
 * while all tokens pass over them.  The sums of all tokens are kept in scratch too, from one scale
 * block to the next.  While a chunk is decoded and multiplied, the codes of the next one are
 * prefetched, so that memory is never idle. */
#ifndef UPG_KERNELS_CHUNK_H
#define UPG_KERNELS_CHUNK_H

#include "kernels/kernels.h"

enum {
    UPG_CHUNK_GROUPS = UPG_SCALE_BLOCK / UPG_COL_GROUP, /* column groups of a whole scale block */
    UPG_PASS_TOKENS = 512,    /* at most; more are done in several passes over the codes */
    UPG_PREFETCH_BYTES = 2048 /* ahead of the decoder; with 512 or 8192 it is a third slower */
};

/* What packed_matmul() uses as scratch. */
struct upg_batch_scratch {
    _Alignas(64) float sums[UPG_PASS_TOKENS][UPG_ROW_BLOCK];
    _Alignas(64) int8_t weights[UPG_ROW_BLOCK * UPG_SCALE_BLOCK]; /* a chunk */
};

/* A decoded chunk and what it is multiplied with. */
struct upg_chunk {
    const int8_t *weights; /* the tier's layout */
    size_t n_groups;       /* column groups, a multiple of 16 */
    const struct upg_q8_rows *x;
    size_t scale_block;
    float gain;
    size_t first_token, n_tokens;
    float (*sums)[UPG_ROW_BLOCK]; /* [n_tokens] */
    const uint8_t *next;          /* codes to prefetch: n_lines of 64 bytes.  decode_chunk() has */
    size_t n_lines;               /* prefetched 2 n_groups lines in front of them */
};

/* Column groups of scale block h. */
static inline size_t upg_groups_of(const struct upg_packed *w, size_t h)
{
    const size_t left = w->padded_cols / UPG_COL_GROUP - h * UPG_CHUNK_GROUPS;

    return left < UPG_CHUNK_GROUPS ? left : UPG_CHUNK_GROUPS;
}

static inline const uint8_t *upg_codes_of(const struct upg_packed *w, size_t row_block)
{
    const size_t block_bytes = (size_t)w->k * UPG_LANES;

    return w->codes + row_block * (w->padded_cols / UPG_COL_GROUP) * block_bytes;
}

#endif
