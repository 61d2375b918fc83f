/* peaks.c -- int8 products of AVX2 and of AVX-VNNI in registers; reading a line with each prefetch
 * of one a page ahead. */
#include "kernels/avx2/avx2.h"

#include "kernels/peaks.h"

#include <immintrin.h>

enum { SUMS = 8, VNNI_SUMS = 12 }; /* more than the latency of a product times its rate */

double upg_int8_products_avx2_fma(size_t n_rounds)
{
    __m256i sums[SUMS], a = _mm256_set1_epi8(1);
    const __m256i b = a, ones = _mm256_set1_epi16(1);

    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        sums[j] = _mm256_setzero_si256();
    for (size_t i = 0; i < n_rounds * UPG_PEAK_REPEATS; i++) {
        UPG_UNROLL
        for (int j = 0; j < SUMS; j++) {
            UPG_KEEP(a);
            sums[j] =
                _mm256_add_epi32(sums[j], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
        }
    }
    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        UPG_KEEP(sums[j]);
    return UPG_PEAK_REPEATS * SUMS * 32 * 2;
}

__attribute__((target("avxvnni"))) double upg_int8_products_avx2_vnni(size_t n_rounds)
{
    __m256i sums[VNNI_SUMS], a = _mm256_set1_epi8(1);
    const __m256i b = a;

    UPG_UNROLL
    for (int j = 0; j < VNNI_SUMS; j++)
        sums[j] = _mm256_setzero_si256();
    for (size_t i = 0; i < n_rounds * UPG_PEAK_REPEATS; i++) {
        UPG_UNROLL
        for (int j = 0; j < VNNI_SUMS; j++) {
            UPG_KEEP(a);
            sums[j] = _mm256_dpbusd_avx_epi32(sums[j], a, b);
        }
    }
    UPG_UNROLL
    for (int j = 0; j < VNNI_SUMS; j++)
        UPG_KEEP(sums[j]);
    return UPG_PEAK_REPEATS * VNNI_SUMS * 32 * 2;
}

void upg_read_avx2(const uint8_t *bytes, size_t n_bytes)
{
    __m256i sums[SUMS];

    UPG_UNROLL
    for (int i = 0; i < SUMS; i++)
        sums[i] = _mm256_setzero_si256();
    for (const uint8_t *end = bytes + n_bytes; bytes < end; bytes += 256) {
        UPG_UNROLL
        for (int i = 0; i < SUMS; i++) {
            if (i % 2 == 0)
                _mm_prefetch((const char *)bytes + 4096 + 32 * i, _MM_HINT_T0);
            sums[i] = _mm256_add_epi64(sums[i], _mm256_load_si256((const __m256i *)bytes + i));
        }
    }
    UPG_UNROLL
    for (int i = 0; i < SUMS; i++)
        UPG_KEEP(sums[i]);
}
