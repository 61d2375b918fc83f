/* packed_body.h -- packed matrices with AVX2, for each way to decode and each way to multiply.
 *
 * The end of packed_*.c, which include a decoder and define multiply_add() and TILE_TOKENS.
 * Weights are decoded as v + 64 for products of unsigned and signed bytes; 64 times the sum of the
 * activations is taken off again.
 *
 *   one token   half a block at a time is decoded into 8 registers of 8 rows x 4 columns and
 *               multiplied there; the 16 sums of a block are too many for registers
 *   more        batch.h, with tiles of 32 rows x up to TILE_TOKENS tokens */
#include "kernels/avx2/avx2.h"

#include "kernels/chunk.h"

#include <string.h>

enum {
    OFFSET = 64,
    N_VECTORS = UPG_ROW_BLOCK / 8,
    TILE_VECTORS = 4,
    TILE_GROUPS = UPG_Q8_COLS / UPG_COL_GROUP /* column groups of a tile of activations */
};

/* The 4 activations of a column group for all 8 rows. */
INLINE __m256i four_values(const int8_t *values)
{
    int32_t bits;

    memcpy(&bits, values, sizeof bits);
    return _mm256_set1_epi32(bits);
}

INLINE __m256i offset_of(const struct upg_q8_rows *x, size_t token, size_t h)
{
    return _mm256_set1_epi32(-OFFSET * x->sums[token * x->n_blocks + h]);
}

/* sum + scale * products, as kernels.h says. */
INLINE void add_scaled(float *sum, __m256i products, const struct upg_q8_rows *x, size_t token,
                       size_t h, float gain)
{
    const __m256 scale = _mm256_set1_ps(gain * x->scales[token * x->n_blocks + h]);

    _mm256_store_ps(sum, _mm256_fmadd_ps(_mm256_cvtepi32_ps(products), scale, _mm256_load_ps(sum)));
}

/* One token; k is a constant. */
INLINE void multiply_one(int k, float *y, const struct upg_packed *w, const struct upg_q8_rows *x,
                         size_t block_begin, size_t block_end)
{
    const struct decoder d = decoder_of(k, OFFSET);

    for (size_t block = block_begin; block < block_end; block++) {
        const uint8_t *codes = upg_codes_of(w, block);
        const int8_t *values = x->values;
        struct carry carry = left_edge();
        _Alignas(64) float sums[UPG_ROW_BLOCK] = {0};

        for (size_t h = 0; h < x->n_blocks; h++) {
            __m256i products[N_VECTORS];

            for (size_t i = 0; i < N_VECTORS; i++)
                products[i] = offset_of(x, 0, h);
            for (size_t g = upg_groups_of(w, h); g > 0; g--) {
                const __m256i four = four_values(values);

                for (int line = 0; line < k; line++)
                    _mm_prefetch((const char *)codes + UPG_PREFETCH_BYTES + 64 * line, _MM_HINT_T0);
                UPG_UNROLL
                for (int half = 0; half < 2; half++) {
                    const struct half_block opened =
                        open_half(k, &d, codes, half, &carry.halves[half]);

                    UPG_UNROLL
                    for (int i = 0; i < UPG_STEPS; i++)
                        products[2 * i + half] = multiply_add(products[2 * i + half],
                                                              weights_at(k, &d, &opened, i), four);
                }
                codes += k * UPG_LANES;
                values += UPG_COL_GROUP;
            }
            for (size_t i = 0; i < N_VECTORS; i++)
                add_scaled(&sums[8 * i], products[i], x, 0, h, w->gain[h]);
        }
        store_rows(y + block * UPG_ROW_BLOCK, w->row_scale + block * UPG_ROW_BLOCK, sums);
    }
}

/* 4 row vectors from number `first` on x n_tokens (a constant) tokens of a chunk.  next: codes to
 * prefetch, a line with each column group; or NULL. */
