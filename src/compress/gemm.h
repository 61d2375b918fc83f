/* gemm.h -- dense products over the pool, the same bits for any number of threads.
 *
 * The output is cut into tiles whose size depends on the shape only; each is one call of a
 * single-threaded BLAS in float32, or, where the CPU has AMX, of gemm_amx.h, which rounds the factors
 * to bfloat16 and sums in float32: calibration and tuning need no more, and it is ten times as fast.
 * All matrices are row-major without holes between rows. */
#ifndef UPG_COMPRESS_GEMM_H
#define UPG_COMPRESS_GEMM_H

#include "base/pool.h"

/* Called once before the others: keeps BLAS from starting threads of its own, looks at the CPU.
 * UPG_GEMM_FLOAT32 never rounds factors; UPG_GEMM_BFLOAT16 may. */
enum upg_gemm_precision { UPG_GEMM_BFLOAT16, UPG_GEMM_FLOAT32 };
void upg_gemm_init(enum upg_gemm_precision least);

/* The most threads that may call BLAS at once: n_threads (0: as many as there are cores), or 1 with
 * an OpenBLAS whose buffers have no locks (the serial flavour of Debian; results would differ from
 * run to run). */
size_t upg_gemm_threads(size_t n_threads);

/* y[m, n] = x[m, k] w[n, k]^T   (a linear map applied to m rows) */
void upg_gemm_xwt(struct upg_pool *pool, float *y, const float *x, const float *w, size_t m,
                  size_t n, size_t k);

/* dx[m, k] = dy[m, n] w[n, k]   (its gradient with respect to the rows) */
void upg_gemm_dyw(struct upg_pool *pool, float *dx, const float *dy, const float *w, size_t m,
                  size_t n, size_t k);

/* h[k, k] += x[m, k]^T x[m, k]   (float32 sums, added in the order of calls; what is right of the
 * diagonal and on it: upg_gemm_gram_end() does the rest) */
void upg_gemm_gram(struct upg_pool *pool, float *h, const float *x, size_t m, size_t k);

/* h := scale h right of the diagonal and on it, and the same below it. */
void upg_gemm_gram_end(struct upg_pool *pool, float *h, size_t k, float scale);

/* c[k1, k2] += a[m, k1]^T b[m, k2]   (summed likewise) */
void upg_gemm_cross(struct upg_pool *pool, float *c, const float *a, const float *b, size_t m,
                    size_t k1, size_t k2);

/* y[m, n] += a[m, k] b[k, n] by the calling thread alone, for jobs of a pool.  Strides are elements
 * from one row to the next.  scratch is its own of upg_gemm_scratch(), to be freed; without one
 * (NULL: no memory, or no need of it) BLAS does it. */
void *upg_gemm_scratch(void);
void upg_gemm_add(float *y, size_t y_stride, const float *a, size_t a_stride, const float *b,
                  size_t b_stride, size_t m, size_t n, size_t k, void *scratch);

#endif
