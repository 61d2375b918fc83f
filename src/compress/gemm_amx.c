/* gemm_amx.c -- packing into tiles, then 2 x 2 tile products.
 *
 * A tile of the left factor is 16 rows x 32 values (16 pairs a row); of the right one, 16 pairs x 16
 * columns.  Memory holds either rows of l (pairs are neighbours) or rows of i (pairs are rows 2p and
 * 2p + 1): one of the two layouts comes by conversion, the other by a transpose of 16 x 16 pairs.
 * 32 x 32 outputs need 2 + 2 tile loads for 4 products of 16 cycles.  Measured: 1.2-1.5 TFLOP/s a
 * core, packing included, where sgemm gives about 0.1. */
#include "compress/gemm_amx.h"

#if defined(__x86_64__) && defined(__AMX_BF16__)

#include "base/size.h"

#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TILE = 16, PAIRS = 16, DEPTH = 2 * PAIRS, TILE_BYTES = 1024 };

/* Layout of the tile registers: all 16 rows of 64 bytes. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

bool upg_gemm_amx_available(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };

    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16") &&
           __builtin_cpu_supports("amx-bf16") &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

size_t upg_gemm_amx_scratch(void)
{
    return (size_t)(UPG_GEMM_AMX_ROWS + UPG_GEMM_AMX_COLS) * UPG_GEMM_AMX_DEPTH * 2;
}

/* 16 x 16 values of 32 bits. */
static void transpose(__m512i r[16])
{
    __m512i t[16];

    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) { /* quarters of rows 0-3 and 4-7, 8-11 and 12-15 */
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xDD);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xDD);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xDD);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xDD);
    }
}

/* Rows of l: register i holds the 16 pairs of row i. */
static void load_neighbours(__m512i r[16], const float *x, size_t stride)
{
    for (size_t i = 0; i < TILE; i++)
        r[i] = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i * stride + 16),
                                            _mm512_loadu_ps(x + i * stride));
}

/* Rows of i: register p holds, for 16 columns, the pair of rows 2p and 2p + 1. */
static void load_rows(__m512i r[16], const float *x, size_t stride)
{
    const __m512i interleave =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);

    for (size_t p = 0; p < PAIRS; p++) {
        const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + (2 * p + 1) * stride),
                                                          _mm512_loadu_ps(x + 2 * p * stride));
        r[p] = _mm512_permutexvar_epi16(interleave, both);
    }
}

/* A block of n_i x n_l (at most 16 x 32) values at (i, l), as a tile of the left factor (16 rows of
 * pairs) or of the right one (16 pairs of columns); what is missing counts as 0. */
static void pack_tile(uint8_t *out, struct upg_factor f, size_t i, size_t l, size_t n_i, size_t n_l,
                      bool is_left)
{
    const size_t n_rows = f.transposed ? DEPTH : TILE, n_cols = f.transposed ? TILE : DEPTH;
    const size_t have_rows = f.transposed ? n_l : n_i, have_cols = f.transposed ? n_i : n_l;
    const float *x = f.transposed ? f.values + l * f.stride + i : f.values + i * f.stride + l;
    size_t stride = f.stride;
    float padded[TILE * DEPTH];
    __m512i r[16];

    if (have_rows < n_rows || have_cols < n_cols) {
        memset(padded, 0, sizeof padded);
        for (size_t row = 0; row < have_rows; row++)
            memcpy(padded + row * n_cols, x + row * stride, have_cols * sizeof *x);
        x = padded;
        stride = n_cols;
    }
    if (f.transposed)
        load_rows(r, x, stride);
    else
        load_neighbours(r, x, stride);
    if (is_left == f.transposed)
        transpose(r);
    for (int row = 0; row < 16; row++)
        _mm512_store_si512((__m512i *)(void *)(out + 64 * row), r[row]);
}

/* All tiles of a factor for one depth: [blocks of 16][steps of 32] tiles; an even number of blocks. */
static void pack_factor(uint8_t *out, struct upg_factor f, size_t n, size_t l, size_t depth,
                        bool is_left)
{
    for (size_t i = 0; i < (n + 2 * TILE - 1) / (2 * TILE) * (2 * TILE); i += TILE)
        for (size_t step = 0; step < depth; step += DEPTH, out += TILE_BYTES)
            pack_tile(out, f, i, l + step, i < n ? size_min(TILE, n - i) : 0,
                      i < n ? size_min(DEPTH, depth - step) : 0, is_left);
}

/* Rows and columns of a 32 x 32 block of sums that exist, added or stored. */
static void put_block(float *y, size_t stride, const float *sums, size_t m, size_t n, bool add)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            y[i * stride + j] = add ? y[i * stride + j] + sums[i * 32 + j] : sums[i * 32 + j];
}

static void multiply_block(float *sums, const uint8_t *a, const uint8_t *b, size_t n_steps)
{
    const uint8_t *a2 = a + n_steps * TILE_BYTES, *b2 = b + n_steps * TILE_BYTES;

    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t step = 0; step < n_steps; step++) {
        _tile_loadd(4, a + step * TILE_BYTES, 64);
        _tile_loadd(6, b + step * TILE_BYTES, 64);
        _tile_loadd(7, b2 + step * TILE_BYTES, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a2 + step * TILE_BYTES, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums, 128);
    _tile_stored(1, sums + 16, 128);
    _tile_stored(2, sums + 16 * 32, 128);
    _tile_stored(3, sums + 16 * 32 + 16, 128);
}

void upg_gemm_amx(float *y, size_t y_stride, struct upg_factor a, struct upg_factor b, size_t m,
                  size_t n, size_t k, bool add, void *scratch)
{
    struct tile_config config = {.palette = 1};
    uint8_t *left = scratch;
    uint8_t *right = left + (size_t)UPG_GEMM_AMX_ROWS * UPG_GEMM_AMX_DEPTH * 2;
    _Alignas(64) float sums[32 * 32];

    for (int i = 0; i < 8; i++) {
        config.rows[i] = TILE;
        config.row_bytes[i] = 64;
    }
    _tile_loadconfig(&config);
    for (size_t l = 0; l < k; l += UPG_GEMM_AMX_DEPTH) {
        const size_t depth = size_min(UPG_GEMM_AMX_DEPTH, k - l);
        const size_t n_steps = (depth + DEPTH - 1) / DEPTH;

        pack_factor(left, a, m, l, depth, true);
        pack_factor(right, b, n, l, depth, false);
        for (size_t i = 0; i < m; i += 32)
            for (size_t j = 0; j < n; j += 32) {
                multiply_block(sums, left + i / TILE * n_steps * TILE_BYTES,
                               right + j / TILE * n_steps * TILE_BYTES, n_steps);
                put_block(y + i * y_stride + j, y_stride, sums, size_min(32, m - i),
                          size_min(32, n - j), add || l > 0);
            }
    }
    _tile_release();
}

#else

bool upg_gemm_amx_available(void)
{
    return false;
}

size_t upg_gemm_amx_scratch(void)
{
    return 64;
}

void upg_gemm_amx(float *y, size_t y_stride, struct upg_factor a, struct upg_factor b, size_t m,
                  size_t n, size_t k, bool add, void *scratch)
{
    (void)y, (void)y_stride, (void)a, (void)b, (void)m, (void)n, (void)k, (void)add, (void)scratch;
}

#endif
