/* test_kernels.c -- every kernel of every tier that this machine has against scalar.
 *
 *   test_kernels [--seed N] [--tier NAME] [--kernel NAME] [--percent N]
 *
 * A kernel that a tier takes over from a lower one is not tested again.  A fault is caught and
 * named. */
#include "bench/check.h"
#include "check_ladder.h"

#include "kernels/levels.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* Failures of one kernel of one tier. */
static int check_kernel(const struct upg_kernels *kernels, const struct upg_kernels *scalar,
                        size_t kernel, const struct options *options)
{
    static struct upg_check check; /* static: read after a longjmp */

    upg_check_begin(&check, kernels, scalar, kernel, options->seed, options->percent);
    const int signal_number = sigsetjmp(before_kernel, 1);
    if (signal_number == 0)
        upg_check_run(&check, kernel);
    else
        upg_check_failed(&check, "%s", strsignal(signal_number));
    printf("%-12s %-16s %s\n", kernels->tier, check.kernel,
           check.n_failures ? check.failure : "ok");
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
        for (size_t k = 0; k < upg_n_checks(); k++)
            if (upg_check_is_new(&kernels, &lower, k) &&
                (!options->kernel || !strcmp(options->kernel, upg_check_name(k))))
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
