/* kernels_peaks_x86.c */
#include "kernels_peaks.h"

#include "kernels/unroll.h"

#include <immintrin.h>
#include <string.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vnni")))

enum bench_unit bench_unit_of(const char *tier)
{
    return !strcmp(tier, "amx")           ? UNIT_AMX
           : !strcmp(tier, "avx512-vbmi") ? UNIT_AVX512_VNNI
           : !strcmp(tier, "avx512-vnni") ? UNIT_AVX512_VNNI
           : !strcmp(tier, "avx512-bw")   ? UNIT_AVX512
           : !strcmp(tier, "avx2-vnni")   ? UNIT_AVX2_VNNI
           : !strcmp(tier, "avx2-fma")    ? UNIT_AVX2
                                          : UNIT_NONE;
}

/* The compiler must take a value as changed. */
#define KEEP(value) __asm__ volatile("" : "+x"(value))
#define KEEP512(value) __asm__ volatile("" : "+v"(value))

__attribute__((target("avx2"))) static void products_avx2(size_t n)
{
    __m256i sums[8], a = _mm256_set1_epi8(1), b = a;
    const __m256i ones = _mm256_set1_epi16(1);

    UPG_UNROLL
    for (int j = 0; j < 8; j++)
        sums[j] = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i++) {
        UPG_UNROLL
        for (int j = 0; j < 8; j++) {
            KEEP(a);
            sums[j] =
                _mm256_add_epi32(sums[j], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
        }
    }
    UPG_UNROLL
    for (int j = 0; j < 8; j++)
        KEEP(sums[j]);
}

__attribute__((target("avx2,avxvnni"))) static void products_avx2_vnni(size_t n)
{
    __m256i sums[12], a = _mm256_set1_epi8(1), b = a;

    UPG_UNROLL
    for (int j = 0; j < 12; j++)
        sums[j] = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i++) {
        UPG_UNROLL
        for (int j = 0; j < 12; j++) {
            KEEP(a);
            sums[j] = _mm256_dpbusd_avx_epi32(sums[j], a, b);
        }
    }
    UPG_UNROLL
    for (int j = 0; j < 12; j++)
        KEEP(sums[j]);
}

AVX512 static void products_avx512(size_t n)
{
    __m512i sums[16], a = _mm512_set1_epi8(1), b = a;
    const __m512i ones = _mm512_set1_epi16(1);

    UPG_UNROLL
    for (int j = 0; j < 16; j++)
        sums[j] = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i++) {
        UPG_UNROLL
        for (int j = 0; j < 16; j++) {
            KEEP512(a);
            sums[j] =
                _mm512_add_epi32(sums[j], _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), ones));
        }
    }
    UPG_UNROLL
    for (int j = 0; j < 16; j++)
        KEEP512(sums[j]);
}

AVX512 static void products_avx512_vnni(size_t n)
{
    __m512i sums[16], a = _mm512_set1_epi8(1), b = a;

    UPG_UNROLL
    for (int j = 0; j < 16; j++)
        sums[j] = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i++) {
        UPG_UNROLL
        for (int j = 0; j < 16; j++) {
            KEEP512(a);
            sums[j] = _mm512_dpbusd_epi32(sums[j], a, b);
        }
    }
    UPG_UNROLL
    for (int j = 0; j < 16; j++)
        KEEP512(sums[j]);
}

__attribute__((target("amx-tile,amx-int8"))) static void products_amx(size_t n)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};

    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    __asm__ volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (size_t i = 0; i < n; i++) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_release();
}

double bench_int8_products(enum bench_unit unit, size_t n)
{
    switch (unit) {
    case UNIT_AMX: products_amx(n); return 4 * 16 * 16 * 64 * 2;
    case UNIT_AVX512_VNNI: products_avx512_vnni(16 * n); return 16 * 16 * 64 * 2;
    case UNIT_AVX512: products_avx512(16 * n); return 16 * 16 * 64 * 2;
    case UNIT_AVX2_VNNI: products_avx2_vnni(16 * n); return 16 * 12 * 32 * 2;
    case UNIT_AVX2: products_avx2(16 * n); return 16 * 8 * 32 * 2;
    case UNIT_NONE:
    default: return 0;
    }
}

__attribute__((target("avx2"))) void bench_read(const uint8_t *bytes, size_t n_bytes)
{
    __m256i sums[8] = {0};

    for (const uint8_t *end = bytes + n_bytes; bytes < end; bytes += 256)
        for (int i = 0; i < 8; i++) {
            if (i % 2 == 0)
                _mm_prefetch((const char *)bytes + 4096 + 32 * i, _MM_HINT_T0);
            sums[i] = _mm256_add_epi64(sums[i], _mm256_load_si256((const __m256i *)bytes + i));
        }
    for (int i = 0; i < 8; i++)
        KEEP(sums[i]);
}
