/* plain_rows.c -- round to nearest, row by row. */
#include "compress/plain_rows.h"

#include <math.h>

enum { MAX_STEPS = 127 };

static float largest_of(const float *w, size_t n)
{
    float largest = 0.0f;

    for (size_t i = 0; i < n; i++)
        if (!(fabsf(w[i]) <= largest)) /* NaN, too */
            largest = fabsf(w[i]);
    return largest;
}

upg_status upg_plain_rows_encode(struct upg_coded_part *part, const float *w, size_t n_cols,
                                 upg_error *err)
{
    double energy = 0.0, error = 0.0;

    for (size_t r = 0; r < part->n_rows; r++, w += n_cols) {
        int8_t *codes = (int8_t *)part->codes + r * n_cols;
        const float step = largest_of(w, n_cols) / MAX_STEPS;

        if (!isfinite(step))
            return upg_fail(err, UPG_ERR_ARGUMENT, "row %zu: a weight is not a finite number", r);
        part->row_step[r] = step;
        for (size_t c = 0; c < n_cols; c++) {
            const float steps = step > 0.0f ? rintf(w[c] / step) : 0.0f;
            const double lost = (double)w[c] - (double)(steps * step);

            /* a step that is a subnormal number is too coarse for its row's largest weight */
            codes[c] = (int8_t)fmaxf(-MAX_STEPS, fminf(MAX_STEPS, steps));
            energy += (double)w[c] * (double)w[c];
            error += lost * lost;
        }
    }
    part->nmse = energy > 0.0 ? error / energy : 0.0;
    part->proxy_loss = part->nmse;
    return UPG_OK;
}

struct upg_matrix upg_plain_rows_matrix(const struct upg_coded_part *part, size_t n_cols,
                                        const float *row_step)
{
    return (struct upg_matrix){.type = UPG_TYPE_I8_ROWS,
                               .n_rows = part->n_rows,
                               .n_cols = n_cols,
                               .data = part->codes,
                               .n_bytes = part->n_rows * n_cols,
                               .row_scale = row_step ? row_step : part->row_step};
}
