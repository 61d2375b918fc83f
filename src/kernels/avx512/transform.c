/* transform.c -- signs, Hadamard blocks and int8 quantization with AVX-512.
 *
 * A Hadamard block of 256 values is 16 registers.  Butterflies at distance 1 to 8 are a permutation
 * and one fused multiply-add by 1 and -1, which rounds as an addition does; at 16 to 128 they are
 * between registers.  The signs of a block are hashed once for all tokens. */
#include "kernels/avx512/avx512.h"

#include <immintrin.h>
#include <math.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16, MOST_VECTORS = UPG_SCALE_BLOCK / LANES };

/* Bit i: is value index + i negated?  The top bit of upg_splitmix64(seed + index + i); the last
 * xor-shift of the hash does not reach it. */
static __mmask8 eight_signs(uint64_t seed, size_t index)
{
    const __m512i steps = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    const __m512i first = _mm512_set1_epi64((int64_t)(seed + index + 0x9E3779B97F4A7C15u));
    __m512i x = _mm512_add_epi64(first, steps);

    x = _mm512_xor_si512(x, _mm512_srli_epi64(x, 30));
    x = _mm512_mullo_epi64(x, _mm512_set1_epi64((int64_t)0xBF58476D1CE4E5B9u));
    x = _mm512_xor_si512(x, _mm512_srli_epi64(x, 27));
    x = _mm512_mullo_epi64(x, _mm512_set1_epi64((int64_t)0x94D049BB133111EBu));
    return _mm512_movepi64_mask(x);
}

/* The signs of n values from `index` on, 16 in a mask. */
static void hash_signs(uint64_t seed, size_t index, size_t n, __mmask16 signs[MOST_VECTORS])
{
    for (size_t i = 0; i < n / LANES; i++) {
        const unsigned low = eight_signs(seed, index + i * LANES);
        const unsigned high = eight_signs(seed, index + i * LANES + 8);
        signs[i] = (__mmask16)(low | high << 8);
    }
}

INLINE __m512 flip(__m512 v, __mmask16 signs)
{
    return _mm512_mask_xor_ps(v, signs, v, _mm512_set1_ps(-0.0F));
}

/* v and its partners: lane i becomes v[i] + partner[i], or partner[i] - v[i] where `minus` has it.
 */
INLINE __m512 butterfly(__m512 v, __m512 partner, __mmask16 minus)
{
    const __m512 one = _mm512_set1_ps(1);
    const __m512 factor = _mm512_mask_sub_ps(one, minus, _mm512_setzero_ps(), one);

    return _mm512_fmadd_ps(v, factor, partner);
}

/* H of n_vectors * 16 values, n_vectors = 4, 8 or 16 a constant. */
INLINE void hadamard(__m512 v[MOST_VECTORS], size_t n_vectors)
{
    const float factor = n_vectors == 16 ? 0x1p-4F : n_vectors == 8 ? 0x1.6A09E6p-4F : 0x1p-3F;

    for (size_t i = 0; i < n_vectors; i++) {
        v[i] = butterfly(v[i], _mm512_permute_ps(v[i], 0xB1), 0xAAAA);          /* distance 1 */
        v[i] = butterfly(v[i], _mm512_permute_ps(v[i], 0x4E), 0xCCCC);          /* 2 */
        v[i] = butterfly(v[i], _mm512_shuffle_f32x4(v[i], v[i], 0xB1), 0xF0F0); /* 4 */
        v[i] = butterfly(v[i], _mm512_shuffle_f32x4(v[i], v[i], 0x4E), 0xFF00); /* 8 */
    }
    for (size_t distance = 1; distance < n_vectors; distance *= 2)
        for (size_t i = 0; i < n_vectors; i++)
            if (!(i & distance)) {
                const __m512 sum = _mm512_add_ps(v[i], v[i + distance]);
                v[i + distance] = _mm512_sub_ps(v[i], v[i + distance]);
                v[i] = sum;
            }
    for (size_t i = 0; i < n_vectors; i++)
        v[i] = _mm512_mul_ps(v[i], _mm512_set1_ps(factor));
}

/* A Hadamard block of an input row: values[n], of which x gives n_given and the rest are 0. */
INLINE void rotate_in(const float *x, size_t n_given, const __mmask16 *signs, float *values,
                      size_t n_vectors)
{
    __m512 v[MOST_VECTORS];

    for (size_t i = 0; i < n_vectors; i++) {
        const size_t left = n_given > i * LANES ? n_given - i * LANES : 0;
        const __mmask16 mask = (__mmask16)(left >= LANES ? 0xFFFFU : (1U << left) - 1);
        v[i] = flip(_mm512_maskz_loadu_ps(mask, x + i * LANES), signs[i]);
    }
    hadamard(v, n_vectors);
    for (size_t i = 0; i < n_vectors; i++)
        _mm512_store_ps(values + i * LANES, v[i]);
}

