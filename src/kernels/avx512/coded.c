/* coded.c -- products with the codes of caches, decoded in registers, with AVX-512.
 *
 * A tile is 4 rows x 4 tokens, the query heads that share a key head in Phi-4: 16 codes become
 * floats once for 4 fused multiply-adds.  A sum is 16 lanes, columns l, l + 16, ... each. */
#include "kernels/avx512/avx512.h"

#include "kernels/avx512/lanes.h"
#include "kernels/coded.h"
#include "kernels/unroll.h"

#include <immintrin.h>

enum { ROWS = 4, TOKENS = 4, LANES = 16 };

#define INLINE static inline __attribute__((always_inline))

/* Columns c to c + 15 of a row. */
INLINE __m512 load_weights(bool keys, int bits, const struct upg_coded *p, size_t row, size_t c)
{
    const uint16_t *scales = upg_code_scale(keys, p, row, c);
    const __m128i bytes = _mm_loadu_si128((const void *)upg_code_at(keys, bits, p, row, c));
    const __m512 scale = keys ? _mm512_set1_ps(_cvtsh_ss(*scales))
                              : _mm512_cvtph_ps(_mm256_loadu_si256((const void *)scales));
    __m512 values;

    if (bits == 8) {
        values = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    } else {
        const __m128i shift = _mm_cvtsi32_si128(upg_code_shift(keys, row, c));
        const __m128i codes = _mm_and_si128(_mm_srl_epi16(bytes, shift), _mm_set1_epi8(15));
        values =
            _mm512_sub_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(codes)), _mm512_set1_ps(7.5F));
    }
    return _mm512_mul_ps(values, scale);
}

/* Rows [row, row + 4) times tokens [token, token + n_tokens); n_tokens is a constant. */
INLINE void multiply_tile(bool keys, int bits, const struct upg_coded *p, size_t row, size_t token,
                          size_t n_tokens)
{
    __m512 sum[ROWS * TOKENS]; /* [n_tokens][ROWS] */

    UPG_UNROLL
    for (size_t j = 0; j < ROWS * n_tokens; j++)
        sum[j] = _mm512_setzero_ps();
    for (size_t c = 0; c < p->n_cols; c += LANES) {
        __m512 weights[ROWS];

        UPG_UNROLL
        for (size_t r = 0; r < ROWS; r++)
            weights[r] = load_weights(keys, bits, p, row + r, c);
        UPG_UNROLL
        for (size_t j = 0; j < ROWS * n_tokens; j++)
            sum[j] = _mm512_fmadd_ps(weights[j % ROWS],
                                     _mm512_loadu_ps(p->x + (token + j / ROWS) * p->x_stride + c),
                                     sum[j]);
    }
    UPG_UNROLL
    for (size_t t = 0; t < n_tokens; t++)
        _mm_storeu_ps(
            p->y + (token + t) * p->y_stride + row,
            add_lanes(sum[ROWS * t], sum[ROWS * t + 1], sum[ROWS * t + 2], sum[ROWS * t + 3]));
}

/* An output has the same bits in every tile: no two share an accumulator. */
INLINE void multiply(bool keys, int bits, const struct upg_coded *p)
{
    for (size_t row = 0; row < p->n_rows; row += ROWS)
        for (size_t token = 0; token < p->n_tokens; token += TOKENS)
            switch (p->n_tokens - token) {
            case 1: multiply_tile(keys, bits, p, row, token, 1); break;
            case 2: multiply_tile(keys, bits, p, row, token, 2); break;
            case 3: multiply_tile(keys, bits, p, row, token, 3); break;
            default: multiply_tile(keys, bits, p, row, token, 4); break;
            }
}

void upg_coded_keys_avx512(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                           const float *x, size_t x_stride, size_t n_tokens)
{
    const struct upg_coded p =
        upg_open_coded(true, side, head_dim, y, y_stride, x, x_stride, n_tokens);

    if (bits == 8)
        multiply(true, 8, &p);
    else
        multiply(true, 4, &p);
}

void upg_coded_values_avx512(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                             const float *x, size_t x_stride, size_t n_tokens)
{
    const struct upg_coded p =
        upg_open_coded(false, side, head_dim, y, y_stride, x, x_stride, n_tokens);

    if (bits == 8)
        multiply(false, 8, &p);
    else
        multiply(false, 4, &p);
}
