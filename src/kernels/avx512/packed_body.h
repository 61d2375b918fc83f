/* packed_body.h -- packed matrices with AVX-512, for each way to decode and each way to multiply.
 *
 * The end of packed_*.c, which include a decoder and define multiply_add().  Weights are decoded as
 * v + 64 for products of unsigned and signed bytes; 64 times the sum of the activations is taken
 * off again.
 *
 *   1 or 2 tokens   a block is decoded into 8 registers of 16 rows x 4 columns and multiplied there
 *   more            batch.h, with tiles of 64 rows x up to 6 tokens */
#include "kernels/avx512/avx512.h"

#include "kernels/chunk.h"

#include <string.h>

enum {
    OFFSET = 64,
    TILE_VECTORS = 4,
    TILE_TOKENS = 6,
    TILE_GROUPS = UPG_Q8_COLS / UPG_COL_GROUP /* column groups of a tile of activations */
};

/* The 4 activations of a column group for all 16 rows. */
INLINE __m512i four_values(const int8_t *values)
{
    int32_t bits;

    memcpy(&bits, values, sizeof bits);
    return _mm512_set1_epi32(bits);
}

INLINE __m512i offset_of(const struct upg_q8_rows *x, size_t token, size_t h)
{
    return _mm512_set1_epi32(-OFFSET * x->sums[token * x->n_blocks + h]);
}

/* sum + scale * products, as kernels.h says. */
INLINE void add_scaled(float *sum, __m512i products, const struct upg_q8_rows *x, size_t token,
                       size_t h, float gain)
{
    const __m512 scale = _mm512_set1_ps(gain * x->scales[token * x->n_blocks + h]);

    _mm512_store_ps(sum, _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), scale, _mm512_load_ps(sum)));
}

/* k and n_tokens (1 or 2) are constants. */
INLINE void multiply_few(int k, size_t n_tokens, float *y, size_t y_stride,
                         const struct upg_packed *w, const struct upg_q8_rows *x,
                         size_t block_begin, size_t block_end)
{
    const struct decoder d = decoder_of(k, OFFSET);

    for (size_t block = block_begin; block < block_end; block++) {
        const uint8_t *codes = upg_codes_of(w, block);
        const int8_t *values = x->values;
        const size_t next_tile = UPG_COL_GROUP + (n_tokens - 1) * UPG_Q8_COLS;
        struct carry carry = left_edge();
        _Alignas(64) float sums[2][UPG_ROW_BLOCK];

        memset(sums, 0, sizeof sums);
        for (size_t h = 0; h < x->n_blocks; h++) {
            __m512i products[2][UPG_STEPS];

            for (size_t t = 0; t < n_tokens; t++)
                for (size_t i = 0; i < UPG_STEPS; i++)
                    products[t][i] = offset_of(x, t, h);
            for (size_t g = upg_groups_of(w, h); g > 0; g--) {
                const struct block opened = open_block(k, &d, codes, &carry);
                __m512i four[2];

                for (int line = 0; line < k; line++)
                    _mm_prefetch((const char *)codes + UPG_PREFETCH_BYTES + 64 * line, _MM_HINT_T0);
                for (size_t t = 0; t < n_tokens; t++)
                    four[t] = four_values(values + t * UPG_Q8_COLS);
                UPG_UNROLL
                for (int i = 0; i < UPG_STEPS; i++) {
                    const __m512i weights = weights_at(k, &d, &opened, i);
                    for (size_t t = 0; t < n_tokens; t++)
                        products[t][i] = multiply_add(products[t][i], weights, four[t]);
                }
                codes += k * UPG_LANES;
                values += g % TILE_GROUPS == 1 ? next_tile : UPG_COL_GROUP;
            }
            for (size_t t = 0; t < n_tokens; t++)
                for (size_t i = 0; i < UPG_STEPS; i++)
                    add_scaled(&sums[t][16 * i], products[t][i], x, t, h, w->gain[h]);
        }
        for (size_t t = 0; t < n_tokens; t++)
            store_rows(y + t * y_stride + block * UPG_ROW_BLOCK,
                       w->row_scale + block * UPG_ROW_BLOCK, sums[t]);
    }
}

/* 4 row vectors from number `first` on x n_tokens (a constant) tokens of a chunk.  next: codes to
 * prefetch, a line with each column group; or NULL. */
