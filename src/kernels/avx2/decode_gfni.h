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

#include "kernels/unroll.h"
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
    __m256i planes[2][2];
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

/* Bytes of 8 consecutive bits of a plane's stream, for the 8 steps of a block.
 *   rate 1   from bit -5, -2 and 0 of the block on
 *   rate 2   from symbol -2, 0, 2 and 4 on */
struct windows {
    __m256i from[4];
};

INLINE struct windows open_plane(const struct decoder *d, const struct plane *p, int rate,
                                 const __m256i *bits, __m256i carried[2])
{
    struct windows w;

    (void)p;
    if (rate == 1) {
        w.from[0] = _mm256_xor_si256(carried[0], times(bits[0], d->left5));
        w.from[1] = _mm256_xor_si256(carried[1], times(bits[0], d->left2));
        w.from[2] = bits[0];
        carried[0] = times(bits[0], d->right3);
        carried[1] = times(bits[0], d->right6);
    } else {
        w.from[0] = _mm256_xor_si256(carried[0], times(bits[0], d->left4));
        w.from[1] = bits[0];
        w.from[2] = _mm256_xor_si256(times(bits[0], d->right4), times(bits[1], d->left4));
        w.from[3] = bits[1];
        carried[0] = times(bits[1], d->right4);
    }
    return w;
}

/* The plane's part of the weights of one step; rate and step are constants. */
INLINE __m256i value_at(const struct decoder *d, const struct plane *p, int rate,
                        const struct windows *w, int step)
{
    static const int first_step[] = {0, 3, 5}; /* of each of the three bytes at rate 1 */
    const int byte = rate == 2 ? step / 2 : step < 3 ? 0 : step < 5 ? 1 : 2;
    const int bit = rate == 2 ? step % 2 * 2 : step - first_step[byte];

    (void)d;
    return _mm256_shuffle_epi8(p->value, times(w->from[byte], p->index[bit]));
}

#include "kernels/avx2/decode_block.h"

#endif
