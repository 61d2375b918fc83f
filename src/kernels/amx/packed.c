/* packed.c -- packed matrices times many tokens with AMX.
 *
 * A decoded vector, 16 rows x 4 columns, is one row of tdpbssd's second operand, so 16 column groups
 * are a tile as they lie; so is a tile of quantized rows, the first operand.  Half a chunk, 64 rows x
 * a scale block, is decoded at a time: its 16 KiB stay in L1 while all tokens pass.
 *
 * A block is 32 tokens x 32 rows x a scale block: 16 products of tiles, 256 cycles, with 16 tile
 * loads.  Between them, the products of the block before are scaled and added to their sums: there
 * it is nearly free, behind the block it takes 160 cycles.  The sums of a block lie together, 4 KiB,
 * as L1's prefetcher likes them.  Several row blocks go along together, so that activations of many
 * tokens, which are larger than L2, are not fetched for each of them. */
#include "kernels/amx/amx.h"

#include "kernels/avx512/avx512.h"
#include "kernels/avx512/decode_vbmi.h"
#include "kernels/chunk.h"
#include "kernels/unroll.h"

#include <string.h>

enum {
    TILE = 16, /* tokens or rows of a tile */
    TILE_BYTES = 1024,
    BLOCK = 2 * TILE,
    HALF_ROWS = UPG_ROW_BLOCK / 2,
    HALF_STEPS = UPG_STEPS / 2,
    MOST_TILES = UPG_SCALE_BLOCK / UPG_Q8_COLS, /* along a scale block */
    ROW_BLOCKS = 4,                             /* that go along together */
    PASS_BLOCKS = UPG_PASS_TOKENS / BLOCK,
    LEAST_TOKENS = 3 /* fewer are left to AVX-512 */
};

/* Four tiles of a block: tokens 0-15 x rows 0-15, tokens 0-15 x rows 16-31, tokens 16-31 x rows
 * 0-15, tokens 16-31 x rows 16-31. */
struct sums {
    _Alignas(64) float tiles[4][TILE][TILE];
};

struct products {
    _Alignas(64) int32_t tiles[4][TILE][TILE];
};

struct scratch {
    struct sums sums[ROW_BLOCKS][PASS_BLOCKS][UPG_ROW_BLOCK / BLOCK];
    struct products products[2];
    _Alignas(64) int8_t weights[HALF_ROWS * UPG_SCALE_BLOCK];
    _Alignas(64) int8_t last[MOST_TILES][TILE][UPG_Q8_COLS]; /* tiles of less than 16 tokens */
    float scales[2][UPG_PASS_TOKENS]; /* of tokens in a scale block, times its gain */
};

/* Products of a block that are still to be added to their sums. */
struct addition {
    const struct products *products;
    struct sums *sums;
    const float *scales; /* [n_tokens] */
    size_t n_tokens;     /* 0: nothing to add */
};

/* Row blocks [row_block, row_block + n_row_blocks) times tokens [token, token + n_tokens). */
struct pass {
    const struct upg_packed *w;
    const struct upg_q8_rows *x;
    size_t row_block, n_row_blocks, token, n_tokens;
    struct scratch *scratch;
    struct addition addition;         /* of the block that was multiplied last */
    size_t n_blocks;                  /* multiplied; products alternate */
    const uint8_t *ahead, *ahead_end; /* codes that are needed next: to be prefetched */
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

INLINE void prefetch_ahead(struct pass *p, size_t n_lines)
{
    for (; n_lines > 0 && p->ahead < p->ahead_end; n_lines--, p->ahead += 64)
        _mm_prefetch((const char *)p->ahead, _MM_HINT_T1);
}

/* Decode steps first_step .. first_step + 3 (a constant) of n_groups blocks:
 * out[4][n_groups][16 rows][4 columns]. */
INLINE void decode_half_of(int k, int first_step, const struct decoder *decoder, struct pass *p,
                           const uint8_t *codes, struct carry *carried, size_t n_groups,
                           int8_t *out)
{
    const struct decoder d = *decoder; /* `out` may alias what is behind the pointers */
    struct carry carry = *carried;

    for (size_t g = 0; g < n_groups; g++, codes += UPG_LANES * k) {
        const struct block block = open_block(k, &d, codes, &carry);

        prefetch_ahead(p, 1);
        UPG_UNROLL
        for (int i = 0; i < HALF_STEPS; i++)
            _mm512_store_si512(out + ((size_t)i * n_groups + g) * UPG_LANES,
                               weights_at(k, &d, &block, first_step + i));
    }
    *carried = carry;
}

static void decode_half(int half, const struct decoder *d, struct pass *p, const uint8_t *codes,
                        struct carry *carry, size_t n_groups)
{
    int8_t *out = p->scratch->weights;