INLINE void multiply_tile(const struct upg_chunk *c, size_t first, size_t token, size_t n_tokens,
                          const uint8_t *next)
{
    const size_t n_groups = c->n_groups;
    const size_t from = c->first_token + token;
    const int8_t *weights = c->weights + first * n_groups * 32;
    const int8_t *values =
        c->x->values + upg_q8_offset(c->x, from, c->scale_block * UPG_SCALE_BLOCK);
    const size_t tile_bytes = upg_q8_height(c->x, from) * UPG_Q8_COLS;
    __m256i products[TILE_VECTORS * TILE_TOKENS]; /* [4][n_tokens], all of them registers */

    UPG_UNROLL
    for (size_t j = 0; j < TILE_VECTORS * n_tokens; j++)
        products[j] = offset_of(c->x, from + j % n_tokens, c->scale_block);
    for (size_t tile = 0; tile < n_groups / TILE_GROUPS; tile++, values += tile_bytes)
        for (size_t g = 0; g < TILE_GROUPS; g++, weights += 32) {
            __m256i four[TILE_TOKENS];

            UPG_UNROLL
            for (size_t t = 0; t < n_tokens; t++)
                four[t] = four_values(values + g * UPG_COL_GROUP + t * UPG_Q8_COLS);
            UPG_UNROLL
            for (size_t j = 0; j < TILE_VECTORS * n_tokens; j++) {
                const int8_t *rows = weights + j / n_tokens * n_groups * 32;
                products[j] = multiply_add(products[j], _mm256_load_si256((const __m256i *)rows),
                                           four[j % n_tokens]);
            }
            if (next) {
                _mm_prefetch((const char *)next, _MM_HINT_T1);
                next += 64;
            }
        }
    UPG_UNROLL
    for (size_t j = 0; j < TILE_VECTORS * n_tokens; j++)
        add_scaled(&c->sums[token + j % n_tokens][8 * (first + j / n_tokens)], products[j], c->x,
                   from + j % n_tokens, c->scale_block, c->gain);
}

/* Tokens of the next tile, which stay within a tile of activations: at most TILE_TOKENS, and no lone
 * 1 at the end. */
static size_t tile_tokens(const struct upg_chunk *c, size_t token)
{
    const size_t in_tile = UPG_Q8_TOKENS - token % UPG_Q8_TOKENS;
    const size_t left = c->n_tokens - token < in_tile ? c->n_tokens - token : in_tile;

    return left == TILE_TOKENS + 1 ? 2 : left < TILE_TOKENS ? left : TILE_TOKENS;
}

static void multiply_chunk(const struct upg_chunk *c)
{
    size_t n_lines = 0; /* prefetched */

    for (size_t token = 0, n; token < c->n_tokens; token += n) {
        n = tile_tokens(c, token);
        for (size_t first = 0; first < N_VECTORS; first += TILE_VECTORS) {
            const bool prefetch = n_lines < c->n_lines;
            const uint8_t *next = prefetch ? c->next + 64 * n_lines : NULL;
            switch (n) {
            case 1: multiply_tile(c, first, token, 1, next); break;
            case 2: multiply_tile(c, first, token, 2, next); break;
            default: multiply_tile(c, first, token, TILE_TOKENS, next); break;
            }
            n_lines += prefetch ? c->n_groups : 0;
        }
    }
}

#include "kernels/batch.h"

static void packed_matmul(float *y, size_t y_stride, const struct upg_packed *w,
                          const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                          void *scratch)
{
    if (x->n_tokens > 1)
        multiply_batch(y, y_stride, w, x, block_begin, block_end, scratch, OFFSET);
    else if (w->k == 2)
        multiply_one(2, y, w, x, block_begin, block_end);
    else if (w->k == 3)
        multiply_one(3, y, w, x, block_begin, block_end);
    else
        multiply_one(4, y, w, x, block_begin, block_end);
}
