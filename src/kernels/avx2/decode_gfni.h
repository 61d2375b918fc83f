/* decode_gfni.h -- 256 weights of a block with AVX2 and GFNI.
 *
 * The index of a window is linear in its bits (windows.h), so one 8 x 8 bit matrix product takes it
 * out of a byte that holds the whole window.  A byte holds 8 consecutive bits of the stream: three
 * windows of a rate-1 plane, two of a rate-2 plane.  Bytes across the border of two vectors are the
 * xor of two shifted ones.
 *
 * Operations for 256 weights at k = 3: 22 for each plane, 24 of them matrix products and 16
 * shuffles in all, 8 additions and 8 vpdpbusd: 60, on three ports. */
#ifndef UPG_KERNELS_AVX2_DECODE_GFNI_H
#define UPG_KERNELS_AVX2_DECODE_GFNI_H

#include "kernels/windows.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

struct plane {
    __m256i value;    /* [index] */
    __m256i index[3]; /* bit matrices: the index of the window at bit 0, 1, 2 of a byte */
};

struct decoder {
    struct plane planes[2];
    __m256i left2, left4, left5, right3, right4, right6; /* bit matrices that shift bytes */
};

/* Of the last vector of each plane, shifted right: at rate 2 by 4, at rate 1 by 3 and by 6. */
struct half_carry {
    __m256i a[2], b[2];
};

INLINE __m256i repeat8(uint64_t matrix)
{
    return _mm256_set1_epi64x((int64_t)matrix);
}

INLINE struct plane plane_of(const struct upg_code *code, int plane, int offset)
{
    uint8_t values[16];
    struct plane out;

    for (int i = 0; i < 16; i++)
        values[i] = (uint8_t)(code->table[plane][i] + offset);
    out.value = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)values));
    for (int at = 0; at < 3; at++)
        out.index[at] = repeat8(upg_byte_part(code, plane, -at));
    return out;
}

/* offset is added to every weight. */
INLINE struct decoder decoder_of(int k, int offset)
{
    const struct upg_code *code = upg_code_of(k);

    assert(upg_windows_linear(code));
    return (struct decoder){
        .planes = {plane_of(code, 0, offset), plane_of(code, 1, 0)},
        .left2 = repeat8(upg_byte_shift(2)),
        .left4 = repeat8(upg_byte_shift(4)),
        .left5 = repeat8(upg_byte_shift(5)),
        .right3 = repeat8(upg_byte_shift(-3)),
        .right4 = repeat8(upg_byte_shift(-4)),
        .right6 = repeat8(upg_byte_shift(-6)),
    };
}

INLINE __m256i times(__m256i bytes, __m256i matrix)
{
    return _mm256_gf2p8affine_epi64_epi8(bytes, matrix, 0);
}

/* The value of the window at bit `at` of each byte. */
INLINE __m256i value_at(const struct plane *p, __m256i bytes, int at)
{
    return _mm256_shuffle_epi8(p->value, times(bytes, p->index[at]));
}

/* 4 steps of a rate-2 plane.  Symbols -2 .. 1 of the stream, then 0 .. 3. */
INLINE void decode_rate2(const struct decoder *d, const struct plane *p, __m256i carried[2],
                         __m256i bits, __m256i out[4])
{
    const __m256i from_minus2 = _mm256_xor_si256(carried[0], times(bits, d->left4));

    out[0] = value_at(p, from_minus2, 0);
    out[1] = value_at(p, from_minus2, 2);
    out[2] = value_at(p, bits, 0);
    out[3] = value_at(p, bits, 2);
    carried[0] = times(bits, d->right4);
}

/* 8 steps of a rate-1 plane.  Bits -5 .. 2 of the stream, then -2 .. 5, then 0 .. 7. */
INLINE void decode_rate1(const struct decoder *d, const struct plane *p, __m256i carried[2],
                         __m256i bits, __m256i out[8])
{
    const __m256i from_minus5 = _mm256_xor_si256(carried[0], times(bits, d->left5));
    const __m256i from_minus2 = _mm256_xor_si256(carried[1], times(bits, d->left2));

    out[0] = value_at(p, from_minus5, 0);
    out[1] = value_at(p, from_minus5, 1);
    out[2] = value_at(p, from_minus5, 2);
    out[3] = value_at(p, from_minus2, 0);
    out[4] = value_at(p, from_minus2, 1);
    out[5] = value_at(p, bits, 0);
    out[6] = value_at(p, bits, 1);
    out[7] = value_at(p, bits, 2);
    carried[0] = times(bits, d->right3);
    carried[1] = times(bits, d->right6);
}

#include "kernels/avx2/decode_block.h"

#endif
