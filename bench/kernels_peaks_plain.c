/* kernels_peaks_plain.c -- an architecture whose int8 peak is not measured. */
#include "kernels_peaks.h"

enum bench_unit bench_unit_of(const char *tier)
{
    (void)tier;
    return UNIT_NONE;
}

double bench_int8_products(enum bench_unit unit, size_t n)
{
    (void)unit, (void)n;
    return 0;
}

void bench_read(const uint8_t *bytes, size_t n_bytes)
{
    const uint64_t *words = (const uint64_t *)(const void *)bytes;
    uint64_t sums[8] = {0};

    for (size_t i = 0; i + 8 <= n_bytes / 8; i += 8)
        for (size_t j = 0; j < 8; j++)
            sums[j] += words[i + j];
    for (size_t j = 0; j < 8; j++)
        __asm__ volatile("" : "+r"(sums[j]));
}
