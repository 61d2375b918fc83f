/* lanes.h -- adding the lanes of four sums at once: half the instructions of one after the other. */
#ifndef UPG_KERNELS_AVX512_LANES_H
#define UPG_KERNELS_AVX512_LANES_H

#include <immintrin.h>

/* The sums of the lanes of each. */
static inline __attribute__((always_inline)) __m128 add_lanes(__m512 a, __m512 b, __m512 c,
                                                              __m512 d)
{
    const __m512i firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
    const __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44),  /* a's first half, b's */
                                    _mm512_shuffle_f32x4(a, b, 0xEE)); /* their second halves */
    const __m512 cd =
        _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xEE));
    __m512 sum = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), /* 4 lanes of each */
                               _mm512_shuffle_f32x4(ab, cd, 0xDD));

    sum = _mm512_add_ps(sum, _mm512_permute_ps(sum, 0x4E)); /* lanes 2, 3, 0, 1 */
    sum = _mm512_add_ps(sum, _mm512_permute_ps(sum, 0xB1)); /* lanes 1, 0, 3, 2 */
    return _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, sum));
}

#endif
