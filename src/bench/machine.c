/* machine.c -- the limits of the machine: how fast its memory is read, how fast int8 is multiplied.
 *
 * Memory is read in a ring that is larger than the caches, by the threads that touched it first, in
 * huge pages where the system has them: no model can be read faster. */
#include "bench/machine.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    LEAST_BYTES = 256 << 20,
    MOST_BYTES = 1 << 30,
    N_PARTS =
        4, /* a measurement reads one of them, so what it left in the caches is not read next */
    UNIT_BYTES = 4096,
    FILLING = 0x3C /* repeated, a usual number of every float type */
};

static const double peak_seconds = 0.02;

double upg_machine_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Twice the largest cache, as far as the system tells. */
static size_t ring_bytes(void)
{
    long cache = 0;

#if defined(_SC_LEVEL4_CACHE_SIZE)
    cache = sysconf(_SC_LEVEL4_CACHE_SIZE);
    if (cache <= 0)
        cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    if (cache > MOST_BYTES / 2)
        return MOST_BYTES;
    return cache > LEAST_BYTES / 2 ? 2 * (size_t)cache : LEAST_BYTES;
}

static uint8_t *own_part(const struct upg_machine *m, size_t part, size_t thread)
{
    return m->memory + (part * upg_pool_n_threads(m->pool) + thread) * m->each_bytes;
}

static void touch_parts(void *context, size_t thread, size_t n_threads)
{
    const struct upg_machine *m = context;

    (void)n_threads;
    for (size_t part = 0; part < N_PARTS; part++)
        memset(own_part(m, part, thread), FILLING, m->each_bytes);
}

static void read_part(void *context, size_t thread, size_t n_threads)
{
    const struct upg_machine *m = context;

    (void)n_threads;
    m->kernels.read(own_part(m, m->part, thread), m->each_bytes);
}

static void multiply(void *context, size_t thread, size_t n_threads)
{
    const struct upg_machine *m = context;

    (void)thread, (void)n_threads;
    m->kernels.int8_products(m->n_rounds);
}

static upg_status make_ring(struct upg_machine *m, upg_error *err)
{
    const size_t n_readers = N_PARTS * upg_pool_n_threads(m->pool);
    void *memory;

    m->each_bytes = ring_bytes() / n_readers / UNIT_BYTES * UNIT_BYTES;
    m->n_bytes = n_readers * m->each_bytes;
    memory = mmap(NULL, m->n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return upg_fail_memory(err, "the memory whose reading is measured", m->n_bytes);
    m->memory = memory;
#if defined(MADV_HUGEPAGE)
    madvise(memory, m->n_bytes, MADV_HUGEPAGE); /* only a wish */
#endif
    upg_pool_run(m->pool, touch_parts, m);
    return UPG_OK;
}

upg_status upg_machine_new(upg_machine **machine, size_t n_threads, const char *cpu_tier,
                           upg_error *err)
{
    struct upg_machine *m = calloc(1, sizeof *m);
    upg_status status;

    if (!m)
        return upg_fail_memory(err, "a machine", sizeof *m);
    status = upg_kernels_init(&m->kernels, cpu_tier, m->tier, sizeof m->tier, err);
    if (status == UPG_OK)
        status = upg_pool_new(&m->pool, n_threads, err);
    if (status == UPG_OK)
        status = make_ring(m, err);
    if (status == UPG_OK)
        *machine = m;
    else
        upg_machine_free(m);
    return status;
}

void upg_machine_free(upg_machine *machine)
{
    if (!machine)
        return;
    if (machine->memory)
        munmap(machine->memory, machine->n_bytes);
    upg_pool_free(machine->pool);
    free(machine);
}

const char *upg_machine_tier(const upg_machine *machine)
{
    return machine->tier;
}

size_t upg_machine_n_threads(const upg_machine *machine)
{
    return upg_pool_n_threads(machine->pool);
}

uint64_t upg_machine_n_bytes(const upg_machine *machine)
{
    return machine->n_bytes;
}

double upg_machine_read_gb_per_s(upg_machine *machine)
{
    const double start = upg_machine_now();

    upg_pool_run(machine->pool, read_part, machine);
    machine->part = (machine->part + 1) % N_PARTS;
    return 1e-9 * (double)(machine->n_bytes / N_PARTS) / (upg_machine_now() - start);
}

/* Double the rounds until they take long enough for the clock. */
static void choose_rounds(struct upg_machine *m)
{
    double seconds = 0;

    for (m->n_rounds = 1; seconds < peak_seconds / 2; m->n_rounds *= 2) {
        const double start = upg_machine_now();

        m->round_ops = m->kernels.int8_products(m->n_rounds);
        seconds = upg_machine_now() - start;
    }
}

double upg_machine_int8_tops(upg_machine *machine)
{
    double start;

    if (machine->n_rounds == 0)
        choose_rounds(machine);
    start = upg_machine_now();
    upg_pool_run(machine->pool, multiply, machine);
    return 1e-12 * machine->round_ops * (double)machine->n_rounds *
           (double)upg_pool_n_threads(machine->pool) / (upg_machine_now() - start);
}
