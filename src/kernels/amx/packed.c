/* packed.c -- packed matrices times many tokens with AMX.
 *
 * A decoded vector, 16 rows x 4 columns, is one row of tdpbssd's second operand, so 16 column
 * groups of a chunk are a tile as they lie.  The first operand is 16 tokens x 64 columns of the
 * activations as they lie.  Blocks of 2 x 2 tiles: 32 tokens x 32 rows x a scale block are 16
 * products of tiles (256 cycles) with 16 tile loads.
 *
 * The products of a block are scaled and added to its sums while the next block is multiplied:
 * their instructions stand behind the next block's tile products, which need 16 times as long.
 *
 * Few tokens are left to AVX-512, which needs no chunk for them. */
#include "kernels/amx/amx.h"

#include "kernels/avx512/avx512.h"
#include "kernels/avx512/decode_vbmi.h"
#include "kernels/chunk.h"

#include <string.h>

enum {
    TILE_TOKENS = 16,
    BLOCK_TOKENS = 2 * TILE_TOKENS,
    TILE_GROUPS = 16, /* column groups of a tile: 64 columns */
    LEAST_TOKENS = 3
};

/* The compilers' intrinsics do not say which memory they read. */
INLINE void memory_is_read(void)
{
    __asm__ volatile("" : : : "memory");
}

/* The palette of ldtilecfg: all tiles are 16 rows of 64 bytes. */
static void configure_tiles(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};

    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    memory_is_read();
    _tile_loadconfig(&config);
}

/* 32 tokens x 32 rows of products, as four tiles: tokens 0-15 x rows 0-15, tokens 0-15 x rows
 * 16-31, then tokens 16-31. */
struct products {
    _Alignas(64) int32_t tiles[4][TILE_TOKENS][16];
};

/* Products of 32 tokens, values[32][stride], with the row vectors at `weights` and next to it. */
INLINE void multiply_block(const int8_t *values, size_t stride, const int8_t *weights,
                           size_t n_groups, struct products *out)
{
    memory_is_read();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t g = 0; g < n_groups; g += TILE_GROUPS) {
        _tile_loadd(4, values + g * UPG_COL_GROUP, stride);
        _tile_loadd(6, weights + g * UPG_LANES, UPG_LANES);
        _tile_dpbssd(0, 4, 6);
        _tile_loadd(7, weights + (n_groups + g) * UPG_LANES, UPG_LANES);
        _tile_dpbssd(1, 4, 7);
        _tile_loadd(5, values + TILE_TOKENS * stride + g * UPG_COL_GROUP, stride);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_stored(0, out->tiles[0], 64);
    _tile_stored(1, out->tiles[1], 64);
    _tile_stored(2, out->tiles[2], 64);
    _tile_stored(3, out->tiles[3], 64);
}

/* sums of n_tokens tokens, 32 rows from number `row` on, += scaled products. */
INLINE void add_products(const struct upg_chunk *c, size_t token, size_t n_tokens, size_t row,
                         const struct products *products)
{
    const struct upg_q8_rows *x = c->x;

    for (size_t t = 0; t < n_tokens; t++) {
        const float of_token =
            x->scales[(c->first_token + token + t) * x->n_blocks + c->scale_block];
        const __m512 scale = _mm512_set1_ps(c->gain * of_token);
        for (size_t half = 0; half < 2; half++) {
            float *sum = &c->sums[token + t][row + 16 * half];
            const __m512i exact =
                _mm512_load_si512(products->tiles[t / TILE_TOKENS * 2 + half][t % TILE_TOKENS]);
            _mm512_store_ps(sum,
                            _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact), scale, _mm512_load_ps(sum)));
        }
    }
}

static void multiply_chunk(const struct upg_chunk *c)
{
    const size_t stride = c->x->padded_cols, n_cols = c->n_groups * UPG_COL_GROUP;
    const uint8_t *next = c->next, *end = c->next + c->n_lines * 64;
    _Alignas(64) int8_t last[BLOCK_TOKENS][UPG_SCALE_BLOCK];
    struct products products;

    for (size_t token = 0; token < c->n_tokens; token += BLOCK_TOKENS) {
        const size_t left = c->n_tokens - token;
        const size_t n_tokens = left < BLOCK_TOKENS ? left : BLOCK_TOKENS;
        const int8_t *values =
            c->x->values + (c->first_token + token) * stride + c->scale_block * UPG_SCALE_BLOCK;

        if (n_tokens < BLOCK_TOKENS) { /* tiles are loaded whole: copy, zeros behind */
            memset(last, 0, sizeof last);
            for (size_t t = 0; t < n_tokens; t++)
                memcpy(last[t], values + t * stride, n_cols);
        }
        for (size_t row = 0; row < UPG_ROW_BLOCK; row += 32) {
            const int8_t *weights = c->weights + row / 16 * c->n_groups * UPG_LANES;
            if (n_tokens < BLOCK_TOKENS)
                multiply_block(last[0], UPG_SCALE_BLOCK, weights, c->n_groups, &products);
            else
                multiply_block(values, stride, weights, c->n_groups, &products);
            add_products(c, token, n_tokens, row, &products);
            for (int line = 0; line < 32 && next < end; line++, next += 64)
                _mm_prefetch((const char *)next, _MM_HINT_T1);
        }
    }
}

#include "kernels/batch.h"

void upg_packed_matmul_amx(float *y, size_t y_stride, const struct upg_packed *w,
                           const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                           void *scratch)
{
    if (x->n_tokens < LEAST_TOKENS) {
        upg_packed_matmul_avx512_vbmi(y, y_stride, w, x, block_begin, block_end, scratch);
        return;
    }
    configure_tiles();
    multiply_batch(y, y_stride, w, x, block_begin, block_end, scratch, 0);
    _tile_release();
}
