/* transform.c -- signs, Hadamard blocks and int8 quantization with AVX2.
 *
 * A Hadamard block of 256 values is 32 vectors in L1.  Butterflies at distance 1, 2 and 4 are a
 * permutation and one fused multiply-add by 1 and -1, which rounds as an addition does; at 8 to 128
 * they are between vectors, two distances at a time, so that each value is loaded once for two. The
 * signs of a block are hashed once for all tokens. */
#include "kernels/avx2/avx2.h"

#include "base/random.h"

#include <immintrin.h>
#include <math.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 8 };

/* -0 where value index + i is negated, else 0: upg_transform_sign(), inline for vectors of them. */
static void hash_signs(uint64_t seed, size_t index, size_t n, float signs[UPG_SCALE_BLOCK])
{
    for (size_t i = 0; i < n; i++)
        signs[i] = upg_splitmix64(seed + index + i) >> 63 ? -0.0F : 0.0F;
}

/* v and its partners: lane i becomes v[i] * factor[i] + partner[i], the factors 1 and -1. */
INLINE __m256 butterfly(__m256 v, __m256 partner, __m256 factor)
{
    return _mm256_fmadd_ps(v, factor, partner);
}

INLINE __m256 within_vector(__m256 v)
{
    const __m256 by1 = _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1);
    const __m256 by2 = _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1);
    const __m256 by4 = _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1);

    v = butterfly(v, _mm256_permute_ps(v, 0xB1), by1);
    v = butterfly(v, _mm256_permute_ps(v, 0x4E), by2);
    return butterfly(v, _mm256_permute2f128_ps(v, v, 0x01), by4);
}

/* Butterflies at distance and at 2 * distance, in values. */
INLINE void two_distances(float *x, size_t n, size_t distance)
{
    for (size_t begin = 0; begin < n; begin += 4 * distance)
        for (size_t i = begin; i < begin + distance; i += LANES) {
            float *at = x + i;
            const __m256 a = _mm256_load_ps(at), b = _mm256_load_ps(at + distance);
            const __m256 c = _mm256_load_ps(at + 2 * distance);
            const __m256 d = _mm256_load_ps(at + 3 * distance);
            const __m256 ab = _mm256_add_ps(a, b), ab_ = _mm256_sub_ps(a, b);
            const __m256 cd = _mm256_add_ps(c, d), cd_ = _mm256_sub_ps(c, d);
            _mm256_store_ps(at, _mm256_add_ps(ab, cd));
            _mm256_store_ps(at + distance, _mm256_add_ps(ab_, cd_));
            _mm256_store_ps(at + 2 * distance, _mm256_sub_ps(ab, cd));
            _mm256_store_ps(at + 3 * distance, _mm256_sub_ps(ab_, cd_));
        }
}

INLINE void one_distance(float *x, size_t n, size_t distance)
{
    for (size_t begin = 0; begin < n; begin += 2 * distance)
        for (size_t i = begin; i < begin + distance; i += LANES) {
            const __m256 a = _mm256_load_ps(x + i), b = _mm256_load_ps(x + i + distance);
            _mm256_store_ps(x + i, _mm256_add_ps(a, b));
            _mm256_store_ps(x + i + distance, _mm256_sub_ps(a, b));
        }
}

/* x -> H x without the factor, n = 64, 128 or 256 (a constant), x 32-byte aligned. */
INLINE void butterflies(float *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        _mm256_store_ps(x + i, within_vector(_mm256_load_ps(x + i)));
    two_distances(x, n, 8);
    if (n == 64) {
        one_distance(x, n, 32);
    } else {
        two_distances(x, n, 32);
        if (n == 256)
            one_distance(x, n, 128);
    }
}

/* x -> H x in place, n = 64, 128 or 256; then signs, if not NULL. */
static void hadamard(float *x, size_t n, const float *signs)
{
    const float factor = n == 256 ? 0x1p-4F : n == 128 ? 0x1.6A09E6p-4F : 0x1p-3F;

    if (n == 256)
        butterflies(x, 256);
    else if (n == 128)
        butterflies(x, 128);
    else
        butterflies(x, 64);
    for (size_t i = 0; i < n; i += LANES) {
        const __m256 v = _mm256_mul_ps(_mm256_load_ps(x + i), _mm256_set1_ps(factor));
        _mm256_store_ps(x + i, signs ? _mm256_xor_ps(v, _mm256_load_ps(signs + i)) : v);
    }
}

/* values[n] = x[n_given] and zeros, signs applied. */
static void load_signed(const float *x, size_t n_given, const float *signs, float *values, size_t n)
{
    const size_t n_read = n_given < n ? n_given : n;
    size_t i = 0;

    for (; i + LANES <= n_read; i += LANES) {
        const __m256 v = _mm256_xor_ps(_mm256_loadu_ps(x + i), _mm256_load_ps(signs + i));
        _mm256_store_ps(values + i, v);
    }
    for (; i < n_read; i++)
        values[i] = signbit(signs[i]) ? -x[i] : x[i];
    for (; i < n; i++)
        values[i] = signs[i]; /* zeros too */
}

