/* elementwise.c -- norm, gate and softmax with AVX2; the last elements go through a padded copy, so that
 * they are computed as all others are. */
#include "kernels/avx2/avx2.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

enum { LANES = 8 };

/* The last n (less than 8) values, and zeros behind them. */
static __m256 load_last(const float *from, size_t n)
{
    float room[LANES] = {0};

    memcpy(room, from, n * sizeof *from);
    return _mm256_loadu_ps(room);
}

static void store_last(float *to, __m256 v, size_t n)
{
    float room[LANES];

    _mm256_storeu_ps(room, v);
    memcpy(to, room, n * sizeof *to);
}

static void add_squares(__m256 v, __m256d *low, __m256d *high)
{
    const __m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(v));
    const __m256d b = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));

    *low = _mm256_fmadd_pd(a, a, *low);
    *high = _mm256_fmadd_pd(b, b, *high);
}

void upg_rms_norm_avx2(float *out, const float *x, const float *weight, size_t n, float eps)
{
    const size_t whole = n / LANES * LANES;
    __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
    double lanes[4];

    for (size_t i = 0; i < whole; i += LANES)
        add_squares(_mm256_loadu_ps(x + i), &low, &high);
    add_squares(load_last(x + whole, n - whole), &low, &high);
    _mm256_storeu_pd(lanes, _mm256_add_pd(low, high));

    const double sum = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
    const float factor = (float)(1 / sqrt(sum / (double)n + (double)eps));
    for (size_t i = 0; i < whole; i += LANES) {
        const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(factor));
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_loadu_ps(weight + i), scaled));
    }
    for (size_t i = whole; i < n; i++)
        out[i] = weight[i] * (x[i] * factor);
}

/* exp(x) for x <= 0, within 1 ulp, NaN for NaN; 0 below -87.  exp(x) = 2^n exp(r), n = nearest
 * integer to x / ln 2, |r| <= ln 2 / 2; ln 2 is split in two so that r is exact (Cody & Waite
 * 1980); Taylor's series to r^7 leaves a relative error of 5e-9. */
static __m256 exp_of_negative(__m256 x)
{
    const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p0F)),
                                     _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m256 r0 = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62E4p-1F), x);
    const __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7F7D1Cp-20F), r0);
    const __m256i exponent =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    const __m256 tiny = _mm256_cmp_ps(x, _mm256_set1_ps(-87), _CMP_LT_OQ);
    __m256 sum = _mm256_set1_ps(1.0F / 5040);

    sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0F / 720));
    sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0F / 120));
    sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0F / 24));
    sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0F / 6));
    sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0F / 2));
    sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1));
    sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1));
    return _mm256_andnot_ps(tiny, _mm256_mul_ps(sum, _mm256_castsi256_ps(exponent)));
}

/* u * silu(g) */
static __m256 gated(__m256 g, __m256 u)
{
    const __m256 one = _mm256_set1_ps(1);
    const __m256 e = exp_of_negative(_mm256_or_ps(g, _mm256_set1_ps(-0.0F))); /* exp(-|g|) */
    const __m256 sigmoid =
        _mm256_div_ps(_mm256_blendv_ps(one, e, g), _mm256_add_ps(one, e)); /* e where g < 0 */

    return _mm256_mul_ps(u, _mm256_mul_ps(g, sigmoid));
}

void upg_silu_gate_avx2(float *out, const float *gate, const float *up, size_t n)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(out + i, gated(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
    if (i < n)
        store_last(out + i, gated(load_last(gate + i, n - i), load_last(up + i, n - i)), n - i);
}

static float greatest_of(__m256 v)
{
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

static float sum_of(__m256 v)
{
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

float upg_running_softmax_avx2(float *scores, size_t n_visible, float *greatest, float *total)
{
    enum { N = UPG_CODED_TOKENS / LANES };
    const __m256i n = _mm256_set1_epi32((int)n_visible), eight = _mm256_set1_epi32(LANES);
    const __m256 before = _mm256_set1_ps(*greatest);
    __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256 s[N], counts[N], most = before, sum = _mm256_setzero_ps();

    for (size_t i = 0; i < N; i++, index = _mm256_add_epi32(index, eight)) {
        counts[i] = _mm256_castsi256_ps(_mm256_cmpgt_epi32(n, index));
        s[i] = _mm256_blendv_ps(before, _mm256_loadu_ps(scores + i * LANES), counts[i]);
        most = _mm256_max_ps(most, s[i]);
    }

    const float after = greatest_of(most);
    const __m256 m = _mm256_set1_ps(after);
    const float decay = _mm256_cvtss_f32(exp_of_negative(_mm256_sub_ps(before, m)));
    for (size_t i = 0; i < N; i++) {
        const __m256 p = _mm256_and_ps(counts[i], exp_of_negative(_mm256_sub_ps(s[i], m)));

        _mm256_storeu_ps(scores + i * LANES, p);
        sum = _mm256_add_ps(sum, p);
    }
    *total = *total * decay + sum_of(sum);
    *greatest = after;
    return decay;
}

void upg_scale_add_avx2(float *y, float factor, const float *x, size_t n)
{
    const __m256 f = _mm256_set1_ps(factor);
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(y + i, _mm256_fmadd_ps(_mm256_loadu_ps(y + i), f, _mm256_loadu_ps(x + i)));
    if (i < n)
        store_last(y + i, _mm256_fmadd_ps(load_last(y + i, n - i), f, load_last(x + i, n - i)),
                   n - i);
}
