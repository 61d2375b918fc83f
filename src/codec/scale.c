/* scale.c -- row scales and gains from energies, and the least-squares scale after encoding. */
#include "codec/scale.h"

#include "base/half.h"

#include <math.h>
#include <stdlib.h>

static double energy(const float *w, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)w[i] * (double)w[i];
    return sum;
}

static double sum_of(const double *values, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += values[i];
    return sum;
}

/* Columns of scale block `block`, the last of which may be shorter. */
static size_t block_cols(size_t block, size_t n_cols)
{
    const size_t rest = n_cols - block * UPG_SCALE_BLOCK;

    return rest < UPG_SCALE_BLOCK ? rest : UPG_SCALE_BLOCK;
}

/* sums[n_rows, n_blocks]: the energy of each scale block of each row. */
static void sum_energies(const float *w, size_t n_rows, size_t n_cols, size_t n_blocks,
                         double *sums)
{
    for (size_t row = 0; row < n_rows; row++)
        for (size_t block = 0; block < n_blocks; block++)
            sums[row * n_blocks + block] =
                energy(w + row * n_cols + block * UPG_SCALE_BLOCK, block_cols(block, n_cols));
}

/* gain[block] = root of the mean over rows of (energy a column in the block / energy a column in
 * the row); 1 for a block of zeros. */
static void fit_gains(const double *sums, size_t n_rows, size_t n_cols, size_t n_blocks,
                      float *gain)
{
    for (size_t block = 0; block < n_blocks; block++) {
        const double n = (double)block_cols(block, n_cols);
        double share = 0;
        size_t n_used = 0;

        for (size_t row = 0; row < n_rows; row++) {
            const double whole = sum_of(sums + row * n_blocks, n_blocks) / (double)n_cols;
            if (whole > 0) {
                share += sums[row * n_blocks + block] / n / whole;
                n_used++;
            }
        }
        gain[block] = share > 0 ? (float)sqrt(share / (double)n_used) : 1;
    }
}

/* Root mean square of a row after division by the gains. */
static double row_rms(const double *sums, size_t n_cols, size_t n_blocks, const float *gain)
{
    double sum = 0;

    for (size_t block = 0; block < n_blocks; block++)
        sum += sums[block] / ((double)gain[block] * (double)gain[block]);
    return sqrt(sum / (double)n_cols);
}

upg_status upg_fit_scales(int k, const float *w, size_t n_rows, size_t n_cols, uint16_t *row_scale,
                          float *gain, upg_error *err)
{
    const double sigma = (double)upg_code_of(k)->sigma;
    const size_t n_blocks = (n_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;
    double *sums = calloc(n_rows * n_blocks, sizeof *sums);
    double largest = 0;
    int exponent = 0;

    if (!sums)
        return upg_fail_memory(err, "energies", n_rows * n_blocks * sizeof *sums);
    sum_energies(w, n_rows, n_cols, n_blocks, sums);
    for (size_t row = 0; row < n_rows; row++)
        if (!isfinite(sum_of(sums + row * n_blocks, n_blocks))) {
            free(sums);
            return upg_fail(err, UPG_ERR_ARGUMENT, "row %zu holds a weight that is not finite",
                            row);
        }
    fit_gains(sums, n_rows, n_cols, n_blocks, gain);
    for (size_t row = 0; row < n_rows; row++)
        largest = fmax(largest, row_rms(sums + row * n_blocks, n_cols, n_blocks, gain) / sigma);

    frexp(largest, &exponent); /* largest <= 2^exponent */
    for (size_t row = 0; row < n_rows; row++) {
        const double scale = row_rms(sums + row * n_blocks, n_cols, n_blocks, gain) / sigma;
        row_scale[row] = upg_f32_to_f16((float)ldexp(scale, -exponent));
    }
    for (size_t block = 0; block < n_blocks; block++)
        gain[block] = ldexpf(gain[block], exponent);
    free(sums);
    return UPG_OK;
}

uint16_t upg_refit_row_scale(const float *w, const int8_t *v, size_t n_cols, const float *gain,
                             uint16_t row_scale)
{
    double product = 0, square = 0;

    for (size_t col = 0; col < n_cols; col++) {
        const double value = (double)gain[col / UPG_SCALE_BLOCK] * v[col];
        product += (double)w[col] * value;
        square += value * value;
    }
    return product > 0 && square > 0 ? upg_f32_to_f16((float)(product / square)) : row_scale;
}
