/* elementwise.c -- norm, gate and softmax with NEON; the last elements go through a padded copy, so that
 * they are computed as all others are. */
#include "kernels/neon/neon.h"

#include <arm_neon.h>
#include <math.h>
#include <string.h>

enum { LANES = 4 };

/* The last n (less than 4) values, and zeros behind them. */
static float32x4_t load_last(const float *from, size_t n)
{
    float room[LANES] = {0};

    memcpy(room, from, n * sizeof *from);
    return vld1q_f32(room);
}

static void store_last(float *to, float32x4_t v, size_t n)
{
    float room[LANES];

    vst1q_f32(room, v);
    memcpy(to, room, n * sizeof *to);
}

static void add_squares(float32x4_t v, float64x2_t *low, float64x2_t *high)
{
    const float64x2_t a = vcvt_f64_f32(vget_low_f32(v)), b = vcvt_high_f64_f32(v);

    *low = vfmaq_f64(*low, a, a);
    *high = vfmaq_f64(*high, b, b);
}

void upg_rms_norm_neon(float *out, const float *x, const float *weight, size_t n, float eps)
{
    const size_t whole = n / LANES * LANES;
    float64x2_t low = vdupq_n_f64(0), high = vdupq_n_f64(0);

    for (size_t i = 0; i < whole; i += LANES)
        add_squares(vld1q_f32(x + i), &low, &high);
    add_squares(load_last(x + whole, n - whole), &low, &high);

    const double sum = vaddvq_f64(vaddq_f64(low, high));
    const float factor = (float)(1 / sqrt(sum / (double)n + (double)eps));
    for (size_t i = 0; i < whole; i += LANES) {
        const float32x4_t scaled = vmulq_n_f32(vld1q_f32(x + i), factor);
        vst1q_f32(out + i, vmulq_f32(vld1q_f32(weight + i), scaled));
    }
    for (size_t i = whole; i < n; i++)
        out[i] = weight[i] * (x[i] * factor);
}

/* exp(x) for x <= 0, within 1 ulp, NaN for NaN; 0 below -87.  exp(x) = 2^n exp(r), n = nearest
 * integer to x / ln 2, |r| <= ln 2 / 2; ln 2 is split in two so that r is exact (Cody & Waite 1980);
 * Taylor's series to r^7 leaves a relative error of 5e-9. */
static float32x4_t exp_of_negative(float32x4_t x)
{
    const float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 0x1.715476p0F));
    const float32x4_t r0 = vfmsq_f32(x, n, vdupq_n_f32(0x1.62E4p-1F));
    const float32x4_t r = vfmsq_f32(r0, n, vdupq_n_f32(0x1.7F7D1Cp-20F));
    const int32x4_t exponent = vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23);
    const uint32x4_t tiny = vcltq_f32(x, vdupq_n_f32(-87));
    float32x4_t sum = vdupq_n_f32(1.0F / 5040);

    sum = vfmaq_f32(vdupq_n_f32(1.0F / 720), sum, r);
    sum = vfmaq_f32(vdupq_n_f32(1.0F / 120), sum, r);
    sum = vfmaq_f32(vdupq_n_f32(1.0F / 24), sum, r);
    sum = vfmaq_f32(vdupq_n_f32(1.0F / 6), sum, r);
    sum = vfmaq_f32(vdupq_n_f32(1.0F / 2), sum, r);
    sum = vfmaq_f32(vdupq_n_f32(1), sum, r);
    sum = vfmaq_f32(vdupq_n_f32(1), sum, r);
    sum = vmulq_f32(sum, vreinterpretq_f32_s32(exponent));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(sum), tiny));
}

/* u * silu(g) */
static float32x4_t gated(float32x4_t g, float32x4_t u)
{
    const float32x4_t one = vdupq_n_f32(1);
    const float32x4_t e = exp_of_negative(vnegq_f32(vabsq_f32(g)));
    const uint32x4_t negative = vcltq_f32(g, vdupq_n_f32(0));
    const float32x4_t sigmoid = vdivq_f32(vbslq_f32(negative, e, one), vaddq_f32(one, e));

    return vmulq_f32(u, vmulq_f32(g, sigmoid));
}

void upg_silu_gate_neon(float *out, const float *gate, const float *up, size_t n)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        vst1q_f32(out + i, gated(vld1q_f32(gate + i), vld1q_f32(up + i)));
    if (i < n)
        store_last(out + i, gated(load_last(gate + i, n - i), load_last(up + i, n - i)), n - i);
}

float upg_running_softmax_neon(float *scores, size_t n_visible, float *greatest, float *total)
{
    enum { N = UPG_CODED_TOKENS / LANES };
    const uint32x4_t n = vdupq_n_u32((uint32_t)n_visible);
    const float32x4_t before = vdupq_n_f32(*greatest);
    uint32x4_t index =
        vcombine_u32(vcreate_u32(0x100000000), vcreate_u32(0x300000002)); /* 0 .. 3 */
    uint32x4_t counts[N];
    float32x4_t s[N], most = before, sum = vdupq_n_f32(0);

    for (size_t i = 0; i < N; i++, index = vaddq_u32(index, vdupq_n_u32(LANES))) {
        counts[i] = vcltq_u32(index, n);
        s[i] = vbslq_f32(counts[i], vld1q_f32(scores + i * LANES), before);
        most = vmaxq_f32(most, s[i]);
    }

    const float after = vmaxvq_f32(most);
    const float32x4_t m = vdupq_n_f32(after);
    const float decay = vgetq_lane_f32(exp_of_negative(vsubq_f32(before, m)), 0);
    for (size_t i = 0; i < N; i++) {
        const uint32x4_t p = vreinterpretq_u32_f32(exp_of_negative(vsubq_f32(s[i], m)));
        const float32x4_t counted = vreinterpretq_f32_u32(vandq_u32(counts[i], p));

        vst1q_f32(scores + i * LANES, counted);
        sum = vaddq_f32(sum, counted);
    }
    *total = *total * decay + vaddvq_f32(sum);
    *greatest = after;
    return decay;
}

void upg_scale_add_neon(float *y, float factor, const float *x, size_t n)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        vst1q_f32(y + i, vfmaq_n_f32(vld1q_f32(x + i), vld1q_f32(y + i), factor));
    if (i < n)
        store_last(y + i, vfmaq_n_f32(load_last(x + i, n - i), load_last(y + i, n - i), factor),
                   n - i);
}
