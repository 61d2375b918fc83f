/* peaks.c -- products of numbers, and reading by words. */
#include "kernels/scalar/scalar.h"

enum { SUMS = 8, REPEATS = 16 };

double upg_int8_products_scalar(size_t n_rounds)
{
    volatile int8_t factor = 1; /* not known to the compiler */
    int32_t sums[SUMS] = {0};
    volatile int32_t total;

    for (size_t i = 0; i < n_rounds * REPEATS; i++) {
        const int8_t a = factor;
        for (size_t j = 0; j < SUMS; j++)
            sums[j] += a * (int8_t)(i + j);
    }
    total = 0;
    for (size_t j = 0; j < SUMS; j++)
        total += sums[j];
    return SUMS * REPEATS * 2;
}

void upg_read_scalar(const uint8_t *bytes, size_t n_bytes)
{
    const uint64_t *words = (const uint64_t *)(const void *)bytes;
    volatile uint64_t total = 0;
    uint64_t sums[SUMS] = {0};

    for (size_t i = 0; i < n_bytes / sizeof *words; i += SUMS)
        for (size_t j = 0; j < SUMS; j++)
            sums[j] += words[i + j];
    for (size_t j = 0; j < SUMS; j++)
        total += sums[j];
}