    switch (p->w->k * 2 + half) {
    case 4: decode_half_of(2, 0, d, p, codes, carry, n_groups, out); break;
    case 5: decode_half_of(2, HALF_STEPS, d, p, codes, carry, n_groups, out); break;
    case 6: decode_half_of(3, 0, d, p, codes, carry, n_groups, out); break;
    case 7: decode_half_of(3, HALF_STEPS, d, p, codes, carry, n_groups, out); break;
    case 8: decode_half_of(4, 0, d, p, codes, carry, n_groups, out); break;
    default: decode_half_of(4, HALF_STEPS, d, p, codes, carry, n_groups, out); break;
    }
}

INLINE void add_token(const struct addition *a, size_t tile, size_t token)
{
    float *sum = a->sums->tiles[tile][token];
    const __m512 exact = _mm512_cvtepi32_ps(_mm512_load_si512(a->products->tiles[tile][token]));
    const __m512 scale = _mm512_set1_ps(a->scales[tile / 2 * TILE + token]);

    _mm512_store_ps(sum, _mm512_fmadd_ps(exact, scale, _mm512_load_ps(sum)));
}

INLINE void add_tile(const struct addition *a, size_t tile)
{
    if (a->n_tokens == BLOCK)
        for (size_t token = 0; token < TILE; token++)
            add_token(a, tile, token);
    else
        for (size_t token = 0; token < TILE && tile / 2 * TILE + token < a->n_tokens; token++)
            add_token(a, tile, token);
}

/* A tile of activations of each 64 columns of a scale block. */
struct tiles {
    const int8_t *values;
    size_t distance; /* bytes from one tile to the next */
};

/* Multiply a block, n_tiles (1 or 2, a constant) tiles of tokens with the row vectors at `weights`
 * and next to it; meanwhile add the products of the block before. */
INLINE void multiply_block(size_t n_tiles, const struct tiles tokens[2], const int8_t *weights,
                           size_t n_steps, struct products *out, const struct addition *before)
{
    memory_is_read();
    _tile_zero(0);
    _tile_zero(1);
    if (n_tiles == 2) {
        _tile_zero(2);
        _tile_zero(3);
    }
    for (size_t step = 0; step < MOST_TILES; step++) {
        if (step < n_steps) {
            _tile_loadd(4, tokens[0].values + step * tokens[0].distance, UPG_Q8_COLS);
            _tile_loadd(6, weights + step * TILE_BYTES, UPG_LANES);
            _tile_dpbssd(0, 4, 6);
            _tile_loadd(7, weights + (n_steps + step) * TILE_BYTES, UPG_LANES);
            _tile_dpbssd(1, 4, 7);
            if (n_tiles == 2) {
                _tile_loadd(5, tokens[1].values + step * tokens[1].distance, UPG_Q8_COLS);
                _tile_dpbssd(2, 5, 6);
                _tile_dpbssd(3, 5, 7);
            }
        }
        add_tile(before, step);
    }
    _tile_stored(0, out->tiles[0], 64);
    _tile_stored(1, out->tiles[1], 64);
    if (n_tiles == 2) {
        _tile_stored(2, out->tiles[2], 64);
        _tile_stored(3, out->tiles[3], 64);
    }
}

/* The activations of tokens t to t + 15 of the pass in scale block h. */
static struct tiles tiles_of(const struct pass *p, size_t t, size_t h)
{
    const size_t height = upg_q8_height(p->x, p->token + t);

