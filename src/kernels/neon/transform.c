/* transform.c -- signs, Hadamard blocks and int8 quantization with NEON.
 *
 * A Hadamard block of 256 values is 64 vectors in L1.  Butterflies at distance 1 and 2 are a
 * permutation and one fused multiply-add by 1 and -1, which rounds as an addition does; at 4 to 128
 * they are between vectors, two distances at a time, so that each value is loaded once for two.  The
 * signs of a block are hashed once for all tokens. */
#include "kernels/neon/neon.h"

#include "base/random.h"

#include <arm_neon.h>
#include <math.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 4 };

/* The sign bit where value index + i is negated, else 0: upg_transform_sign(), inline for vectors. */
static void hash_signs(uint64_t seed, size_t index, size_t n, uint32_t signs[UPG_SCALE_BLOCK])
{
    for (size_t i = 0; i < n; i++)
        signs[i] = (uint32_t)(upg_splitmix64(seed + index + i) >> 32) & 0x80000000U;
}

INLINE float32x4_t flip(float32x4_t v, const uint32_t *signs)
{
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(v), vld1q_u32(signs)));
}

INLINE float32x4_t within_vector(float32x4_t v)
{
    static const float by1[LANES] = {1, -1, 1, -1}, by2[LANES] = {1, 1, -1, -1};

    v = vfmaq_f32(vrev64q_f32(v), v, vld1q_f32(by1)); /* partner + v, partner - v */
    return vfmaq_f32(vextq_f32(v, v, 2), v, vld1q_f32(by2));
}

/* Butterflies at distance and at 2 * distance, in values. */
INLINE void two_distances(float *x, size_t n, size_t distance)
{
    for (size_t begin = 0; begin < n; begin += 4 * distance)
        for (size_t i = begin; i < begin + distance; i += LANES) {
            float *at = x + i;
            const float32x4_t a = vld1q_f32(at), b = vld1q_f32(at + distance);
            const float32x4_t c = vld1q_f32(at + 2 * distance), d = vld1q_f32(at + 3 * distance);
            const float32x4_t ab = vaddq_f32(a, b), ab_ = vsubq_f32(a, b);
            const float32x4_t cd = vaddq_f32(c, d), cd_ = vsubq_f32(c, d);
            vst1q_f32(at, vaddq_f32(ab, cd));
            vst1q_f32(at + distance, vaddq_f32(ab_, cd_));
            vst1q_f32(at + 2 * distance, vsubq_f32(ab, cd));
            vst1q_f32(at + 3 * distance, vsubq_f32(ab_, cd_));
        }
}

INLINE void one_distance(float *x, size_t n, size_t distance)
{
    for (size_t begin = 0; begin < n; begin += 2 * distance)
        for (size_t i = begin; i < begin + distance; i += LANES) {
            const float32x4_t a = vld1q_f32(x + i), b = vld1q_f32(x + i + distance);
            vst1q_f32(x + i, vaddq_f32(a, b));
            vst1q_f32(x + i + distance, vsubq_f32(a, b));
        }
}

/* x -> H x without the factor, n = 64, 128 or 256 (a constant). */
INLINE void butterflies(float *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        vst1q_f32(x + i, within_vector(vld1q_f32(x + i)));
    two_distances(x, n, 4);
    two_distances(x, n, 16);
    if (n == 256)
        two_distances(x, n, 64);
    else if (n == 128)
        one_distance(x, n, 64);
}

/* x -> H x in place, n = 64, 128 or 256. */
static void hadamard(float *x, size_t n)
{
    const float factor = n == 256 ? 0x1p-4F : n == 128 ? 0x1.6A09E6p-4F : 0x1p-3F;

    if (n == 256)
        butterflies(x, 256);
    else if (n == 128)
        butterflies(x, 128);
    else
        butterflies(x, 64);
    for (size_t i = 0; i < n; i += LANES)
        vst1q_f32(x + i, vmulq_n_f32(vld1q_f32(x + i), factor));
}

/* values[n] = x[n_given] and zeros, signs applied. */
static void load_signed(const float *x, size_t n_given, const uint32_t *signs, float *values,
                        size_t n)
{
    size_t i = 0;

    for (; i + LANES <= n_given && i < n; i += LANES)
        vst1q_f32(values + i, flip(vld1q_f32(x + i), signs + i));
    for (; i < n; i++)
        values[i] = (i < n_given ? x[i] : 0) * (signs[i] ? -1.0F : 1.0F);
}