/* The largest magnitude, as bits: they order as magnitudes do, NaN above infinity. */
static float largest_of(const float *values, size_t n)
{
    __m256i largest = _mm256_setzero_si256();
    _Alignas(32) int32_t lanes[LANES];
    int32_t bits = 0;
    float out;

    for (size_t i = 0; i < n; i += LANES) {
        const __m256i v = _mm256_load_si256((const __m256i *)(values + i));
        const __m256i magnitude = _mm256_and_si256(v, _mm256_set1_epi32(0x7FFFFFFF));
        largest = _mm256_max_epi32(largest, magnitude);
    }
    _mm256_store_si256((__m256i *)lanes, largest);
    for (size_t i = 0; i < LANES; i++)
        bits = lanes[i] > bits ? lanes[i] : bits;
    _mm_store_ss(&out, _mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
    return out;
}

/* 32 values at a time: out = nearest integers to values * inverse; returns their sums by lane. */
INLINE __m256i quantize32(const float *values, __m256 inverse, __m256i mask, int8_t *out)
{
    __m256i v[4];

    for (size_t i = 0; i < 4; i++) {
        const __m256 scaled = _mm256_mul_ps(_mm256_load_ps(values + LANES * i), inverse);
        v[i] = _mm256_and_si256(_mm256_cvtps_epi32(scaled), mask);
    }
    /* packing works within 128-bit halves; the permutation puts the quarters in order */
    const __m256i words01 = _mm256_packs_epi32(v[0], v[1]),
                  words23 = _mm256_packs_epi32(v[2], v[3]);
    const __m256i bytes = _mm256_packs_epi16(words01, words23);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_store_si256((__m256i *)out, _mm256_permutevar8x32_epi32(bytes, order));
    return _mm256_add_epi32(_mm256_add_epi32(v[0], v[1]), _mm256_add_epi32(v[2], v[3]));
}

/* Quantize a scale block to a row of tiles of `height` tokens. */
static void quantize(const float *values, size_t n, int8_t *out, size_t height, float *scale,
                     int32_t *sum)
{
    const float largest = largest_of(values, n);
    const bool usable = largest >= UPG_Q8_LEAST && isfinite(largest);
    const __m256 inverse = _mm256_set1_ps(usable ? 127 / largest : 0);
    const __m256i mask = _mm256_set1_epi32(usable ? -1 : 0); /* 0 times infinity is no number */
    __m256i total = _mm256_setzero_si256();
    _Alignas(32) int32_t lanes[LANES];

    for (size_t i = 0; i < n; i += 32) {
        int8_t *to = out + i / UPG_Q8_COLS * height * UPG_Q8_COLS + i % UPG_Q8_COLS;
        total = _mm256_add_epi32(total, quantize32(values + i, inverse, mask, to));
    }
    _mm256_store_si256((__m256i *)lanes, total);
    *sum = 0;
    for (size_t i = 0; i < LANES; i++)
        *sum += lanes[i];
    *scale = usable ? largest / 127 : isfinite(largest) ? 0 : NAN;
}

void upg_rotate_quantize_avx2(struct upg_q8_rows *out, const float *x, size_t x_stride,
                              size_t n_cols, uint64_t seed_in, size_t block_begin, size_t block_end)
{
    _Alignas(32) float signs[UPG_SCALE_BLOCK], values[UPG_SCALE_BLOCK];

    for (size_t h = block_begin; h < block_end; h++) {
        const size_t begin = h * UPG_SCALE_BLOCK, left = out->padded_cols - begin;
        const size_t n = left < UPG_SCALE_BLOCK ? left : UPG_SCALE_BLOCK;
        const size_t n_given = n_cols > begin ? n_cols - begin : 0;

        hash_signs(seed_in, begin, n, signs);
        for (size_t t = 0; t < out->n_tokens; t++) {
            load_signed(x + t * x_stride + begin, n_given, signs, values, n);
            for (size_t i = 0; i < n; i += upg_hadamard_block(i, n))
                hadamard(values + i, upg_hadamard_block(i, n), NULL);
            quantize(values, n, out->values + upg_q8_offset(out, t, begin), upg_q8_height(out, t),
                     &out->scales[t * out->n_blocks + h], &out->sums[t * out->n_blocks + h]);
        }
    }
}

void upg_transform_out_avx2(float *y, size_t n_padded, uint64_t seed)
{
    _Alignas(32) float signs[UPG_SCALE_BLOCK], values[UPG_SCALE_BLOCK];

    for (size_t begin = 0, n; begin < n_padded; begin += n) {
        n = upg_hadamard_block(begin, n_padded);
        hash_signs(seed, begin, n, signs);
        for (size_t i = 0; i < n; i += LANES)
            _mm256_store_ps(values + i, _mm256_loadu_ps(y + begin + i));
        hadamard(values, n, signs);
        for (size_t i = 0; i < n; i += LANES)
            _mm256_storeu_ps(y + begin + i, _mm256_load_ps(values + i));
    }
}
