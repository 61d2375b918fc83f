/* packed_body.h -- packed matrices with NEON, for each way to multiply.
 *
 * The end of packed_*.c, which define multiply_add().
 *
 *   one token   a quarter of the lanes of a scale block after the other: 8 sums, the look-ups and
 *               the state fit into 32 registers.  The codes of the scale block, 8 to 16 KiB, stay in
 *               L1 for the 4 passes, which prefetch those of the next one
 *   more        batch.h, with tiles of 16 rows x up to 4 tokens */
#include "kernels/neon/neon.h"

enum { TILE_VECTORS = 4, TILE_TOKENS = 4, TILE_GROUPS = UPG_Q8_COLS / UPG_COL_GROUP };

/* The 4 activations of a column group for all 4 rows. */
INLINE int8x16_t four_values(const int8_t *values)
{
    int32_t bits;

    memcpy(&bits, values, sizeof bits);
    return vreinterpretq_s8_s32(vdupq_n_s32(bits));
}

/* One scale block of one token: sums of the rows of a quarter. */
INLINE void multiply_quarter(int k, const struct decoder *d, const uint8_t *codes, size_t quarter,
                             struct quarter_carry *carry, const struct upg_q8_rows *x, size_t h,
                             size_t n_groups, float gain, float *sums)
{
    const int8_t *values = x->values + h * UPG_SCALE_BLOCK;
    const uint8_t *next = codes + n_groups * UPG_LANES * (size_t)k + quarter * n_groups * 64;
    int32x4_t products[UPG_STEPS];

    UPG_UNROLL
    for (int i = 0; i < UPG_STEPS; i++)
        products[i] = vdupq_n_s32(0);
    for (size_t g = 0; g < n_groups; g++) {
        const struct quarter_block opened =
            open_quarter(k, codes + g * UPG_LANES * (size_t)k, quarter, carry);
        const int8x16_t four = four_values(values + g * UPG_COL_GROUP);

        if (quarter < (size_t)k)
            __builtin_prefetch(next + 64 * g);
        UPG_UNROLL
        for (int i = 0; i < UPG_STEPS; i++)
            products[i] = multiply_add(products[i], weights_at(k, d, &opened, i), four);
    }
    UPG_UNROLL
    for (int i = 0; i < UPG_STEPS; i++)
        add_scaled(sums + 16 * i + 4 * quarter, products[i], x, 0, h, gain);
}

/* One token; k is a constant. */
INLINE void multiply_one(int k, float *y, const struct upg_packed *w, const struct upg_q8_rows *x,
                         size_t block_begin, size_t block_end)
{
    const struct decoder d = decoder_of(k, 0);

    for (size_t block = block_begin; block < block_end; block++) {
        const uint8_t *codes = upg_codes_of(w, block);
        struct carry carry = left_edge();
        float sums[UPG_ROW_BLOCK] = {0};

        for (size_t h = 0; h < x->n_blocks; h++) {
            const size_t n_groups = upg_groups_of(w, h);

            for (size_t quarter = 0; quarter < QUARTERS; quarter++)
                multiply_quarter(k, &d, codes, quarter, &carry.quarters[quarter], x, h, n_groups,
                                 w->gain[h], sums);
            codes += n_groups * UPG_LANES * (size_t)k;
        }
        store_rows(y + block * UPG_ROW_BLOCK, w->row_scale + block * UPG_ROW_BLOCK, sums);
    }
}

/* Decode n_groups blocks, a quarter after the other; out is [32][n_groups][4 rows][4 columns].  With
 * the first two quarters of each, a line of the codes behind them is prefetched. */
INLINE void decode_blocks(int k, const struct decoder *decoder, const uint8_t *codes,
                          struct carry *carried, size_t n_groups, int8_t *out)
{
    const struct decoder d = *decoder; /* `out` may alias what is behind the pointers */
    const uint8_t *next = codes + n_groups * UPG_LANES * (size_t)k;

