/* factor.c -- H = U U^T with U upper triangular, from the last block of columns to the first, then
 * M = U blockdiag(U_jj)^-1 and D = blockdiag(U_jj U_jj^T).
 *
 * The blocked algorithm is written here, not taken whole from LAPACK, so that the result does not
 * depend on the number of threads; LAPACK and BLAS do the small triangles. */
#include "compress/factor.h"

#include <cblas.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { PANEL = 128 }; /* columns factorised at a time; a multiple of no particular block */

struct update {
    float *u;
    size_t n, begin, width; /* columns [begin, begin + width) are final; rows above are updated */
};

/* h[i, j] -= sum over the panel's columns l of u[i, l] u[j, l], for i, j < begin, upper triangle.
 */
static void update_tiles(void *context, size_t thread, size_t n_threads)
{
    const struct update *p = context;
    const size_t n_tiles = (p->begin + PANEL - 1) / PANEL;

    for (size_t tile = thread; tile < n_tiles * n_tiles; tile += n_threads) {
        const size_t i = tile / n_tiles * PANEL, j = tile % n_tiles * PANEL;
        const size_t rows = p->begin - i < PANEL ? p->begin - i : PANEL;
        const size_t cols = p->begin - j < PANEL ? p->begin - j : PANEL;
        if (j < i)
            continue;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)cols, (int)p->width,
                    -1.0f, p->u + i * p->n + p->begin, (int)p->n, p->u + j * p->n + p->begin,
                    (int)p->n, 1.0f, p->u + i * p->n + j, (int)p->n);
    }
}

/* u[0 .. begin, panel] := u[0 .. begin, panel] U_pp^-T, rows split over threads in fixed strips. */
static void solve_strips(void *context, size_t thread, size_t n_threads)
{
    const struct update *p = context;
    const float *diagonal = p->u + p->begin * p->n + p->begin;

    for (size_t i = thread * PANEL; i < p->begin; i += n_threads * PANEL) {
        const size_t rows = p->begin - i < PANEL ? p->begin - i : PANEL;
        cblas_strsm(CblasRowMajor, CblasRight, CblasUpper, CblasTrans, CblasNonUnit, (int)rows,
                    (int)p->width, 1.0f, diagonal, (int)p->n, p->u + i * p->n + p->begin,
                    (int)p->n);
    }
}

/* Cholesky of one diagonal panel from its last column: a = U U^T.  false if not positive. */
static bool factorise_panel(float *a, size_t n, size_t row_stride)
{
    for (size_t l = n; l-- > 0;) {
        double pivot = (double)a[l * row_stride + l];
        float inverse;
        for (size_t m = l + 1; m < n; m++)
            pivot -= (double)a[l * row_stride + m] * (double)a[l * row_stride + m];
        if (!(pivot > 0.0) || !isfinite(pivot))
            return false;
        a[l * row_stride + l] = (float)sqrt(pivot);
        inverse = (float)(1.0 / sqrt(pivot));
        for (size_t i = 0; i < l; i++) {
            float sum = a[i * row_stride + l];
            for (size_t m = l + 1; m < n; m++)
                sum -= a[i * row_stride + m] * a[l * row_stride + m];
            a[i * row_stride + l] = sum * inverse;
        }
    }
    return true;
}

/* h = U U^T in place (upper triangle).  false if h is not positive definite. */
static bool factorise_upper(struct upg_pool *pool, float *h, size_t n)
{
    for (size_t end = n; end > 0;) {
        const size_t begin = (end - 1) / PANEL * PANEL;
        struct update panel = {h, n, begin, end - begin};
        if (!factorise_panel(h + begin * n + begin, end - begin, n))
            return false;
        upg_pool_run(pool, solve_strips, &panel);
        upg_pool_run(pool, update_tiles, &panel);
        end = begin;
    }
    return true;
}

struct normalise {
    float *u;
    size_t n, block;
};

/* Columns of one block: rows above it times U_jj^-1, then the diagonal block becomes U_jj U_jj^T.
 */
