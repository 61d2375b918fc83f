/* factor.h -- the block factorisation behind error feedback (LDLQ).
 *
 * H = M D M^T with M unit block-upper for blocks of `block` columns and D block-diagonal
 * (Chee et al. 2023, QuIP, section 3.1, in the block form of Tseng et al. 2024, QTIP).  With E the
 * errors of the columns before column j,  W[:, j] + E M[:, j]  is the best target for column j. */
#ifndef UPG_COMPRESS_FACTOR_H
#define UPG_COMPRESS_FACTOR_H

#include "base/pool.h"

/* Factorise h[n, n] (symmetric, row-major) in place: the blocks above the diagonal become M, those
 * on the diagonal D's, symmetric; what is below is undefined.
 *
 *   damping  this fraction of the mean of the diagonal is added to it; a matrix that is still not
 *            positive definite in float32 (dead columns, few samples) is damped ten times more
 * until it is, and *used_damping says with what block    columns of a block, a divisor of n
 *
 * Fails only for want of memory, or UPG_ERR_ARGUMENT if h is not finite. */
upg_status upg_factorise(struct upg_pool *pool, float *h, size_t n, size_t block, double damping,
                         double *used_damping, upg_error *err);

/* Solve for n_rows rows: rows[n_rows, n] := rows (h + damping)^-1, with h[n, n] symmetric and damped
 * as above; h is destroyed.  The same bits for any number of threads. */
upg_status upg_solve_rows(struct upg_pool *pool, float *h, size_t n, double damping, float *rows,
                          size_t n_rows, upg_error *err);

#endif
