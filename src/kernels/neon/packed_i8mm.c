/* packed_i8mm.c -- packed matrices times several tokens with the matrix products of Armv8.6.
 *
 * smmla multiplies 2 rows of 8 bytes with 2 rows of 8 bytes: 2 tokens x 2 rows x 8 columns.  So two
 * column groups are decoded together and woven: 16 bytes are 2 rows x 8 columns.  A tile is 16 rows x
 * 4 tokens: 16 sums of 2 x 2, with 8 loads of weights and 4 of activations for 16 products.
 *
 * One token is left to the dot products. */
#include "kernels/neon/decode.h"

#include "kernels/neon/neon.h"

enum {
    ROW_PAIRS = 8,   /* of a tile */
    TOKEN_PAIRS = 2, /* of a tile */
    TILE_GROUPS = UPG_Q8_COLS / UPG_COL_GROUP
};

/* Decode column groups g and g + 1 of a quarter: out[2 i] and out[2 i + 1] hold 2 rows x 8 columns
 * each of step i. */
INLINE void decode_two(int k, const struct decoder *d, const uint8_t *codes, size_t quarter,
                       struct quarter_carry *carry, int8x16_t out[2 * UPG_STEPS])
{
    const struct quarter_block first = open_quarter(k, codes, quarter, carry);
    const struct quarter_block second = open_quarter(k, codes + UPG_LANES * k, quarter, carry);

    UPG_UNROLL
    for (int i = 0; i < UPG_STEPS; i++) {
        const int32x4_t a = vreinterpretq_s32_s8(weights_at(k, d, &first, i));
        const int32x4_t b = vreinterpretq_s32_s8(weights_at(k, d, &second, i));
        out[2 * i] = vreinterpretq_s8_s32(vzip1q_s32(a, b));
        out[2 * i + 1] = vreinterpretq_s8_s32(vzip2q_s32(a, b));
    }
}

/* As decode_blocks(), but out is [64][n_groups / 2][2 rows][8 columns]: rows in order. */
INLINE void decode_woven(int k, const struct decoder *decoder, const uint8_t *codes,
                         struct carry *carried, size_t n_groups, int8_t *out)
{
    const struct decoder d = *decoder; /* `out` may alias what is behind the pointers */
    const uint8_t *next = codes + n_groups * UPG_LANES * (size_t)k;

    for (size_t quarter = 0; quarter < QUARTERS; quarter++) {
        struct quarter_carry carry = carried->quarters[quarter];

        for (size_t g = 0; g < n_groups; g += 2) {
            int8x16_t woven[2 * UPG_STEPS];

            decode_two(k, &d, codes + g * UPG_LANES * (size_t)k, quarter, &carry, woven);
            __builtin_prefetch(next + (quarter * n_groups + g) * 32);
            UPG_UNROLL
            for (size_t j = 0; j < 2 * UPG_STEPS; j++) {
                const size_t rows = (j / 2 * QUARTERS + quarter) * 2 + j % 2; /* pair of rows */
                vst1q_s8(out + (rows * n_groups + g) * 8, woven[j]);
            }
        }
        carried->quarters[quarter] = carry;
    }
}

static void decode_chunk(int k, const struct decoder *d, const uint8_t *codes, struct carry *carry,
                         size_t n_groups, int8_t *out)
{
    switch (k) {
    case 2: decode_woven(2, d, codes, carry, n_groups, out); break;
    case 3: decode_woven(3, d, codes, carry, n_groups, out); break;
    default: decode_woven(4, d, codes, carry, n_groups, out); break;
    }
}

/* 8 columns of two tokens; of one, and zeros, if there is no second. */
INLINE int8x16_t two_tokens(const int8_t *values, bool second)
{
    return vcombine_s8(vld1_s8(values), second ? vld1_s8(values + UPG_Q8_COLS) : vdup_n_s8(0));
}

