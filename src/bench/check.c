/* check.c -- the list of kernels; data and reports of the checks. */
#include "bench/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void upg_check_case(struct upg_check *check, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(check->where, sizeof check->where, format, arguments);
    va_end(arguments);
}

void upg_check_failed(struct upg_check *check, const char *format, ...)
{
    const size_t n = strlen(check->where);
    va_list arguments;

    if (check->n_failures++ > 0)
        return;
    snprintf(check->failure, sizeof check->failure, "%s%s", check->where, n ? ": " : "");
    va_start(arguments, format);
    vsnprintf(check->failure + strlen(check->failure),
              sizeof check->failure - strlen(check->failure), format, arguments);
    va_end(arguments);
}

size_t upg_check_count(const struct upg_check *check, size_t n)
{
    return check->no_memory ? 0 : (n * check->percent + 99) / 100;
}

const char *upg_check_data_name(enum upg_check_data data)
{
    static const char *const names[N_DATA] = {"random", "zero", "extreme", "alternating"};

    return names[data];
}

int upg_check_int(struct upg_check *check, int low, int high)
{
    return low + (int)(upg_random_u64(&check->random) % (unsigned)(high - low + 1));
}

void upg_check_bytes(struct upg_check *check, void *bytes, size_t n_bytes, enum upg_check_data data)
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

void upg_check_floats(struct upg_check *check, float *values, size_t n, enum upg_check_data data)
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

bool upg_check_same(struct upg_check *check, const float *expected, const float *got, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&expected[i], &got[i], sizeof got[i]) != 0 &&
            !(isnan(expected[i]) && isnan(got[i]))) {
            upg_check_failed(check, "element %zu is %a instead of %a", i, (double)got[i],
                             (double)expected[i]);
            return false;
        }
    return true;
}

typedef void (*any_function)(void);

static const struct {
    const char *name;
    size_t offset; /* of the pointer in struct upg_kernels */
    void (*check)(struct upg_check *check);
} list[] = {
    {"matmul_f32", offsetof(struct upg_kernels, matmul_f32), upg_check_matmul_f32},
    {"matmul_bf16", offsetof(struct upg_kernels, matmul_bf16), upg_check_matmul_bf16},
    {"matmul_f16", offsetof(struct upg_kernels, matmul_f16), upg_check_matmul_f16},
    {"matmul_i8_rows", offsetof(struct upg_kernels, matmul_i8_rows), upg_check_matmul_i8_rows},
    {"rms_norm", offsetof(struct upg_kernels, rms_norm), upg_check_rms_norm},
    {"silu_gate", offsetof(struct upg_kernels, silu_gate), upg_check_silu_gate},
    {"running_softmax", offsetof(struct upg_kernels, running_softmax), upg_check_running_softmax},
    {"scale_add", offsetof(struct upg_kernels, scale_add), upg_check_scale_add},
    {"rotate_quantize", offsetof(struct upg_kernels, rotate_quantize), upg_check_rotate_quantize},
    {"packed_matmul", offsetof(struct upg_kernels, packed_matmul), upg_check_packed_matmul},
    {"transform_out", offsetof(struct upg_kernels, transform_out), upg_check_transform_out},
    {"coded_keys", offsetof(struct upg_kernels, coded_keys), upg_check_coded_keys},
    {"coded_values", offsetof(struct upg_kernels, coded_values), upg_check_coded_values},
};

size_t upg_n_checks(void)
{
    return sizeof list / sizeof *list;
}

const char *upg_check_name(size_t i)
{
    return list[i].name;
}

static any_function pointer_of(const struct upg_kernels *kernels, size_t i)
{
    any_function pointer;

    memcpy(&pointer, (const char *)kernels + list[i].offset, sizeof pointer);
    return pointer;
}

bool upg_check_is_new(const struct upg_kernels *kernels, const struct upg_kernels *lower, size_t i)
{
    return pointer_of(kernels, i) != pointer_of(lower, i);
}

void upg_check_begin(struct upg_check *check, const struct upg_kernels *kernels,
                     const struct upg_kernels *scalar, size_t i, uint64_t seed, size_t percent)
{
    *check = (struct upg_check){.kernels = kernels,
                                .scalar = scalar,
                                .kernel = list[i].name,
                                .random = {seed},
                                .percent = percent};
}

void upg_check_run(struct upg_check *check, size_t i)
{
    list[i].check(check);
}
