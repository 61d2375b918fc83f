/* The pool: every thread runs every job once, what one job wrote the next one sees, and more
 * threads than cores only wait.  Under ThreadSanitizer this is the test of the pool's ordering. */
#include "unit.h"

#include "base/pool.h"

#include <stdlib.h>
#include <time.h>

enum { MAX_TEST_THREADS = 64 };

/* Plain memory on purpose: if a job were run twice, or before the last one had ended, values would
 * be wrong and ThreadSanitizer would see the race. */
struct counters {
    size_t runs[MAX_TEST_THREADS];
    size_t sum;
};

static void count(void *context, size_t thread, size_t n_threads)
{
    struct counters *counters = context;

    (void)n_threads;
    counters->runs[thread]++;
}

/* Reads what all threads wrote in the job before. */
static void add_up(void *context, size_t thread, size_t n_threads)
{
    struct counters *counters = context;

    if (thread != n_threads - 1)
        return;
    counters->sum = 0;
    for (size_t i = 0; i < n_threads; i++)
        counters->sum += counters->runs[i];
}

static void run_jobs(size_t n_threads, size_t n_jobs)
{
    struct counters counters = {{0}, 0};
    struct upg_pool *pool = NULL;
    upg_error err;

    assert_ok(upg_pool_new(&pool, n_threads, &err), err);
    assert_int_equal(upg_pool_n_threads(pool), n_threads);
    for (size_t job = 1; job <= n_jobs; job++) {
        upg_pool_run(pool, count, &counters);
        upg_pool_run(pool, add_up, &counters);
        assert_int_equal(counters.sum, job * n_threads);
    }
    for (size_t i = 0; i < n_threads; i++)
        assert_int_equal(counters.runs[i], n_jobs);
    upg_pool_free(pool);
}

static void every_thread_runs_every_job_once(void **state)
{
    (void)state;
    run_jobs(1, 1000);
    run_jobs(2, 2000);
    run_jobs(3, 500);
}

static void more_threads_than_cores_only_wait(void **state)
{
    (void)state;
    run_jobs(MAX_TEST_THREADS, 20);
}

static void workers_that_fell_asleep_wake_up(void **state)
{
    const struct timespec pause = {0, 3000000}; /* far beyond the spinning, so that all sleep */
    struct counters counters = {{0}, 0};
    struct upg_pool *pool = NULL;
    upg_error err;

    (void)state;
    assert_ok(upg_pool_new(&pool, 4, &err), err);
    for (size_t job = 1; job <= 20; job++) {
        nanosleep(&pause, NULL);
        upg_pool_run(pool, count, &counters);
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(counters.runs[i], job);
    }
    nanosleep(&pause, NULL);
    upg_pool_free(pool); /* while all sleep */
}

static void pools_come_and_go(void **state)
{
    upg_error err;

    (void)state;
    for (int i = 0; i < 50; i++) {
        struct upg_pool *pool = NULL;
        assert_ok(upg_pool_new(&pool, 5, &err), err);
        upg_pool_free(pool);
    }
    upg_pool_free(NULL);
}

static void zero_means_the_cores_of_this_process(void **state)
{
    struct upg_pool *pool = NULL;
    upg_error err;

    (void)state;
    assert_ok(upg_pool_new(&pool, 0, &err), err);
    assert_in_range(upg_pool_n_threads(pool), 1, 512);
    upg_pool_free(pool);
}

static void too_many_threads_are_refused(void **state)
{
    struct upg_pool *pool = NULL;
    upg_error err;

    (void)state;
    assert_fails(upg_pool_new(&pool, 513, &err), UPG_ERR_ARGUMENT, err, "at most 512");
    assert_fails(upg_pool_new(&pool, SIZE_MAX, &err), UPG_ERR_ARGUMENT, err, "at most 512");
    assert_null(pool);
}

static void parts_cover_the_whole_without_overlap(void **state)
{
    (void)state;
    for (size_t n = 0; n < 70; n++)
        for (size_t n_threads = 1; n_threads <= 17; n_threads++) {
            size_t next = 0;

            for (size_t t = 0; t < n_threads; t++) {
                size_t begin, end;
                upg_split(n, t, n_threads, &begin, &end);
                assert_int_equal(begin, next);
                assert_in_range(end - begin, n / n_threads, n / n_threads + 1);
                next = end;
            }
            assert_int_equal(next, n);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_runs_every_job_once),
        cmocka_unit_test(more_threads_than_cores_only_wait),
        cmocka_unit_test(workers_that_fell_asleep_wake_up),
        cmocka_unit_test(pools_come_and_go),
        cmocka_unit_test(zero_means_the_cores_of_this_process),
        cmocka_unit_test(too_many_threads_are_refused),
        cmocka_unit_test(parts_cover_the_whole_without_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