INLINE void multiply_tile(const struct upg_chunk *c, size_t first, size_t token, size_t n_tokens,
                          const uint8_t *next)
{
    const size_t n_groups = c->n_groups;
    const size_t from = c->first_token + token;
    const int8_t *weights = c->weights + first * n_groups * UPG_LANES;
    const int8_t *values =
        c->x->values + upg_q8_offset(c->x, from, c->scale_block * UPG_SCALE_BLOCK);
    const size_t tile_bytes = upg_q8_height(c->x, from) * UPG_Q8_COLS;
    __m512i products[TILE_TOKENS * TILE_VECTORS]; /* [n_tokens][4], all of them registers */

    UPG_UNROLL
    for (size_t j = 0; j < TILE_VECTORS * n_tokens; j++)
        products[j] = offset_of(c->x, from + j / TILE_VECTORS, c->scale_block);
    for (size_t tile = 0; tile < n_groups / TILE_GROUPS; tile++, values += tile_bytes)
        for (size_t g = 0; g < TILE_GROUPS; g++, weights += UPG_LANES) {
            __m512i rows[TILE_VECTORS];

            UPG_UNROLL
            for (size_t i = 0; i < TILE_VECTORS; i++)
                rows[i] = _mm512_load_si512(weights + i * n_groups * UPG_LANES);
            UPG_UNROLL
            for (size_t j = 0; j < TILE_VECTORS * n_tokens; j++)
                products[j] = multiply_add(
                    products[j], rows[j % TILE_VECTORS],
                    four_values(values + g * UPG_COL_GROUP + j / TILE_VECTORS * UPG_Q8_COLS));
            if (next) {
                _mm_prefetch((const char *)next, _MM_HINT_T1);
                next += 64;
            }
        }
    UPG_UNROLL
    for (size_t j = 0; j < TILE_VECTORS * n_tokens; j++)
        add_scaled(&c->sums[token + j / TILE_VECTORS][16 * (first + j % TILE_VECTORS)], products[j],
                   c->x, from + j / TILE_VECTORS, c->scale_block, c->gain);
}

static void multiply_tile_of(const struct upg_chunk *c, size_t first, size_t token, size_t n_tokens,
                             const uint8_t *next)
{
    switch (n_tokens) {
    case 1: multiply_tile(c, first, token, 1, next); break;
    case 2: multiply_tile(c, first, token, 2, next); break;
    case 3: multiply_tile(c, first, token, 3, next); break;
    case 4: multiply_tile(c, first, token, 4, next); break;
    case 5: multiply_tile(c, first, token, 5, next); break;
    default: multiply_tile(c, first, token, 6, next); break;
    }
}

/* Tokens of the next tile, which stay within a tile of activations: at most 6, and no lone 1 or 2 at
 * the end. */
static size_t tile_tokens(const struct upg_chunk *c, size_t token)
{
    const size_t in_tile = UPG_Q8_TOKENS - token % UPG_Q8_TOKENS;
    const size_t left = c->n_tokens - token < in_tile ? c->n_tokens - token : in_tile;

    return left > 8 || left == 6 ? 6 : left > 6 ? 4 : left;
}

static void multiply_chunk(const struct upg_chunk *c)
{
    size_t n_lines = 0; /* prefetched */

    for (size_t token = 0, n; token < c->n_tokens; token += n) {
        n = tile_tokens(c, token);
        for (size_t first = 0; first < UPG_STEPS; first += TILE_VECTORS) {
            const bool prefetch = n_lines < c->n_lines;
            multiply_tile_of(c, first, token, n, prefetch ? c->next + 64 * n_lines : NULL);
            n_lines += prefetch ? c->n_groups : 0;
        }
    }
}

#include "kernels/batch.h"

static void packed_matmul(float *y, size_t y_stride, const struct upg_packed *w,
                          const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                          void *scratch)
{
    if (x->n_tokens > 2)
        multiply_batch(y, y_stride, w, x, block_begin, block_end, scratch, OFFSET);
    else if (w->k == 2 && x->n_tokens == 1)
        multiply_few(2, 1, y, y_stride, w, x, block_begin, block_end);
    else if (w->k == 2)
        multiply_few(2, 2, y, y_stride, w, x, block_begin, block_end);
    else if (w->k == 3 && x->n_tokens == 1)
        multiply_few(3, 1, y, y_stride, w, x, block_begin, block_end);
    else if (w->k == 3)
        multiply_few(3, 2, y, y_stride, w, x, block_begin, block_end);
    else if (x->n_tokens == 1)
        multiply_few(4, 1, y, y_stride, w, x, block_begin, block_end);
    else
        multiply_few(4, 2, y, y_stride, w, x, block_begin, block_end);
}
