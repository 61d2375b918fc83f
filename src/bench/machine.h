/* machine.h -- a machine from inside this room: kernels, threads, and memory larger than caches. */
#ifndef UPG_BENCH_MACHINE_H
#define UPG_BENCH_MACHINE_H

#include "base/pool.h"
#include "kernels/kernels.h"

struct upg_machine {
    struct upg_kernels kernels;
    char tier[256];
    struct upg_pool *pool;
    uint8_t *memory; /* [N_PARTS, n_threads, each_bytes] */
    size_t each_bytes, n_bytes;
    size_t part;      /* that is read next */
    size_t n_rounds;  /* of int8 products that take some 20 ms; 0: not known yet */
    double round_ops; /* operations of a round */
};

/* Seconds of the monotonic clock. */
double upg_machine_now(void);

#endif