    if (height < TILE)
        return (struct tiles){p->scratch->last[0][0], TILE_BYTES};
    return (struct tiles){p->x->values + upg_q8_offset(p->x, p->token + t, h * UPG_SCALE_BLOCK),
                          TILE_BYTES};
}

/* Tiles are loaded whole: a lower one is copied to where there are 16 rows. */
static void copy_last_tiles(const struct pass *p, size_t h, size_t n_steps)
{
    const size_t t = p->n_tokens / TILE * TILE, height = p->n_tokens - t;

    for (size_t step = 0; height > 0 && step < n_steps; step++) {
        const size_t col = h * UPG_SCALE_BLOCK + step * UPG_Q8_COLS;
        memcpy(p->scratch->last[step], p->x->values + upg_q8_offset(p->x, p->token + t, col),
               height * UPG_Q8_COLS);
    }
}

/* Multiply the decoded half chunk, of row block number b of the pass and scale block h, with all
 * tokens. */
static void multiply_half(struct pass *p, size_t b, size_t h, size_t half, size_t n_steps)
{
    enum { LINES = 16 }; /* prefetched with a block */
    struct scratch *scratch = p->scratch;

    for (size_t t = 0; t < p->n_tokens; t += BLOCK) {
        const size_t left = p->n_tokens - t, n_tokens = left < BLOCK ? left : BLOCK;
        struct tiles tokens[2] = {tiles_of(p, t, h)};

        if (n_tokens > TILE)
            tokens[1] = tiles_of(p, t + TILE, h);
        for (size_t pair = 0; pair < HALF_ROWS / BLOCK; pair++, p->n_blocks++) {
            const int8_t *weights = scratch->weights + pair * 2 * n_steps * TILE_BYTES;
            struct products *out = &scratch->products[p->n_blocks % 2];

            if (n_tokens > TILE)
                multiply_block(2, tokens, weights, n_steps, out, &p->addition);
            else
                multiply_block(1, tokens, weights, n_steps, out, &p->addition);
            p->addition = (struct addition){
                out, &scratch->sums[b][t / BLOCK][half * (HALF_ROWS / BLOCK) + pair],
                &scratch->scales[h % 2][t], n_tokens};
            prefetch_ahead(p, LINES);
        }
    }
}

static void multiply_pass(struct pass *p, const struct decoder *decoder)
{
    const size_t n_token_blocks = (p->n_tokens + BLOCK - 1) / BLOCK;
    const size_t n_row_blocks = p->n_row_blocks;
    const uint8_t *codes[ROW_BLOCKS];
    struct carry carry[ROW_BLOCKS][2];

    for (size_t b = 0; b < n_row_blocks; b++) {
        codes[b] = upg_codes_of(p->w, p->row_block + b);
        carry[b][0] = carry[b][1] = left_edge();
        memset(p->scratch->sums[b], 0, n_token_blocks * sizeof p->scratch->sums[b][0]);
    }
    for (size_t h = 0; h < p->x->n_blocks; h++) {
        const size_t n_groups = upg_groups_of(p->w, h), n_steps = n_groups / TILE;

        copy_last_tiles(p, h, n_steps);
        for (size_t t = 0; t < p->n_tokens; t++)
            p->scratch->scales[h % 2][t] =
                p->w->gain[h] * p->x->scales[(p->token + t) * p->x->n_blocks + h];
        for (size_t b = 0; b < n_row_blocks; b++) {
            const uint8_t *chunk = codes[b];

            codes[b] += n_groups * UPG_LANES * (size_t)p->w->k;
            p->ahead = codes[b + 1 < n_row_blocks ? b + 1 : 0];
            p->ahead_end = p->ahead + n_groups * UPG_LANES * (size_t)p->w->k;
            for (int half = 0; half < 2; half++) {
                decode_half(half, decoder, p, chunk, &carry[b][half], n_groups);
                multiply_half(p, b, h, (size_t)half, n_steps);
            }
        }
    }
    for (size_t tile = 0; tile < 4; tile++)
        add_tile(&p->addition, tile);
}

static void store_sums(const struct pass *p, float *y, size_t y_stride)
{
    for (size_t b = 0; b < p->n_row_blocks; b++)
        for (size_t t = 0; t < p->n_tokens; t++) {
            const size_t first = (p->row_block + b) * UPG_ROW_BLOCK;
            _Alignas(64) float sums[UPG_ROW_BLOCK];

            for (size_t i = 0; i < UPG_ROW_BLOCK / TILE; i++) {
                const struct sums *from = &p->scratch->sums[b][t / BLOCK][i / 2];
                const size_t tile = t % BLOCK / TILE * 2 + i % 2;
                memcpy(sums + i * TILE, from->tiles[tile][t % TILE], TILE * sizeof *sums);
            }
            store_rows(y + (p->token + t) * y_stride + first, p->w->row_scale + first, sums);
        }
}

void upg_packed_matmul_amx(float *y, size_t y_stride, const struct upg_packed *w,
                           const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                           void *scratch)
{
    if (x->n_tokens < LEAST_TOKENS) {
        upg_packed_matmul_avx512_vbmi(y, y_stride, w, x, block_begin, block_end, scratch);
        return;
    }

    const struct decoder decoder = decoder_of(w->k, 0);
    configure_tiles();
    for (size_t token = 0; token < x->n_tokens; token += UPG_PASS_TOKENS)
        for (size_t block = block_begin; block < block_end; block += ROW_BLOCKS) {
            const size_t blocks_left = block_end - block, tokens_left = x->n_tokens - token;
            struct pass pass = {.w = w,
                                .x = x,
                                .row_block = block,
                                .n_row_blocks = blocks_left < ROW_BLOCKS ? blocks_left : ROW_BLOCKS,
                                .token = token,
                                .n_tokens =
                                    tokens_left < UPG_PASS_TOKENS ? tokens_left : UPG_PASS_TOKENS,
                                .scratch = scratch};

            multiply_pass(&pass, &decoder);
            store_sums(&pass, y, y_stride);
        }
    _tile_release();
}

void upg_kernels_fill_amx(struct upg_kernels *kernels)
{
    kernels->scratch_bytes = sizeof(struct scratch);
    kernels->packed_matmul = upg_packed_matmul_amx;
    kernels->int8_products = upg_int8_products_amx;
}
