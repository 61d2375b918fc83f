/* scale.h -- row scales and gains of a matrix that is to be encoded.
 *
 * W'[row, col] = row_scale[row] * gain[col / 256] * v.  Weights of a row divided by its scale and
 * the gains should look like a Gaussian of the code's sigma: that is where its tables are good. */
#ifndef UPG_CODEC_SCALE_H
#define UPG_CODEC_SCALE_H

#include "codec/codec.h"

/* Scales from the energies of rows and of blocks of columns, for a code of k = 2, 3, 4 bits.
 *
 *   w          [n_rows, n_cols] row-major, after the transform
 *   row_scale  [n_rows] binary16, at most 1; 0 for a row that is zero (or 2^-24 of the largest)
 *   gain       [ceil(n_cols / 256)], which carry the matrix's magnitude, so that a matrix of tiny
 *              or huge weights does not leave the range of binary16
 *
 * The gain of a block is the root of the mean over rows of its share in a row's energy.
 * UPG_ERR_ARGUMENT if a weight is not finite. */
upg_status upg_fit_scales(int k, const float *w, size_t n_rows, size_t n_cols, uint16_t *row_scale,
                          float *gain, upg_error *err);

/* The row scale that makes the squared error of row_scale * gain * v against w[n_cols] least.
 * v[n_cols] are the decoded values.  Gives row_scale back where v is zero or points away from w. */
uint16_t upg_refit_row_scale(const float *w, const int8_t *v, size_t n_cols, const float *gain,
                             uint16_t row_scale);

#endif
