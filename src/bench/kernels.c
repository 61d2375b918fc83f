/* kernels.c -- every kernel of every tier: compared with scalar, and timed. */
#include "bench/check.h"
#include "bench/kernel_speed.h"
#include "kernels/levels.h"

#include <math.h>
#include <string.h>

/* Fewer cases than the tests have: a second or two for all tiers. */
enum { PERCENT = 10 };

static void compare_tier(struct upg_speed *s, const struct upg_kernels *kernels,
                         const struct upg_kernels *lower, const struct upg_kernels *scalar,
                         uint64_t seed)
{
    for (size_t i = 0; i < upg_n_checks() && !s->stopped; i++) {
        struct upg_check check;
        upg_kernel_finding finding;

        if (!upg_check_is_new(kernels, lower, i))
            continue;
        upg_check_begin(&check, kernels, scalar, i, seed, PERCENT);
        upg_check_run(&check, i);
        finding = (upg_kernel_finding){.tier = kernels->tier,
                                       .kernel = check.kernel,
                                       .failure = check.n_failures ? check.failure : NULL,
                                       .fraction = NAN,
                                       .limit = "none"};
        s->stopped = s->on_finding(s->context, &finding) != 0;
    }
}

upg_status upg_measure_kernels(upg_machine *machine, size_t n_reps, uint64_t seed,
                               int (*on_finding)(void *context, const upg_kernel_finding *finding),
                               void *context, upg_error *err)
{
    struct upg_speed speed = {
        .machine = machine, .n_reps = n_reps, .on_finding = on_finding, .context = context};
    size_t n_levels, most_scratch = machine->kernels.scratch_bytes;
    const struct upg_kernel_level *levels = upg_kernel_levels(&n_levels);
    struct upg_kernels scalar, lower = {0}, kernels;
    upg_status status;

    if (n_reps > 100)
        return upg_fail(err, UPG_ERR_ARGUMENT, "repetitions: %zu are too many; at most 100",
                        n_reps);
    upg_kernels_fill_scalar(&scalar);
    kernels = scalar;
    for (size_t i = 0; i < n_levels; i++)
        if (levels[i].available()) {
            levels[i].fill(&kernels);
            most_scratch =
                kernels.scratch_bytes > most_scratch ? kernels.scratch_bytes : most_scratch;
        }
    status = upg_speed_init(&speed, most_scratch + UPG_CACHE_LINE, err);
    kernels = scalar;
    for (size_t level = 0; level <= n_levels && status == UPG_OK && !speed.stopped; level++) {
        if (level > 0 && !levels[level - 1].available())
            continue;
        if (level > 0) {
            levels[level - 1].fill(&kernels);
            kernels.tier = levels[level - 1].name;
        }
        compare_tier(&speed, &kernels, &lower, &scalar, seed);
        if (n_reps > 0)
            upg_speed_tier(&speed, &kernels, &lower);
        lower = kernels;
        if (strcmp(kernels.tier, machine->kernels.tier) == 0)
            break; /* no higher one is allowed */
    }
    upg_arena_clear(&speed.arena);
    if (status == UPG_OK && speed.stopped)
        return upg_fail(err, UPG_ERR_CANCELLED, "cancelled");
    return status;
}
