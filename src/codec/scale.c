/* scale.c -- row scales and gains from energies, and the least-squares scale after encoding. */
#include "codec/scale.h"

#include "base/half.h"

#include <math.h>

static double energy(const float *w, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)w[i] * (double)w[i];
    return sum;
}

/* Columns of scale block `block`, the last of which may be shorter. */
static size_t block_cols(size_t block, size_t n_cols)
{
    const size_t rest = n_cols - block * UPG_SCALE_BLOCK;

    return rest < UPG_SCALE_BLOCK ? rest : UPG_SCALE_BLOCK;
}

/* gain[block] = root of the mean over rows of (energy a column in the block / energy a column in
 * the row); 1 for a block of zeros. */
static void fit_gains(const float *w, size_t n_rows, size_t n_cols, size_t n_blocks, float *gain)
{
    for (size_t block = 0; block < n_blocks; block++) {
        const size_t n = block_cols(block, n_cols);
        double share = 0;
        size_t n_used = 0;

        for (size_t row = 0; row < n_rows; row++) {
            const float *begin = w + row * n_cols;
            const double whole = energy(begin, n_cols) / (double)n_cols;
            if (whole > 0) {
                share += energy(begin + block * UPG_SCALE_BLOCK, n) / (double)n / whole;
                n_used++;
            }
        }
        gain[block] = share > 0 ? (float)sqrt(share / (double)n_used) : 1;
    }
}

/* Root mean square of a row after division by the gains. */
static double row_rms(const float *w, size_t n_cols, size_t n_blocks, const float *gain)
{
    double sum = 0;

    for (size_t block = 0; block < n_blocks; block++) {
        const double g = (double)gain[block];
        sum += energy(w + block * UPG_SCALE_BLOCK, block_cols(block, n_cols)) / (g * g);
    }
    return sqrt(sum / (double)n_cols);
}

upg_status upg_fit_scales(int k, const float *w, size_t n_rows, size_t n_cols, uint16_t *row_scale,
                          float *gain, upg_error *err)
{
    const double sigma = (double)upg_code_of(k)->sigma;
    const size_t n_blocks = (n_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;
    double largest = 0;
    int exponent = 0;

    for (size_t row = 0; row < n_rows; row++)
        if (!isfinite(energy(w + row * n_cols, n_cols)))
            return upg_fail(err, UPG_ERR_ARGUMENT, "row %zu holds a weight that is not finite",
                            row);
    fit_gains(w, n_rows, n_cols, n_blocks, gain);
    for (size_t row = 0; row < n_rows; row++)
        largest = fmax(largest, row_rms(w + row * n_cols, n_cols, n_blocks, gain) / sigma);

    frexp(largest, &exponent); /* largest <= 2^exponent */
    for (size_t row = 0; row < n_rows; row++) {
        const double scale = row_rms(w + row * n_cols, n_cols, n_blocks, gain) / sigma;
        row_scale[row] = upg_f32_to_f16((float)ldexp(scale, -exponent));
    }
    for (size_t block = 0; block < n_blocks; block++)
        gain[block] = ldexpf(gain[block], exponent);
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
