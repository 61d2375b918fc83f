/* pool.h -- one pool of threads for an engine (or a compressor).
 *
 * A job is one function that every thread runs; what part is its own it computes from its index.
 * Splitting is static, so results do not depend on timing.  The caller is thread 0. */
#ifndef UPG_BASE_POOL_H
#define UPG_BASE_POOL_H

#include "base/error.h"

struct upg_pool;

/* n_threads >= 1, the caller included; 0: one a physical core that this process may use. */
upg_status upg_pool_new(struct upg_pool **pool, size_t n_threads, upg_error *err);
void upg_pool_free(struct upg_pool *pool); /* NULL is allowed */
size_t upg_pool_n_threads(const struct upg_pool *pool);

/* Run job(context, thread, n_threads) on every thread; returns when all have returned.  Not
 * reentrant. */
void upg_pool_run(struct upg_pool *pool,
                  void (*job)(void *context, size_t thread, size_t n_threads), void *context);

/* The part [*begin, *end) of n units of thread `thread`: contiguous, sizes differ by at most one
 * unit. */
static inline void upg_split(size_t n, size_t thread, size_t n_threads, size_t *begin, size_t *end)
{
    const size_t each = n / n_threads, rest = n % n_threads;

    *begin = thread * each + (thread < rest ? thread : rest);
    *end = *begin + each + (thread < rest ? 1 : 0);
}

#endif
