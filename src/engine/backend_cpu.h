/* backend_cpu.h -- the CPU backend's state and jobs, for its files. */
#ifndef UPG_ENGINE_BACKEND_CPU_H
#define UPG_ENGINE_BACKEND_CPU_H

#include "base/pool.h"
#include "engine/attention.h"

enum { UPG_DECODE_ROWS = 16 /* of a matrix without a kernel, decoded at a time */ };

struct upg_cpu {
    struct upg_backend_setup setup;
    struct upg_pool *pool;
    const struct upg_kernels *kernels;
    struct upg_attention attention;
    struct upg_tile *tiles; /* [max_rows] */
    float *partials;        /* [n_partials] of attention that is split by spans */
    size_t n_partials;
    uint8_t *scratch;               /* [n_threads, scratch_bytes] */
    size_t scratch_bytes;           /* a multiple of 64 */
    struct upg_q8_rows quantized;   /* buffers for max_rows of the widest packed matrix */
    struct upg_activation unpadded; /* [max_rows] outputs of packed parts whose rows are padded */
};

/* A job for the pool: what all of its threads read.  Fields that a job does not need are zero. */
struct upg_cpu_job {
    struct upg_cpu *cpu;
    const struct upg_step *step;
    const struct upg_matrix *matrix; /* [n_parts] */
    struct upg_activation out, x;
    const uint32_t *pick;
    const float *weight;
    size_t n_rows, layer, n_tiles;
    size_t n_spans;       /* of the tile that sees most */
    size_t n_parts, unit; /* unit: row blocks that one thread has together */
};

static inline void *upg_cpu_scratch(const struct upg_cpu *cpu, size_t thread)
{
    return cpu->scratch + thread * cpu->scratch_bytes;
}

static inline const struct upg_config *upg_cpu_config(const struct upg_cpu *cpu)
{
    return &cpu->setup.model->config;
}

/* Run a job that splits n units; one unit is not worth waking the others. */
static inline void upg_cpu_run(struct upg_cpu_job *job, void (*function)(void *, size_t, size_t),
                               size_t n)
{
    if (n > 1)
        upg_pool_run(job->cpu->pool, function, job);
    else
        function(job, 0, 1);
}

/* out[i] = W x[i], the operation of struct upg_backend. */
void upg_cpu_linear(void *state, struct upg_activation out, const struct upg_linear *linear,
                    struct upg_activation x, size_t n_rows);

#endif