    for (size_t quarter = 0; quarter < QUARTERS; quarter++) {
        struct quarter_carry carry = carried->quarters[quarter];

        for (size_t g = 0; g < n_groups; g++) {
            const struct quarter_block opened =
                open_quarter(k, codes + g * UPG_LANES * (size_t)k, quarter, &carry);

            if (quarter < 2)
                __builtin_prefetch(next + (quarter * n_groups + g) * 64);
            UPG_UNROLL
            for (int i = 0; i < UPG_STEPS; i++)
                vst1q_s8(out + (((size_t)i * QUARTERS + quarter) * n_groups + g) * 16,
                         weights_at(k, &d, &opened, i));
        }
        carried->quarters[quarter] = carry;
    }
}

static void decode_chunk(int k, const struct decoder *d, const uint8_t *codes, struct carry *carry,
                         size_t n_groups, int8_t *out)
{
    switch (k) {
    case 2: decode_blocks(2, d, codes, carry, n_groups, out); break;
    case 3: decode_blocks(3, d, codes, carry, n_groups, out); break;
    default: decode_blocks(4, d, codes, carry, n_groups, out); break;
    }
}

/* 4 row vectors from number `first` on x n_tokens (a constant) tokens of a chunk.  next: codes to
 * prefetch, a line with each column group; or NULL. */
INLINE void multiply_tile(const struct upg_chunk *c, size_t first, size_t token, size_t n_tokens,
                          const uint8_t *next)
{
    const size_t n_groups = c->n_groups, from = c->first_token + token;
    const int8_t *weights = c->weights + first * n_groups * 16;
    const int8_t *values =
        c->x->values + upg_q8_offset(c->x, from, c->scale_block * UPG_SCALE_BLOCK);
    const size_t tile_bytes = upg_q8_height(c->x, from) * UPG_Q8_COLS;
    int32x4_t products[TILE_TOKENS * TILE_VECTORS]; /* [n_tokens][4] */

    UPG_UNROLL
    for (size_t j = 0; j < TILE_VECTORS * n_tokens; j++)
        products[j] = vdupq_n_s32(0);
    for (size_t tile = 0; tile < n_groups / TILE_GROUPS; tile++, values += tile_bytes)
        for (size_t g = 0; g < TILE_GROUPS; g++, weights += 16) {
            int8x16_t rows[TILE_VECTORS];

            UPG_UNROLL
            for (size_t i = 0; i < TILE_VECTORS; i++)
                rows[i] = vld1q_s8(weights + i * n_groups * 16);
            UPG_UNROLL
            for (size_t j = 0; j < TILE_VECTORS * n_tokens; j++)
                products[j] = multiply_add(
                    products[j], rows[j % TILE_VECTORS],
                    four_values(values + g * UPG_COL_GROUP + j / TILE_VECTORS * UPG_Q8_COLS));
            if (next) {
                __builtin_prefetch(next);
                next += 64;
            }
        }
    UPG_UNROLL
    for (size_t j = 0; j < TILE_VECTORS * n_tokens; j++)
        add_scaled(&c->sums[token + j / TILE_VECTORS][4 * (first + j % TILE_VECTORS)], products[j],
                   c->x, from + j / TILE_VECTORS, c->scale_block, c->gain);
}

static void multiply_chunk(const struct upg_chunk *c)
{
    size_t n_lines = 0; /* prefetched */

    for (size_t token = 0; token < c->n_tokens; token += TILE_TOKENS)
        for (size_t first = 0; first < N_VECTORS; first += TILE_VECTORS) {
            const bool prefetch = n_lines < c->n_lines;
            const uint8_t *next = prefetch ? c->next + 64 * n_lines : NULL;
            switch (c->n_tokens - token) {
            case 1: multiply_tile(c, first, token, 1, next); break;
            case 2: multiply_tile(c, first, token, 2, next); break;
            case 3: multiply_tile(c, first, token, 3, next); break;
            default: multiply_tile(c, first, token, TILE_TOKENS, next); break;
            }
            n_lines += prefetch ? c->n_groups : 0;
        }
}

#include "kernels/batch.h"

static void packed_matmul(float *y, size_t y_stride, const struct upg_packed *w,
                          const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                          void *scratch)
{
    if (x->n_tokens > 1)
        multiply_batch(y, y_stride, w, x, block_begin, block_end, scratch, 0);
    else if (w->k == 2)
        multiply_one(2, y, w, x, block_begin, block_end);
    else if (w->k == 3)
        multiply_one(3, y, w, x, block_begin, block_end);
    else
        multiply_one(4, y, w, x, block_begin, block_end);
}