static void normalise_blocks(void *context, size_t thread, size_t n_threads)
{
    const struct normalise *p = context;

    for (size_t j = thread * p->block; j < p->n; j += n_threads * p->block) {
        float *diagonal = p->u + j * p->n + j;
        cblas_strsm(CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, (int)j,
                    (int)p->block, 1.0f, diagonal, (int)p->n, p->u + j, (int)p->n);
        for (size_t r = 0; r < p->block; r++)
            for (size_t c = r; c < p->block; c++) {
                double sum = 0.0; /* of row r and row c from column c on: U is upper triangular */
                for (size_t m = c; m < p->block; m++)
                    sum += (double)diagonal[r * p->n + m] * (double)diagonal[c * p->n + m];
                diagonal[r * p->n + c] = (float)sum; /* row r's columns below c are read no more */
                diagonal[c * p->n + r] = (float)sum;
            }
    }
}

static void damp(float *h, const float *diagonal, size_t n, double amount)
{
    for (size_t i = 0; i < n; i++)
        h[i * n + i] = (float)((double)diagonal[i] + amount);
}

/* The lower triangle still holds h: copy it up again after a failed attempt. */
static void restore_upper(float *h, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            h[i * n + j] = h[j * n + i];
}

/* h + damping = U U^T in place. */
static upg_status factorise_damped(struct upg_pool *pool, float *h, size_t n, double damping,
                                   double *used_damping, upg_error *err)
{
    float *diagonal = malloc(n * sizeof *diagonal);
    double mean = 0.0, floor;

    if (!diagonal)
        return upg_fail_memory(err, "a Hessian's diagonal", n * sizeof *diagonal);
    for (size_t i = 0; i < n; i++) {
        diagonal[i] = h[i * n + i];
        mean += (double)diagonal[i] / (double)n;
    }
    if (!isfinite(mean)) {
        free(diagonal);
        return upg_fail(err, UPG_ERR_ARGUMENT, "calibration: activations are not finite");
    }
    floor = mean > 0.0 ? mean : 1.0; /* no activations at all: every direction counts alike */
    for (;; damping *= 10.0) {
        damp(h, diagonal, n, damping * floor);
        if (factorise_upper(pool, h, n))
            break;
        restore_upper(h, n);
    }
    *used_damping = damping;
    free(diagonal);
    return UPG_OK;
}

upg_status upg_factorise(struct upg_pool *pool, float *h, size_t n, size_t block, double damping,
                         double *used_damping, upg_error *err)
{
    struct normalise blocks = {h, n, block};
    const upg_status status = factorise_damped(pool, h, n, damping, used_damping, err);

    if (status == UPG_OK)
        upg_pool_run(pool, normalise_blocks, &blocks);
    return status;
}

struct solve {
    const float *u;
    float *rows;
    size_t n, n_rows;
};

/* rows := rows U^-T U^-1, in fixed strips. */
static void solve_rows(void *context, size_t thread, size_t n_threads)
{
    const struct solve *s = context;

    for (size_t i = thread * PANEL; i < s->n_rows; i += n_threads * PANEL) {
        const size_t rows = s->n_rows - i < PANEL ? s->n_rows - i : PANEL;
        const enum CBLAS_TRANSPOSE sides[] = {CblasTrans, CblasNoTrans};
        for (size_t side = 0; side < 2; side++)
            cblas_strsm(CblasRowMajor, CblasRight, CblasUpper, sides[side], CblasNonUnit, (int)rows,
                        (int)s->n, 1.0f, s->u, (int)s->n, s->rows + i * s->n, (int)s->n);
    }
}

upg_status upg_solve_rows(struct upg_pool *pool, float *h, size_t n, double damping, float *rows,
                          size_t n_rows, upg_error *err)
{
    struct solve solve = {h, rows, n, n_rows};
    double used;
    const upg_status status = factorise_damped(pool, h, n, damping, &used, err);

    if (status == UPG_OK)
        upg_pool_run(pool, solve_rows, &solve);
    return status;
}
