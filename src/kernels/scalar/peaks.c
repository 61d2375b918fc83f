/* peaks.c -- products of numbers, and reading by words. */
#include "kernels/scalar/scalar.h"

#include "kernels/peaks.h"

enum { SUMS = 8 };

double upg_int8_products_scalar(size_t n_rounds)
{
    int32_t sums[SUMS] = {0}, factor = 1;

    for (size_t i = 0; i < n_rounds * UPG_PEAK_REPEATS; i++) {
        UPG_KEEP_INTEGER(factor);
        for (size_t j = 0; j < SUMS; j++)
            sums[j] += (int8_t)factor * (int8_t)(i + j);
    }
    for (size_t j = 0; j < SUMS; j++)
        UPG_KEEP_INTEGER(sums[j]);
    return UPG_PEAK_REPEATS * SUMS * 2;
}

void upg_read_scalar(const uint8_t *bytes, size_t n_bytes)
{
    const uint64_t *words = (const uint64_t *)(const void *)bytes;
    uint64_t sums[SUMS] = {0};

    for (size_t i = 0; i < n_bytes / sizeof *words; i += SUMS)
        for (size_t j = 0; j < SUMS; j++)
            sums[j] += words[i + j];
    for (size_t j = 0; j < SUMS; j++)
        UPG_KEEP_INTEGER(sums[j]);
}
