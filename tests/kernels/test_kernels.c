/* test_kernels.c -- every kernel of every tier that this machine has against scalar.
 *
 *   test_kernels [--seed N] [--tier NAME] [--kernel NAME] [--percent N]
 *
 * A kernel that a tier takes over from a lower one is not tested again.  A fault is caught and
 * named. */
#include "check.h"

#include "kernels/levels.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void (*any_function)(void);

static const struct {
    const char *name;
    size_t offset; /* of the pointer in struct upg_kernels */
    void (*check)(struct check *check);
} kernels_to_check[] = {
    {"matmul_f32", offsetof(struct upg_kernels, matmul_f32), check_matmul_f32},
    {"matmul_bf16", offsetof(struct upg_kernels, matmul_bf16), check_matmul_bf16},
    {"matmul_f16", offsetof(struct upg_kernels, matmul_f16), check_matmul_f16},
    {"matmul_i8_rows", offsetof(struct upg_kernels, matmul_i8_rows), check_matmul_i8_rows},
    {"rms_norm", offsetof(struct upg_kernels, rms_norm), check_rms_norm},
    {"silu_gate", offsetof(struct upg_kernels, silu_gate), check_silu_gate},
    {"rotate_quantize", offsetof(struct upg_kernels, rotate_quantize), check_rotate_quantize},
    {"packed_matmul", offsetof(struct upg_kernels, packed_matmul), check_packed_matmul},
    {"transform_out", offsetof(struct upg_kernels, transform_out), check_transform_out},
    {"coded_keys", offsetof(struct upg_kernels, coded_keys), check_coded_keys},
    {"coded_values", offsetof(struct upg_kernels, coded_values), check_coded_values},
};
enum { N_KERNELS = sizeof kernels_to_check / sizeof kernels_to_check[0] };

struct options {
    uint64_t seed;
    const char *tier, *kernel; /* NULL: all */
    size_t percent;            /* of the usual number of cases */
};

static sigjmp_buf before_kernel;

static void on_fault(int signal_number)
{
    siglongjmp(before_kernel, signal_number);
}

static void catch_faults(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction action = {.sa_handler = on_fault};

    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
}

static any_function pointer_of(const struct upg_kernels *kernels, size_t kernel)
{
    any_function pointer;

    memcpy(&pointer, (const char *)kernels + kernels_to_check[kernel].offset, sizeof pointer);
    return pointer;
}

/* Failures of one kernel of one tier. */
static int check_kernel(const struct upg_kernels *kernels, const struct upg_kernels *scalar,
                        size_t kernel, const struct options *options)
{
    static struct check check; /* static: read after a longjmp */

    check = (struct check){.kernels = kernels,
                           .scalar = scalar,
                           .kernel = kernels_to_check[kernel].name,
                           .random = {options->seed},
                           .percent = options->percent};

    const int signal_number = sigsetjmp(before_kernel, 1);
    if (signal_number == 0)
        kernels_to_check[kernel].check(&check);
    else
        check_failed(&check, "%s", strsignal(signal_number));
    printf("%-12s %-16s %s\n", kernels->tier, check.kernel, check.n_failures ? "FAILED" : "ok");
    fflush(stdout);
    return check.n_failures;
}

static int check_tiers(const struct options *options)
{
    size_t n_levels;
    const struct upg_kernel_level *levels = upg_kernel_levels(&n_levels);
    struct upg_kernels scalar, lower, kernels;
    int n_failures = 0;

    upg_kernels_fill_scalar(&scalar);
    lower = (struct upg_kernels){0};
    kernels = scalar;
    for (size_t level = 0; level <= n_levels; level++) {
        if (level > 0) {
            if (!levels[level - 1].available()) {
                printf("%-12s this machine lacks %s\n", levels[level - 1].name,
                       levels[level - 1].needs);
                continue;
            }
            lower = kernels;
            levels[level - 1].fill(&kernels);
            kernels.tier = levels[level - 1].name;
        }
        if (options->tier && strcmp(options->tier, kernels.tier) != 0)
            continue;
        for (size_t k = 0; k < N_KERNELS; k++)
            if (pointer_of(&kernels, k) != pointer_of(&lower, k) &&
                (!options->kernel || !strcmp(options->kernel, kernels_to_check[k].name)))
                n_failures += check_kernel(&kernels, &scalar, k, options);
    }
    return n_failures;
}

int main(int argc, char **argv)
{
    struct options options = {.seed = (uint64_t)time(NULL), .percent = 100};

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--seed"))
            options.seed = strtoull(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--tier"))
            options.tier = argv[i + 1];
        else if (!strcmp(argv[i], "--kernel"))
            options.kernel = argv[i + 1];
        else if (!strcmp(argv[i], "--percent"))
            options.percent = strtoul(argv[i + 1], NULL, 10);
    }
    printf("seed %llu\n", (unsigned long long)options.seed);
    catch_faults();
    return check_ladder() + check_tiers(&options) != 0;
}
