/* matmul.c -- plain matrices with AVX2, FMA and F16C.
 *
 * One sum is 8 lanes: lane l takes columns l, l + 8, ... in order, the last ones padded with zeros,
 * and the lanes are added at the end.  Tiles of rows x tokens share loads, but never an
 * accumulator, so an output has the same bits in every tile. one token   8 rows x 1: 8 sums hide
 * the latency of the additions; memory is the limit batches     4 rows x 3 tokens: 12 sums, 3
 * activations, a vector of weights: 16 registers Tokens are taken in blocks that stay in L2 while
 * the rows pass by. */
#include "kernels/avx2/avx2.h"

#include "kernels/unroll.h"

#include <immintrin.h>
#include <string.h>

enum weights { F32, BF16, F16, I8 };

enum {
    LANES = 8,
    MOST_ROWS = 8,
    MOST_SUMS = 12,
    TILE_TOKENS = 3,
    X_BLOCK_BYTES = 192 * 1024 /* of x, at most, for one pass over the weights; L2 has 256 KiB */
};

#define INLINE static inline __attribute__((always_inline))

/* Nearest bfloat16, ties to even.  A product of int8 and a finite scale is no NaN. */
INLINE __m256 round_to_bf16(__m256 value)
{
    const __m256i bits = _mm256_castps_si256(value);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i half = _mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF));
    const __m256i sum = _mm256_add_epi32(half, odd);

    return _mm256_castsi256_ps(_mm256_and_si256(sum, _mm256_set1_epi32((int)0xFFFF0000)));
}

/* 8 weights from `w` on. */
INLINE __m256 load_weights(enum weights type, const void *w, __m256 scale)
{
    switch (type) {
    case F32: return _mm256_loadu_ps(w);
    case BF16: {
        const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(w));
        return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
    }
    case F16: return _mm256_cvtph_ps(_mm_loadu_si128(w));
    case I8:
    default: {
        const __m256 values = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(w)));
        return round_to_bf16(_mm256_mul_ps(values, scale));
    }
    }
}

INLINE size_t bytes_of(enum weights type)
{
    return type == F32 ? 4 : type == I8 ? 1 : 2;
}

/* The arguments of a product, whatever its type. */
struct product {
    float *y;
    const void *w;
    const float *row_scale;
    const float *x;
    size_t y_stride, x_stride, n_rows, n_cols, n_tokens;
};

/* The last n (less than 8) elements at `from`, and zeros behind them. */
INLINE const void *padded(const void *from, size_t n, size_t element_bytes, uint8_t room[32])
{
    memset(room, 0, LANES * element_bytes);
    memcpy(room, from, n * element_bytes);
    return room;
}

/* Columns c to c + n - 1 of a tile, n = 8 but for the last ones; sum[n_rows][n_tokens]. */
INLINE void add_columns(enum weights type, const struct product *p, size_t row, size_t n_rows,
                        size_t token, size_t n_tokens, size_t c, size_t n,
                        const __m256 scale[MOST_ROWS], __m256 sum[MOST_SUMS])
{
    uint8_t room[32];
    __m256 values[TILE_TOKENS];

    UPG_UNROLL
    for (size_t t = 0; t < n_tokens; t++) {
        const float *x = p->x + (token + t) * p->x_stride + c;
        values[t] = _mm256_loadu_ps(n < LANES ? padded(x, n, sizeof *x, room) : x);
    }
    UPG_UNROLL
    for (size_t j = 0; j < n_rows * n_tokens; j++) {
        const size_t at = (row + j / n_tokens) * p->n_cols + c;
        const uint8_t *w = (const uint8_t *)p->w + at * bytes_of(type);
        const __m256 weights = load_weights(
            type, n < LANES ? padded(w, n, bytes_of(type), room) : w, scale[j / n_tokens]);
        sum[j] = _mm256_fmadd_ps(weights, values[j % n_tokens], sum[j]);
    }
}

