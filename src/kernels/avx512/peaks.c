/* peaks.c -- int8 products of AVX-512 BW and of VNNI in registers. */
#include "kernels/avx512/avx512.h"

#include "kernels/peaks.h"

#include <immintrin.h>

enum { SUMS = 16 };

double upg_int8_products_avx512_bw(size_t n_rounds)
{
    __m512i sums[SUMS], a = _mm512_set1_epi8(1);
    const __m512i b = a, ones = _mm512_set1_epi16(1);

    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        sums[j] = _mm512_setzero_si512();
    for (size_t i = 0; i < n_rounds * UPG_PEAK_REPEATS; i++) {
        UPG_UNROLL
        for (int j = 0; j < SUMS; j++) {
            UPG_KEEP512(a);
            sums[j] =
                _mm512_add_epi32(sums[j], _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), ones));
        }
    }
    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        UPG_KEEP512(sums[j]);
    return UPG_PEAK_REPEATS * SUMS * 64 * 2;
}

__attribute__((target("avx512vnni"))) double upg_int8_products_avx512_vnni(size_t n_rounds)
{
    __m512i sums[SUMS], a = _mm512_set1_epi8(1);
    const __m512i b = a;

    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        sums[j] = _mm512_setzero_si512();
    for (size_t i = 0; i < n_rounds * UPG_PEAK_REPEATS; i++) {
        UPG_UNROLL
        for (int j = 0; j < SUMS; j++) {
            UPG_KEEP512(a);
            sums[j] = _mm512_dpbusd_epi32(sums[j], a, b);
        }
    }
    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        UPG_KEEP512(sums[j]);
    return UPG_PEAK_REPEATS * SUMS * 64 * 2;
}