/* The largest magnitude, as bits: they order as magnitudes do, NaN above infinity. */
static float largest_of(const float *values, size_t n)
{
    uint32x4_t largest = vdupq_n_u32(0);

    for (size_t i = 0; i < n; i += LANES) {
        const uint32x4_t bits = vreinterpretq_u32_f32(vld1q_f32(values + i));
        largest = vmaxq_u32(largest, vandq_u32(bits, vdupq_n_u32(0x7FFFFFFF)));
    }
    return vgetq_lane_f32(vreinterpretq_f32_u32(vdupq_n_u32(vmaxvq_u32(largest))), 0);
}

/* 16 values: out = nearest integers to values * inverse; returns their sums by lane. */
INLINE int32x4_t quantize16(const float *values, float inverse, int32x4_t mask, int8_t *out)
{
    int32x4_t v[4];

    for (size_t i = 0; i < 4; i++) {
        const float32x4_t scaled = vmulq_n_f32(vld1q_f32(values + LANES * i), inverse);
        v[i] = vandq_s32(vcvtnq_s32_f32(scaled), mask);
    }
    const int16x8_t low = vcombine_s16(vmovn_s32(v[0]), vmovn_s32(v[1]));
    const int16x8_t high = vcombine_s16(vmovn_s32(v[2]), vmovn_s32(v[3]));
    vst1q_s8(out, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
    return vaddq_s32(vaddq_s32(v[0], v[1]), vaddq_s32(v[2], v[3]));
}

/* Quantize a scale block to a row of tiles of `height` tokens. */
static void quantize(const float *values, size_t n, int8_t *out, size_t height, float *scale,
                     int32_t *sum)
{
    const float largest = largest_of(values, n);
    const bool usable = largest >= UPG_Q8_LEAST && isfinite(largest);
    const float inverse = usable ? 127 / largest : 0;
    const int32x4_t mask = vdupq_n_s32(usable ? -1 : 0); /* 0 times infinity is no number */
    int32x4_t total = vdupq_n_s32(0);

    for (size_t i = 0; i < n; i += 16) {
        int8_t *to = out + i / UPG_Q8_COLS * height * UPG_Q8_COLS + i % UPG_Q8_COLS;
        total = vaddq_s32(total, quantize16(values + i, inverse, mask, to));
    }
    *sum = vaddvq_s32(total);
    *scale = usable ? largest / 127 : isfinite(largest) ? 0 : NAN;
}

void upg_rotate_quantize_neon(struct upg_q8_rows *out, const float *x, size_t x_stride,
                              size_t n_cols, uint64_t seed_in, size_t block_begin, size_t block_end)
{
    uint32_t signs[UPG_SCALE_BLOCK];
    float values[UPG_SCALE_BLOCK];

    for (size_t h = block_begin; h < block_end; h++) {
        const size_t begin = h * UPG_SCALE_BLOCK, left = out->padded_cols - begin;
        const size_t n = left < UPG_SCALE_BLOCK ? left : UPG_SCALE_BLOCK;
        const size_t n_given = n_cols > begin ? n_cols - begin : 0;

        hash_signs(seed_in, begin, n, signs);
        for (size_t t = 0; t < out->n_tokens; t++) {
            load_signed(x + t * x_stride + begin, n_given, signs, values, n);
            for (size_t i = 0; i < n; i += upg_hadamard_block(i, n))
                hadamard(values + i, upg_hadamard_block(i, n));
            quantize(values, n, out->values + upg_q8_offset(out, t, begin), upg_q8_height(out, t),
                     &out->scales[t * out->n_blocks + h], &out->sums[t * out->n_blocks + h]);
        }
    }
}

void upg_transform_out_neon(float *y, size_t n_padded, uint64_t seed)
{
    uint32_t signs[UPG_SCALE_BLOCK];

    for (size_t begin = 0, n; begin < n_padded; begin += n) {
        float *block = y + begin;

        n = upg_hadamard_block(begin, n_padded);
        hash_signs(seed, begin, n, signs);
        hadamard(block, n);
        for (size_t i = 0; i < n; i += LANES)
            vst1q_f32(block + i, flip(vld1q_f32(block + i), signs + i));
    }
}
