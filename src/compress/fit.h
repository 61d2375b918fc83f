/* fit.h -- weights that make up for what the maps before them lost.
 *
 * A map is encoded for the inputs x' that it will see behind compressed maps.  What it should give
 * is what the original gave for its own inputs x.  The weights nearest to that in the sum of squares,
 *
 *     W + W C H^-1,   C = sum of (x - x') x'^T,   H = sum of x' x'^T,
 *
 * take all of the difference; on text other than the calibration's a part of that step does better
 * (docs/quality.md).  The same correction, column by column, is in Li et al. 2025, "GPTAQ". */
#ifndef UPG_COMPRESS_FIT_H
#define UPG_COMPRESS_FIT_H

#include "base/arena.h"
#include "base/pool.h"

struct upg_fit {
    struct upg_pool *pool;
    float *cross;      /* [n, n] C of the map at hand */
    float *difference; /* [rows of a batch, n] */
    float *factor;     /* [n, n] */
    float *step;       /* [rows of a map, n] W C H^-1 */
};

/* Memory for maps of up to n_out rows and n_in columns, batches of up to n_rows rows. */
upg_status upg_fit_init(struct upg_fit *fit, struct upg_pool *pool, size_t n_out, size_t n_in,
                        size_t n_rows, struct upg_arena *arena, upg_error *err);

/* Begin with a map of n inputs. */
void upg_fit_begin(struct upg_fit *fit, size_t n);

/* Add original[n_rows, n] (x) beside rows[n_rows, n] (x'). */
void upg_fit_add(struct upg_fit *fit, const float *original, const float *rows, size_t n_rows,
                 size_t n);

/* w[n_out, n] += a part of W C H^-1; hessian[n, n] is H over n_rows, damped as for encoding. */
upg_status upg_fit_apply(struct upg_fit *fit, float *w, const float *hessian, double damping,
                         size_t n_out, size_t n, size_t n_rows, upg_error *err);

#endif
