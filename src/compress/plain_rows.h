/* plain_rows.h -- parts that get 8 bits: integers with a scale a row, as they are, not transformed.
 *
 * What a part gains from its fifth to its eighth bit is little, and few parts get them: a code of
 * five or six bits would need a third plane in every kernel.  Eight bits a row are what each
 * backend multiplies already (UPG_TYPE_I8_ROWS). */
#ifndef UPG_COMPRESS_PLAIN_ROWS_H
#define UPG_COMPRESS_PLAIN_ROWS_H

#include "compress/encode_map.h"

/* Round w[part->n_rows, n_cols] to part->codes and part->row_step, the largest weight of a row to
 * 127 steps; sets nmse and proxy_loss.  UPG_ERR_ARGUMENT if a weight is not finite. */
upg_status upg_plain_rows_encode(struct upg_coded_part *part, const float *w, size_t n_cols,
                                 upg_error *err);

/* The part as a matrix of the file; borrows its memory.  row_step (may be NULL: the part's own)
 * [n_rows]. */
struct upg_matrix upg_plain_rows_matrix(const struct upg_coded_part *part, size_t n_cols,
                                        const float *row_step);

#endif
