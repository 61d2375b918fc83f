/* rotate.h -- the transform of docs/codec.md on whole float32 matrices, and back.
 *
 *   W' = H_out D_out W D_in H_in
 *
 * Rows: along the columns of each row, as upg_transform_in() does to an activation.  Columns: along
 * the rows, for the output side.  All of it runs over the pool and does not depend on the number of
 * threads. */
#ifndef UPG_COMPRESS_ROTATE_H
#define UPG_COMPRESS_ROTATE_H

#include "base/pool.h"

#include <stddef.h>
#include <stdint.h>

/* w[n_rows, n_padded]: each row x -> H D x. */
void upg_rotate_rows(struct upg_pool *pool, float *w, size_t n_rows, size_t n_padded,
                     uint64_t seed);
/* The inverse: each row x -> D H x. */
void upg_rotate_rows_back(struct upg_pool *pool, float *w, size_t n_rows, size_t n_padded,
                          uint64_t seed);

/* w[n_padded, n_cols]: each column x -> H D x. */
void upg_rotate_columns(struct upg_pool *pool, float *w, size_t n_padded, size_t n_cols,
                        uint64_t seed);
/* The inverse: each column x -> D H x. */
void upg_rotate_columns_back(struct upg_pool *pool, float *w, size_t n_padded, size_t n_cols,
                             uint64_t seed);

/* h[n_padded, n_padded] symmetric -> H D h D H. */
void upg_rotate_symmetric(struct upg_pool *pool, float *h, size_t n_padded, uint64_t seed);

#endif
