/* coded.c -- products with the codes of caches, decoded in registers, with AVX2, FMA and F16C.
 *
 * A tile is 4 rows x up to 4 tokens, the query heads that share a key head in Phi-4: 8 codes become
 * floats once for 4 fused multiply-adds.  A sum is 8 lanes, columns l, l + 8, ... each. */
#include "kernels/avx2/avx2.h"

#include "kernels/coded.h"
#include "kernels/unroll.h"

#include <immintrin.h>

enum { ROWS = 4, TOKENS = 4, LANES = 8 };

#define INLINE static inline __attribute__((always_inline))

/* Columns c to c + 7 of a row. */
INLINE __m256 load_weights(bool keys, int bits, const struct upg_coded *p, size_t row, size_t c)
{
    const uint16_t *scales = upg_code_scale(keys, p, row, c);
    const __m128i bytes = _mm_loadl_epi64((const void *)upg_code_at(keys, bits, p, row, c));
    const __m256 scale = keys ? _mm256_set1_ps(_cvtsh_ss(*scales))
                              : _mm256_cvtph_ps(_mm_loadu_si128((const void *)scales));
    __m256 values;

    if (bits == 8) {
        values = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
    } else {
        const __m128i shift = _mm_cvtsi32_si128(upg_code_shift(keys, row, c));
        const __m128i codes = _mm_and_si128(_mm_srl_epi16(bytes, shift), _mm_set1_epi8(15));
        values =
            _mm256_sub_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(codes)), _mm256_set1_ps(7.5F));
    }
    return _mm256_mul_ps(values, scale);
}

INLINE __m128 add_halves(__m256 v)
{
    return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
}

/* The sums of the lanes of each. */
INLINE __m128 add_lanes(__m256 a, __m256 b, __m256 c, __m256 d)
{
    const __m128 a4 = add_halves(a), b4 = add_halves(b), c4 = add_halves(c), d4 = add_halves(d);
    /* lanes 0 and 2 of a and of b, lanes 1 and 3 of a and of b */
    const __m128 ab = _mm_add_ps(_mm_unpacklo_ps(a4, b4), _mm_unpackhi_ps(a4, b4));
    const __m128 cd = _mm_add_ps(_mm_unpacklo_ps(c4, d4), _mm_unpackhi_ps(c4, d4));

    return _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
}

/* Rows [row, row + 4) times tokens [token, token + n_tokens); n_tokens is a constant. */
INLINE void multiply_tile(bool keys, int bits, const struct upg_coded *p, size_t row, size_t token,
                          size_t n_tokens)
{
    __m256 sum[ROWS * TOKENS]; /* [n_tokens][ROWS] */

    UPG_UNROLL
    for (size_t j = 0; j < ROWS * n_tokens; j++)
        sum[j] = _mm256_setzero_ps();
    for (size_t c = 0; c < p->n_cols; c += LANES) {
        __m256 weights[ROWS];

        UPG_UNROLL
        for (size_t r = 0; r < ROWS; r++)
            weights[r] = load_weights(keys, bits, p, row + r, c);
        UPG_UNROLL
        for (size_t j = 0; j < ROWS * n_tokens; j++)
            sum[j] = _mm256_fmadd_ps(weights[j % ROWS],
                                     _mm256_loadu_ps(p->x + (token + j / ROWS) * p->x_stride + c),
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

void upg_coded_keys_avx2(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                         const float *x, size_t x_stride, size_t n_tokens)
{
    const struct upg_coded p =
        upg_open_coded(true, side, head_dim, y, y_stride, x, x_stride, n_tokens);

    if (bits == 8)
        multiply(true, 8, &p);
    else
        multiply(true, 4, &p);
}

void upg_coded_values_avx2(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                           const float *x, size_t x_stride, size_t n_tokens)
{
    const struct upg_coded p =
        upg_open_coded(false, side, head_dim, y, y_stride, x, x_stride, n_tokens);

    if (bits == 8)
        multiply(false, 8, &p);
    else
        multiply(false, 4, &p);
}
