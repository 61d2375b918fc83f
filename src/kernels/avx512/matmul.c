/* matmul.c -- plain matrices with AVX-512.
 *
 * One sum is 16 lanes: lane l takes columns l, l + 16, ... in order, the last ones under a mask,
 * and the lanes are added at the end.  Tiles of rows x tokens share loads, but never an
 * accumulator, so an output has the same bits in every tile. one token   8 rows x 1: 8 sums hide
 * the latency of the additions; memory is the limit batches     4 rows x 6 tokens: 24 sums, 10
 * loads for 24 fused multiply-adds Tokens are taken in blocks that stay in L2 while the rows pass
 * by. */
#include "kernels/avx512/avx512.h"

#include "kernels/avx512/lanes.h"
#include "kernels/unroll.h"

enum weights { F32, BF16, F16, I8 };

enum {
    MOST_ROWS = 8,
    MOST_SUMS = 24,
    X_BLOCK_BYTES = 512 * 1024 /* of x, at most, for one pass over the weights */
};

#define INLINE static inline __attribute__((always_inline))

/* Nearest bfloat16, ties to even.  A product of int8 and a finite scale is no NaN. */
INLINE __m512 round_to_bf16(__m512 value)
{
    const __m512i bits = _mm512_castps_si512(value);
    const __mmask16 odd = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000));
    const __m512i half = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF));
    const __m512i sum = _mm512_mask_add_epi32(half, odd, bits, _mm512_set1_epi32(0x8000));

    return _mm512_castsi512_ps(_mm512_and_si512(sum, _mm512_set1_epi32((int)0xFFFF0000)));
}

/* 16 weights from number i on; those that are not in the mask are not read and are 0. */
INLINE __m512 load_weights(enum weights type, const void *w, size_t i, __mmask16 mask, __m512 scale)
{
    switch (type) {
    case F32: return _mm512_maskz_loadu_ps(mask, (const float *)w + i);
    case BF16: {
        const __m256i halves = _mm256_maskz_loadu_epi16(mask, (const uint16_t *)w + i);
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
    }
    case F16: return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, (const uint16_t *)w + i));
    case I8:
    default: {
        const __m128i bytes = _mm_maskz_loadu_epi8(mask, (const int8_t *)w + i);
        const __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
        return round_to_bf16(_mm512_mul_ps(values, scale));
    }
    }
}

/* The arguments of a product, whatever its type. */
struct product {
    float *y;
    const void *w;
    const float *row_scale;
    const float *x;
    size_t y_stride, x_stride, n_rows, n_cols, n_tokens;
};

/* Columns c to c + 15 of a tile, those in the mask; sum[n_tokens][n_rows]. */
INLINE void add_columns(enum weights type, const struct product *p, size_t row, size_t n_rows,
                        size_t token, size_t n_tokens, size_t c, __mmask16 mask,
                        const __m512 scale[MOST_ROWS], __m512 sum[MOST_SUMS])
{
    __m512 weights[MOST_ROWS];

    UPG_UNROLL
    for (size_t r = 0; r < n_rows; r++)
        weights[r] = load_weights(type, p->w, (row + r) * p->n_cols + c, mask, scale[r]);
    UPG_UNROLL
    for (size_t j = 0; j < n_rows * n_tokens; j++) {
        const float *x = p->x + (token + j / n_rows) * p->x_stride + c;
        sum[j] = _mm512_fmadd_ps(weights[j % n_rows], _mm512_maskz_loadu_ps(mask, x), sum[j]);
    }
}

/* y of rows [row, row + n_rows) and tokens [token, token + n_tokens); the counts are constants. */
INLINE void multiply_tile(enum weights type, const struct product *p, size_t row, size_t n_rows,
                          size_t token, size_t n_tokens)
{
    const size_t whole = p->n_cols / 16 * 16;
    __m512 sum[MOST_SUMS], scale[MOST_ROWS];

    UPG_UNROLL
    for (size_t r = 0; r < n_rows; r++)
        scale[r] = type == I8 ? _mm512_set1_ps(p->row_scale[row + r]) : _mm512_setzero_ps();
    UPG_UNROLL
    for (size_t j = 0; j < n_rows * n_tokens; j++)
        sum[j] = _mm512_setzero_ps();
    for (size_t c = 0; c < whole; c += 16)
        add_columns(type, p, row, n_rows, token, n_tokens, c, 0xFFFF, scale, sum);
    if (whole < p->n_cols) {
        const __mmask16 mask = (__mmask16)((1U << (p->n_cols - whole)) - 1);
        add_columns(type, p, row, n_rows, token, n_tokens, whole, mask, scale, sum);
    }
    if (n_rows == 1) {
        UPG_UNROLL
        for (size_t j = 0; j < n_tokens; j++)
            _mm_store_ss(p->y + (token + j) * p->y_stride + row,
                         add_lanes(sum[j], sum[j], sum[j], sum[j]));
    } else { /* a multiple of 4 */
        UPG_UNROLL
        for (size_t j = 0; j < n_rows * n_tokens; j += 4)
            _mm_storeu_ps(p->y + (token + j / n_rows) * p->y_stride + row + j % n_rows,
                          add_lanes(sum[j], sum[j + 1], sum[j + 2], sum[j + 3]));
    }
}

/* Rows [row, row + n_rows), n_rows constant, times tokens [begin, end). */
INLINE void multiply_rows(enum weights type, const struct product *p, size_t row, size_t n_rows,
                          size_t begin, size_t end)
{
    size_t t = begin;

    for (; t + 6 <= end; t += 6)
        multiply_tile(type, p, row, n_rows, t, 6);
    for (; t + 3 <= end; t += 3)
        multiply_tile(type, p, row, n_rows, t, 3);
    for (; t < end; t++)
        multiply_tile(type, p, row, n_rows, t, 1);
}

INLINE void multiply(enum weights type, const struct product *p)
{
    const size_t fitting = X_BLOCK_BYTES / (p->n_cols * sizeof(float)) / 6 * 6;
    const size_t block = fitting ? fitting : 6;

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

void upg_matmul_f32_avx512(float *y, size_t y_stride, const float *w, const float *x,
                           size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens)
{
    multiply(F32, &(struct product){y, w, NULL, x, y_stride, x_stride, n_rows, n_cols, n_tokens});
}

void upg_matmul_bf16_avx512(float *y, size_t y_stride, const uint16_t *w, const float *x,
                            size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens)
{
    multiply(BF16, &(struct product){y, w, NULL, x, y_stride, x_stride, n_rows, n_cols, n_tokens});
}

void upg_matmul_f16_avx512(float *y, size_t y_stride, const uint16_t *w, const float *x,
                           size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens)
{
    multiply(F16, &(struct product){y, w, NULL, x, y_stride, x_stride, n_rows, n_cols, n_tokens});
}

void upg_matmul_i8_rows_avx512(float *y, size_t y_stride, const int8_t *w, const float *row_scale,
                               const float *x, size_t x_stride, size_t n_rows, size_t n_cols,
                               size_t n_tokens)
{
    multiply(I8,
             &(struct product){y, w, row_scale, x, y_stride, x_stride, n_rows, n_cols, n_tokens});
}
