/* elementwise.c -- norm, gate and softmax with AVX-512. */
#include "kernels/avx512/avx512.h"

#include <immintrin.h>
#include <math.h>

static __mmask16 mask_of(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xFFFFU : (1U << n) - 1);
}

void upg_rms_norm_avx512(float *out, const float *x, const float *weight, size_t n, float eps)
{
    __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();

    for (size_t i = 0; i < n; i += 16) {
        const __m512 values = _mm512_maskz_loadu_ps(mask_of(n - i), x + i);
        const __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(values));
        const __m512d b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(values, 1));
        low = _mm512_fmadd_pd(a, a, low);
        high = _mm512_fmadd_pd(b, b, high);
    }

    const double sum = _mm512_reduce_add_pd(_mm512_add_pd(low, high));
    const __m512 factor = _mm512_set1_ps((float)(1 / sqrt(sum / (double)n + (double)eps)));
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 mask = mask_of(n - i);
        const __m512 values = _mm512_maskz_loadu_ps(mask, x + i);
        const __m512 weights = _mm512_maskz_loadu_ps(mask, weight + i);
        _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(weights, _mm512_mul_ps(values, factor)));
    }
}

/* exp(x) for x <= 0, within 1 ulp, NaN for NaN.  exp(x) = 2^n exp(r), n = nearest integer to x / ln
 * 2, |r| <= ln 2 / 2; ln 2 is split in two so that r is exact (Cody & Waite 1980); Taylor's series
 * to r^7 leaves a relative error of 5e-9. */
static __m512 exp_of_negative(__m512 power)
{
    const __m512 x = _mm512_max_ps(_mm512_set1_ps(-104), power); /* exp(-104) rounds to 0 */
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(0x1.715476p0F)),
                                          _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 r0 = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62E4p-1F), x);
    const __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.7F7D1Cp-20F), r0);
    __m512 sum = _mm512_set1_ps(1.0F / 5040);

    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0F / 720));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0F / 120));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0F / 24));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0F / 6));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0F / 2));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1));
    return _mm512_scalef_ps(sum, n); /* 0 where 2^n is below the least float32 */
}

void upg_silu_gate_avx512(float *out, const float *gate, const float *up, size_t n)
{
    const __m512 one = _mm512_set1_ps(1);

    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 mask = mask_of(n - i);
        const __m512 g = _mm512_maskz_loadu_ps(mask, gate + i);
        const __m512 u = _mm512_maskz_loadu_ps(mask, up + i);
        const __m512 e = exp_of_negative(_mm512_or_ps(g, _mm512_set1_ps(-0.0F))); /* exp(-|g|) */
        const __mmask16 negative = _mm512_movepi32_mask(_mm512_castps_si512(g));
        const __m512 sigmoid =
            _mm512_div_ps(_mm512_mask_mov_ps(one, negative, e), _mm512_add_ps(one, e));
        _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(u, _mm512_mul_ps(g, sigmoid)));
    }
}

float upg_running_softmax_avx512(float *scores, size_t n_visible, float *greatest, float *total)
{
    const __mmask16 mask0 = mask_of(n_visible);
    const __mmask16 mask1 = n_visible > 16 ? mask_of(n_visible - 16) : 0;
    const __m512 before = _mm512_set1_ps(*greatest);
    const __m512 s0 = _mm512_mask_loadu_ps(before, mask0, scores);
    const __m512 s1 = _mm512_mask_loadu_ps(before, mask1, scores + 16);
    const float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(s0, s1), before));
    const __m512 m = _mm512_set1_ps(most);
    const __m512 p0 = _mm512_maskz_mov_ps(mask0, exp_of_negative(_mm512_sub_ps(s0, m)));
    const __m512 p1 = _mm512_maskz_mov_ps(mask1, exp_of_negative(_mm512_sub_ps(s1, m)));
    const float decay = _mm512_cvtss_f32(exp_of_negative(_mm512_sub_ps(before, m)));

    _mm512_storeu_ps(scores, p0);
    _mm512_storeu_ps(scores + 16, p1);
    *total = *total * decay + _mm512_reduce_add_ps(_mm512_add_ps(p0, p1));
    *greatest = most;
    return decay;
}

void upg_scale_add_avx512(float *y, float factor, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 mask = mask_of(n - i);
        const __m512 sum =
            _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, y + i), _mm512_set1_ps(factor),
                            _mm512_maskz_loadu_ps(mask, x + i));
        _mm512_mask_storeu_ps(y + i, mask, sum);
    }
}