/* Quantize a scale block: values[n], 64-byte aligned, to a row of tiles of `height` tokens. */
static void quantize(const float *values, size_t n, int8_t *out, size_t height, float *scale,
                     int32_t *sum)
{
    __m512i bits = _mm512_setzero_si512(), total = _mm512_setzero_si512();

    for (size_t i = 0; i < n; i += LANES) { /* magnitudes order as their bits do */
        const __m512i magnitude =
            _mm512_and_si512(_mm512_load_si512(values + i), _mm512_set1_epi32(0x7FFFFFFF));
        bits = _mm512_max_epu32(bits, magnitude);
    }

    const __m128i largest_bits = _mm_cvtsi32_si128((int)_mm512_reduce_max_epu32(bits));
    const float largest = _mm_cvtss_f32(_mm_castsi128_ps(largest_bits));
    const bool usable = largest >= UPG_Q8_LEAST && isfinite(largest);
    const __m512 inverse = _mm512_set1_ps(usable ? 127 / largest : 0);
    const __mmask16 mask = usable ? 0xFFFF : 0; /* else 0 times infinity would count */

    for (size_t i = 0; i < n; i += LANES) {
        const __m512 scaled = _mm512_mul_ps(_mm512_load_ps(values + i), inverse);
        const __m512i rounded = _mm512_maskz_cvtps_epi32(mask, scaled);
        int8_t *to = out + i / UPG_Q8_COLS * height * UPG_Q8_COLS + i % UPG_Q8_COLS;
        total = _mm512_add_epi32(total, rounded);
        _mm_store_si128((__m128i *)to, _mm512_cvtepi32_epi8(rounded));
    }
    *scale = usable ? largest / 127 : isfinite(largest) ? 0 : NAN;
    *sum = _mm512_reduce_add_epi32(total);
}

void upg_rotate_quantize_avx512(struct upg_q8_rows *out, const float *x, size_t x_stride,
                                size_t n_cols, uint64_t seed_in, size_t block_begin,
                                size_t block_end)
{
    _Alignas(64) float values[UPG_SCALE_BLOCK];
    __mmask16 signs[MOST_VECTORS];

    for (size_t h = block_begin; h < block_end; h++) {
        const size_t begin = h * UPG_SCALE_BLOCK, left = out->padded_cols - begin;
        const size_t n = left < UPG_SCALE_BLOCK ? left : UPG_SCALE_BLOCK;

        hash_signs(seed_in, begin, n, signs);
        for (size_t t = 0; t < out->n_tokens; t++) {
            for (size_t i = 0, block; i < n; i += block) {
                const float *from = x + t * x_stride + begin + i;
                const size_t n_given = n_cols > begin + i ? n_cols - begin - i : 0;

                block = upg_hadamard_block(i, n);
                if (block == 256)
                    rotate_in(from, n_given, signs, values, 16);
                else if (block == 128)
                    rotate_in(from, n_given, signs + i / LANES, values + i, 8);
                else
                    rotate_in(from, n_given, signs + i / LANES, values + i, 4);
            }
            quantize(values, n, out->values + upg_q8_offset(out, t, begin), upg_q8_height(out, t),
                     &out->scales[t * out->n_blocks + h], &out->sums[t * out->n_blocks + h]);
        }
    }
}

INLINE void rotate_out(float *y, const __mmask16 *signs, size_t n_vectors)
{
    __m512 v[MOST_VECTORS];

    for (size_t i = 0; i < n_vectors; i++)
        v[i] = _mm512_loadu_ps(y + i * LANES);
    hadamard(v, n_vectors);
    for (size_t i = 0; i < n_vectors; i++)
        _mm512_storeu_ps(y + i * LANES, flip(v[i], signs[i]));
}

void upg_transform_out_avx512(float *y, size_t n_padded, uint64_t seed)
{
    __mmask16 signs[MOST_VECTORS];

    for (size_t begin = 0, n; begin < n_padded; begin += n) {
        n = upg_hadamard_block(begin, n_padded);
        hash_signs(seed, begin, n, signs);
        if (n == 256)
            rotate_out(y + begin, signs, 16);
        else if (n == 128)
            rotate_out(y + begin, signs, 8);
        else
            rotate_out(y + begin, signs, 4);
    }
}
