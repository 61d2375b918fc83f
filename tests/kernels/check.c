/* check.c -- data and reports of the checks. */
#include "check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void check_case(struct check *check, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(check->where, sizeof check->where, format, arguments);
    va_end(arguments);
}

void check_failed(struct check *check, const char *format, ...)
{
    enum { MOST_REPORTS = 5 }; /* of one kernel: the first ones tell enough */
    va_list arguments;

    if (check->n_failures++ >= MOST_REPORTS)
        return;
    printf("FAILED %s %s (%s): ", check->kernels->tier, check->kernel, check->where);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

size_t n_cases(const struct check *check, size_t n)
{
    return (n * check->percent + 99) / 100;
}

const char *data_name(enum data data)
{
    static const char *const names[N_DATA] = {"random", "zero", "extreme", "alternating"};

    return names[data];
}

int random_int(struct check *check, int low, int high)
{
    return low + (int)(upg_random_u64(&check->random) % (unsigned)(high - low + 1));
}

void fill_bytes(struct check *check, void *bytes, size_t n_bytes, enum data data)
{
    static const uint8_t extremes[] = {0x00, 0xFF, 0x80, 0x7F};
    uint8_t *out = bytes;

    for (size_t i = 0; i < n_bytes; i++) {
        const uint64_t random = upg_random_u64(&check->random) >> 32;
        out[i] = data == DATA_RANDOM    ? (uint8_t)random
                 : data == DATA_ZERO    ? 0
                 : data == DATA_EXTREME ? extremes[random % 4]
                 : i % 2                ? 0xAA
                                        : 0x55;
    }
}

void fill_floats(struct check *check, float *values, size_t n, enum data data)
{
    static const float extremes[] = {1e18F, -1e18F, 1e-18F, -1e-18F, 0, -0.0F};

    for (size_t i = 0; i < n; i++) {
        const double unit = upg_random_unit(&check->random);
        values[i] = data == DATA_RANDOM    ? (float)(2 * unit - 1)
                    : data == DATA_ZERO    ? 0
                    : data == DATA_EXTREME ? extremes[(size_t)(unit * 6)]
                    : i % 2                ? -1
                                           : 1;
    }
}

bool same_floats(struct check *check, const float *expected, const float *got, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&expected[i], &got[i], sizeof got[i]) != 0 &&
            !(isnan(expected[i]) && isnan(got[i]))) {
            check_failed(check, "element %zu is %a instead of %a", i, (double)got[i],
                         (double)expected[i]);
            return false;
        }
    return true;
}
