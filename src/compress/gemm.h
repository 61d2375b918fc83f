/* gemm.h -- dense float32 products over the pool, the same bits for any number of threads.
 *
 * The output is cut into tiles whose size depends on the shape only; each tile is one call of a
 * single-threaded BLAS.  All matrices are row-major without holes between rows. */
#ifndef UPG_COMPRESS_GEMM_H
#define UPG_COMPRESS_GEMM_H

#include "base/pool.h"

/* BLAS must not start threads of its own: called once before the others. */
void upg_gemm_init(void);

/* y[m, n] = x[m, k] w[n, k]^T   (a linear map applied to m rows) */
void upg_gemm_xwt(struct upg_pool *pool, float *y, const float *x, const float *w, size_t m,
                  size_t n, size_t k);

/* dx[m, k] = dy[m, n] w[n, k]   (its gradient with respect to the rows) */
void upg_gemm_dyw(struct upg_pool *pool, float *dx, const float *dy, const float *w, size_t m,
                  size_t n, size_t k);

/* h[k, k] += x[m, k]^T x[m, k]   (both triangles; float32 sums, added in the order of calls) */
void upg_gemm_gram(struct upg_pool *pool, float *h, const float *x, size_t m, size_t k);

#endif
