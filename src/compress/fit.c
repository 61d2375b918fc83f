/* fit.c -- one cross product a batch, one solve a map. */
#include "compress/fit.h"

#include "compress/factor.h"
#include "compress/gemm.h"

#include <string.h>

static const float part_of_step = 0.5f;

upg_status upg_fit_init(struct upg_fit *fit, struct upg_pool *pool, size_t n_out, size_t n_in,
                        size_t n_rows, struct upg_arena *arena, upg_error *err)
{
    fit->pool = pool;
    fit->cross = upg_arena_alloc(arena, n_in, n_in * sizeof(float));
    fit->factor = upg_arena_alloc(arena, n_in, n_in * sizeof(float));
    fit->difference = upg_arena_alloc(arena, n_rows, n_in * sizeof(float));
    fit->step = upg_arena_alloc(arena, n_out, n_in * sizeof(float));
    if (!fit->cross || !fit->factor || !fit->difference || !fit->step)
        return upg_fail_memory(err, "the fit to the original", n_rows * n_in * sizeof(float));
    return UPG_OK;
}

void upg_fit_begin(struct upg_fit *fit, size_t n)
{
    memset(fit->cross, 0, n * n * sizeof *fit->cross);
}

void upg_fit_add(struct upg_fit *fit, const float *original, const float *rows, size_t n_rows,
                 size_t n)
{
    for (size_t i = 0; i < n_rows * n; i++)
        fit->difference[i] = original[i] - rows[i];
    upg_gemm_cross(fit->pool, fit->cross, fit->difference, rows, n_rows, n, n);
}

upg_status upg_fit_apply(struct upg_fit *fit, float *w, const float *hessian, double damping,
                         size_t n_out, size_t n, size_t n_rows, upg_error *err)
{
    const float scale = part_of_step / (float)n_rows; /* the Hessian is a mean, C a sum */
    upg_status status;

    memcpy(fit->factor, hessian, n * n * sizeof *fit->factor);
    status = upg_solve_rows(fit->pool, fit->factor, n, damping, fit->cross, n, err);
    if (status != UPG_OK)
        return status;
    upg_gemm_dyw(fit->pool, fit->step, w, fit->cross, n_out, n, n);
    for (size_t i = 0; i < n_out * n; i++)
        w[i] += scale * fit->step[i];
    return UPG_OK;
}
