/* batch.h -- packed_matmul() for many tokens: the frame that all tiers fill.
 *
 * A tier includes this after it has defined
 *   struct decoder, struct carry, decoder_of(k, offset), left_edge(): see its decoder
 *   decode_chunk(k, decoder, codes, carry, n_groups, weights)
 *   multiply_chunk(chunk): adds the scaled products of all tokens to their sums
 *   store_rows(y, row_scale, sums): y[128] = sums times row scales */
#ifndef UPG_KERNELS_BATCH_H
#define UPG_KERNELS_BATCH_H

#include "kernels/chunk.h"

#include <string.h>

/* packed_matmul() of kernels.h.  offset is added to decoded weights. */
static void multiply_batch(float *y, size_t y_stride, const struct upg_packed *w,
                           const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                           struct upg_batch_scratch *scratch, int offset)
{
    const struct decoder d = decoder_of(w->k, offset);

    for (size_t token = 0; token < x->n_tokens; token += UPG_PASS_TOKENS)
        for (size_t block = block_begin; block < block_end; block++) {
            const size_t left = x->n_tokens - token;
            const size_t n_tokens = left < UPG_PASS_TOKENS ? left : UPG_PASS_TOKENS;
            const uint8_t *codes = upg_codes_of(w, block);
            struct carry carry = left_edge();

            memset(scratch->sums, 0, n_tokens * sizeof scratch->sums[0]);
            for (size_t h = 0; h < x->n_blocks; h++) {
                const size_t n_groups = upg_groups_of(w, h);
                const uint8_t *next = codes + n_groups * UPG_LANES * (size_t)w->k;

                decode_chunk(w->k, &d, codes, &carry, n_groups, scratch->weights);
                multiply_chunk(&(struct upg_chunk){
                    scratch->weights, n_groups, x, h, w->gain[h], token, n_tokens, scratch->sums,
                    next + n_groups * 128, n_groups * (size_t)(w->k - 2)});
                codes = next;
            }
            for (size_t t = 0; t < n_tokens; t++)
                store_rows(y + (token + t) * y_stride + block * UPG_ROW_BLOCK,
                           w->row_scale + block * UPG_ROW_BLOCK, scratch->sums[t]);
        }
}

#endif