/* Products of 4 rows with one of the two tokens, out of those of 2 rows each. */
INLINE int32x4_t rows_of(int32x4_t low, int32x4_t high, size_t token)
{
    return token == 0 ? vcombine_s32(vget_low_s32(low), vget_low_s32(high))
                      : vcombine_s32(vget_high_s32(low), vget_high_s32(high));
}

/* 8 pairs of rows from number `first` on x n_tokens (1 to 4, a constant) tokens of a chunk.  next:
 * codes to prefetch, a line with each column group; or NULL. */
INLINE void multiply_tile(const struct upg_chunk *c, size_t first, size_t token, size_t n_tokens,
                          const uint8_t *next)
{
    const size_t n_groups = c->n_groups, from = c->first_token + token;
    const size_t n_pairs = (n_tokens + 1) / 2;
    const size_t tile_bytes = upg_q8_height(c->x, from) * UPG_Q8_COLS;
    const int8_t *weights = c->weights + first * n_groups * 8;
    const int8_t *values =
        c->x->values + upg_q8_offset(c->x, from, c->scale_block * UPG_SCALE_BLOCK);
    int32x4_t products[ROW_PAIRS * TOKEN_PAIRS]; /* [8][n_pairs], all of them registers */

    UPG_UNROLL
    for (size_t j = 0; j < ROW_PAIRS * n_pairs; j++)
        products[j] = vdupq_n_s32(0);
    for (size_t tile = 0; tile < n_groups / TILE_GROUPS; tile++, values += tile_bytes)
        for (size_t g = 0; g < TILE_GROUPS; g += 2, weights += 16) {
            int8x16_t tokens[TOKEN_PAIRS];

            UPG_UNROLL
            for (size_t p = 0; p < n_pairs; p++)
                tokens[p] = two_tokens(values + g * UPG_COL_GROUP + 2 * p * UPG_Q8_COLS,
                                       2 * p + 1 < n_tokens);
            UPG_UNROLL
            for (size_t j = 0; j < ROW_PAIRS * n_pairs; j++)
                products[j] = vmmlaq_s32(products[j], tokens[j % n_pairs],
                                         vld1q_s8(weights + j / n_pairs * n_groups * 8));
            if (next) {
                __builtin_prefetch(next);
                __builtin_prefetch(next + 64);
                next += 128;
            }
        }
    UPG_UNROLL
    for (size_t j = 0; j < ROW_PAIRS / 2 * n_tokens; j++) {
        const size_t rows = j / n_tokens, t = j % n_tokens; /* 4 rows */
        const int32x4_t *pairs = &products[2 * rows * n_pairs + t / 2];
        add_scaled(&c->sums[token + t][2 * first + 4 * rows],
                   rows_of(pairs[0], pairs[n_pairs], t % 2), c->x, from + t, c->scale_block,
                   c->gain);
    }
}

static void multiply_chunk(const struct upg_chunk *c)
{
    size_t n_lines = 0; /* prefetched */

    for (size_t token = 0; token < c->n_tokens; token += 2 * TOKEN_PAIRS)
        for (size_t first = 0; first < UPG_ROW_BLOCK / 2; first += ROW_PAIRS) {
            const bool prefetch = n_lines < c->n_lines;
            const uint8_t *next = prefetch ? c->next + 64 * n_lines : NULL;
            switch (c->n_tokens - token) {
            case 1: multiply_tile(c, first, token, 1, next); break;
            case 2: multiply_tile(c, first, token, 2, next); break;
            case 3: multiply_tile(c, first, token, 3, next); break;
            default: multiply_tile(c, first, token, 4, next); break;
            }
            n_lines += prefetch ? c->n_groups : 0;
        }
}

#include "kernels/batch.h"

void upg_packed_matmul_neon_i8mm(float *y, size_t y_stride, const struct upg_packed *w,
                                 const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                                 void *scratch)
{
    if (x->n_tokens > 1)
        multiply_batch(y, y_stride, w, x, block_begin, block_end, scratch, 0);
    else
        upg_packed_matmul_neon_dotprod(y, y_stride, w, x, block_begin, block_end, scratch);
}
