/* pool.c -- workers that spin briefly for the next job, then sleep on a condition.
 *
 * A job has a number.  The caller publishes it by raising `generation`; workers run it and count
 * down `n_busy`; the caller waits for zero.  Both sides spin first, because between two matrix
 * products of a token there are microseconds; then they sleep, because where there are more threads
 * than cores, the one that is waited for may need this one's.
 *
 * Invariants:
 *   (1) job and context change only while n_busy == 0.
 *   (2) n_busy <= n_threads - 1, and reaches 0 exactly once a job.
 *   (3) who goes to sleep raises its mark before it looks at the counter for the last time; who
 *       changes the counter looks at the mark afterwards.  In the one order of these four (they are
 *       sequentially consistent) the sleeper sees the change, or the other one sees the mark. */
#include "base/pool.h"

#include "base/arena.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SPIN_ROUNDS = 2000, MAX_THREADS = 512 }; /* 40 to 100 microseconds of pauses */

struct worker {
    struct upg_pool *pool;
    size_t index;
    pthread_t thread;
};

struct upg_pool {
    void (*job)(void *context, size_t thread, size_t n_threads);
    void *context;
    size_t n_threads, n_started; /* n_started: workers that run, n_threads - 1 when complete */
    _Alignas(64) atomic_size_t generation;
    _Alignas(64) atomic_size_t n_busy;
    _Alignas(64) atomic_bool stop;
    atomic_size_t n_asleep;    /* workers */
    atomic_bool caller_asleep; /* the marks of (3) */
    pthread_mutex_t lock;      /* guards sleeping only */
    pthread_cond_t wake;       /* a new job */
    pthread_cond_t done;       /* n_busy is 0 */
    struct worker *workers;    /* [n_threads - 1] */
};

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Wait until generation differs from `seen`. */
static void wait_for_job(struct upg_pool *pool, size_t seen)
{
    for (int i = 0; i < SPIN_ROUNDS; i++) {
        if (atomic_load_explicit(&pool->generation, memory_order_acquire) != seen)
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->n_asleep, 1);
    while (atomic_load(&pool->generation) == seen)
        pthread_cond_wait(&pool->wake, &pool->lock);
    atomic_fetch_sub(&pool->n_asleep, 1);
    pthread_mutex_unlock(&pool->lock);
}

/* The last one wakes the caller. */
static void finish_part(struct upg_pool *pool)
{
    if (atomic_fetch_sub(&pool->n_busy, 1) != 1 || !atomic_load(&pool->caller_asleep))
        return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_signal(&pool->done);
    pthread_mutex_unlock(&pool->lock);
}

static void wait_for_workers(struct upg_pool *pool)
{
    for (int i = 0; i < SPIN_ROUNDS; i++) {
        if (atomic_load_explicit(&pool->n_busy, memory_order_acquire) == 0)
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_asleep, true);
    while (atomic_load(&pool->n_busy) != 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    atomic_store(&pool->caller_asleep, false);
    pthread_mutex_unlock(&pool->lock);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct upg_pool *pool = worker->pool;
    size_t seen = 0;

    for (;;) {
        wait_for_job(pool, seen);
        seen++;
        if (atomic_load_explicit(&pool->stop, memory_order_acquire))
            return NULL;
        pool->job(pool->context, worker->index, pool->n_threads);
        finish_part(pool);
    }
}

static void publish(struct upg_pool *pool)
{
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->n_asleep) == 0)
        return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

/* Physical cores among the CPUs that this process may run on: a hyper-thread that is not the first
 * of its core is left out.  Where the system tells nothing, all CPUs count. */
static size_t count_physical_cores(void)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = 0;
#if defined(__linux__)
    cpu_set_t allowed;

    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            char path[96], list[64];
            FILE *file;
            long first = (long)cpu;

            if (!CPU_ISSET(cpu, &allowed))
                continue;
            snprintf(path, sizeof path,
                     "/sys/devices/system/cpu/cpu%zu/topology/thread_siblings_list", cpu);
            file = fopen(path, "r");
            if (file) {
                if (fgets(list, sizeof list, file))
                    first = strtol(list, NULL, 10);
                fclose(file);
            }
            if (first == (long)cpu || first < 0 || first >= CPU_SETSIZE ||
                !CPU_ISSET((size_t)first, &allowed))
                n++;
        }
    }
#endif
    if (n == 0)
        n = online > 0 ? (size_t)online : 1;
    return n < MAX_THREADS ? n : MAX_THREADS;
}

upg_status upg_pool_new(struct upg_pool **out, size_t n_threads, upg_error *err)
{
    struct upg_pool *pool;

    if (n_threads == 0)
        n_threads = count_physical_cores();
    if (n_threads > MAX_THREADS)
        return upg_fail(err, UPG_ERR_ARGUMENT, "threads: %zu asked for, at most %d are possible",
                        n_threads, MAX_THREADS);
    pool = upg_aligned_alloc(1, sizeof *pool);
    if (!pool)
        return upg_fail_memory(err, "the thread pool", sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->n_threads = n_threads;
    pool->workers = calloc(n_threads, sizeof *pool->workers);
    if (!pool->workers) {
        upg_pool_free(pool);
        return upg_fail_memory(err, "the thread pool", n_threads * sizeof *pool->workers);
    }
    for (size_t i = 0; i + 1 < n_threads; i++) {
        pool->workers[i] = (struct worker){.pool = pool, .index = i + 1};
        if (pthread_create(&pool->workers[i].thread, NULL, work, &pool->workers[i]) != 0) {
            upg_pool_free(pool);
            return upg_fail(err, UPG_ERR_MEMORY,
                            "threads: the system refuses thread %zu; use --threads %zu", i + 2,
                            i + 1);
        }
        pool->n_started++;
    }
    *out = pool;
    return UPG_OK;
}

void upg_pool_free(struct upg_pool *pool)
{
    if (!pool)
        return;
    atomic_store_explicit(&pool->stop, true, memory_order_release);
    publish(pool);
    for (size_t i = 0; i < pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->lock);
    free(pool->workers);
    free(pool);
}

size_t upg_pool_n_threads(const struct upg_pool *pool)
{
    return pool->n_threads;
}

void upg_pool_run(struct upg_pool *pool,
                  void (*job)(void *context, size_t thread, size_t n_threads), void *context)
{
    if (pool->n_threads > 1) {
        pool->job = job;
        pool->context = context;
        atomic_store_explicit(&pool->n_busy, pool->n_threads - 1, memory_order_release);
        publish(pool);
    }
    job(context, 0, pool->n_threads);
    if (pool->n_threads > 1)
        wait_for_workers(pool);
}