INLINE float add_lanes(__m256 v)
{
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* y of rows [row, row + n_rows) and tokens [token, token + n_tokens); the counts are constants. */
INLINE void multiply_tile(enum weights type, const struct product *p, size_t row, size_t n_rows,
                          size_t token, size_t n_tokens)
{
    const size_t whole = p->n_cols / LANES * LANES;
    __m256 sum[MOST_SUMS], scale[MOST_ROWS];

    UPG_UNROLL
    for (size_t r = 0; r < n_rows; r++)
        scale[r] = type == I8 ? _mm256_set1_ps(p->row_scale[row + r]) : _mm256_setzero_ps();
    UPG_UNROLL
    for (size_t j = 0; j < n_rows * n_tokens; j++)
        sum[j] = _mm256_setzero_ps();
    for (size_t c = 0; c < whole; c += LANES)
        add_columns(type, p, row, n_rows, token, n_tokens, c, LANES, scale, sum);
    if (whole < p->n_cols)
        add_columns(type, p, row, n_rows, token, n_tokens, whole, p->n_cols - whole, scale, sum);
    UPG_UNROLL
    for (size_t j = 0; j < n_rows * n_tokens; j++)
        p->y[(token + j % n_tokens) * p->y_stride + row + j / n_tokens] = add_lanes(sum[j]);
}

/* Rows [row, row + n_rows), n_rows constant, times tokens [begin, end). */
INLINE void multiply_rows(enum weights type, const struct product *p, size_t row, size_t n_rows,
                          size_t begin, size_t end)
{
    size_t t = begin;

    for (; t + TILE_TOKENS <= end; t += TILE_TOKENS)
        multiply_tile(type, p, row, n_rows, t, TILE_TOKENS);
    for (; t < end; t++)
        multiply_tile(type, p, row, n_rows, t, 1);
}

INLINE void multiply(enum weights type, const struct product *p)
{
    const size_t fitting = X_BLOCK_BYTES / (p->n_cols * sizeof(float)) / TILE_TOKENS * TILE_TOKENS;
    const size_t block = fitting ? fitting : TILE_TOKENS;

    for (size_t begin = 0; begin < p->n_tokens; begin += block) {
        const size_t end = begin + block < p->n_tokens ? begin + block : p->n_tokens;
        size_t r = 0;

        if (end - begin == 1)
            for (; r + 8 <= p->n_rows; r += 8)
                multiply_tile(type, p, r, 8, begin, 1);
        for (; r + 4 <= p->n_rows; r += 4)
            multiply_rows(type, p, r, 4, begin, end);
        for (; r < p->n_rows; r++)
            multiply_rows(type, p, r, 1, begin, end);
    }
}

void upg_matmul_f32_avx2(float *y, size_t y_stride, const float *w, const float *x, size_t x_stride,
                         size_t n_rows, size_t n_cols, size_t n_tokens)
{
    multiply(F32, &(struct product){y, w, NULL, x, y_stride, x_stride, n_rows, n_cols, n_tokens});
}

void upg_matmul_bf16_avx2(float *y, size_t y_stride, const uint16_t *w, const float *x,
                          size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens)
{
    multiply(BF16, &(struct product){y, w, NULL, x, y_stride, x_stride, n_rows, n_cols, n_tokens});
}

void upg_matmul_f16_avx2(float *y, size_t y_stride, const uint16_t *w, const float *x,
                         size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens)
{
    multiply(F16, &(struct product){y, w, NULL, x, y_stride, x_stride, n_rows, n_cols, n_tokens});
}

void upg_matmul_i8_rows_avx2(float *y, size_t y_stride, const int8_t *w, const float *row_scale,
                             const float *x, size_t x_stride, size_t n_rows, size_t n_cols,
                             size_t n_tokens)
{
    multiply(I8,
             &(struct product){y, w, row_scale, x, y_stride, x_stride, n_rows, n_cols, n_tokens});
}
