/* kernel_speed.h -- timing the kernels of a tier beside the machine's limits. */
#ifndef UPG_BENCH_KERNEL_SPEED_H
#define UPG_BENCH_KERNEL_SPEED_H

#include "base/arena.h"
#include "bench/machine.h"

/* Buffers for the timing, and who wants to know the results.  Start from {0} with the first fields
 * set. */
struct upg_speed {
    struct upg_machine *machine;
    size_t n_reps; /* each figure is the median of so many */
    int (*on_finding)(void *context, const upg_kernel_finding *finding);
    void *context;
    const struct upg_kernels *kernels; /* of the tier that is timed */
    bool stopped;                      /* on_finding() wished so */
    struct upg_arena arena;            /* of the rest */
    struct upg_q8_rows x;
    uint16_t *row_scale;
    float *gain, *y;
    uint8_t *scratch; /* [n_threads, scratch_bytes of any tier] */
    size_t scratch_bytes;
};

/* UPG_ERR_MEMORY.  Free with upg_arena_clear(&speed->arena), also after a failure. */
upg_status upg_speed_init(struct upg_speed *speed, size_t scratch_bytes, upg_error *err);

/* Time those kernels of `kernels` that `lower` (a lower tier) does not have. */
void upg_speed_tier(struct upg_speed *speed, const struct upg_kernels *kernels,
                    const struct upg_kernels *lower);

#endif
