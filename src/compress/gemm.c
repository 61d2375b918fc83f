/* gemm.c -- tiles of a product: on AMX where there is one, else one BLAS call each. */
#include "compress/gemm.h"

#include "base/arena.h"
#include "base/size.h"
#include "compress/gemm_amx.h"

#include <cblas.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
    TILE_ROWS = UPG_GEMM_AMX_ROWS,
    TILE_COLS = UPG_GEMM_AMX_COLS,
    MIRROR = 64 /* columns and rows of a square: both its copies fit into L1 */
};

/* y[i, j] = sum over l of a(i, l) * b(j, l), in tiles. */
struct product {
    float *y;
    size_t y_stride;
    struct upg_factor a, b;
    size_t m, n, k;
    bool add;
    bool upper_only; /* tiles below the diagonal are left out (symmetric products) */
};

static bool use_amx; /* set once by upg_gemm_init() */

/* The factor from row i on. */
static struct upg_factor from_row(struct upg_factor f, size_t i)
{
    f.values += f.transposed ? i : i * f.stride;
    return f;
}

static void multiply_tile(const struct product *p, size_t i, size_t j, void *scratch)
{
    const size_t rows = size_min(TILE_ROWS, p->m - i), cols = size_min(TILE_COLS, p->n - j);
    const struct upg_factor a = from_row(p->a, i), b = from_row(p->b, j);
    float *y = p->y + i * p->y_stride + j;

    if (scratch)
        upg_gemm_amx(y, p->y_stride, a, b, rows, cols, p->k, p->add, scratch);
    else
        cblas_sgemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans,
                    b.transposed ? CblasNoTrans : CblasTrans, (int)rows, (int)cols, (int)p->k, 1.0f,
                    a.values, (int)a.stride, b.values, (int)b.stride, p->add ? 1.0f : 0.0f, y,
                    (int)p->y_stride);
}

void *upg_gemm_scratch(void)
{
    return use_amx ? upg_aligned_alloc(upg_gemm_amx_scratch(), 1) : NULL;
}

static void multiply_tiles(void *context, size_t thread, size_t n_threads)
{
    const struct product *p = context;
    const size_t tile_cols = (p->n + TILE_COLS - 1) / TILE_COLS;
    const size_t n_tiles = (p->m + TILE_ROWS - 1) / TILE_ROWS * tile_cols;
    /* Without memory for packing the slower way is taken: it needs none. */
    void *scratch = upg_gemm_scratch();

    for (size_t tile = thread; tile < n_tiles; tile += n_threads) {
        const size_t i = tile / tile_cols * TILE_ROWS, j = tile % tile_cols * TILE_COLS;
        if (!p->upper_only || j + TILE_COLS > i)
            multiply_tile(p, i, j, scratch);
    }
    free(scratch);
}

void upg_gemm_init(enum upg_gemm_precision least)
{
    openblas_set_num_threads(1);
    use_amx = least == UPG_GEMM_BFLOAT16 && upg_gemm_amx_available();
}

size_t upg_gemm_threads(size_t n_threads)
{
    return openblas_get_parallel() == OPENBLAS_SEQUENTIAL ? 1 : n_threads;
}

void upg_gemm_xwt(struct upg_pool *pool, float *y, const float *x, const float *w, size_t m,
                  size_t n, size_t k)
{
    struct product p = {
        .y = y, .y_stride = n, .a = {x, k, false}, .b = {w, k, false}, .m = m, .n = n, .k = k};

    upg_pool_run(pool, multiply_tiles, &p);
}

void upg_gemm_dyw(struct upg_pool *pool, float *dx, const float *dy, const float *w, size_t m,
                  size_t n, size_t k)
{
    struct product p = {
        .y = dx, .y_stride = k, .a = {dy, n, false}, .b = {w, k, true}, .m = m, .n = k, .k = n};

    upg_pool_run(pool, multiply_tiles, &p);
}

void upg_gemm_gram(struct upg_pool *pool, float *h, const float *x, size_t m, size_t k)
{
    struct product p = {.y = h,
                        .y_stride = k,
                        .a = {x, k, true},
                        .b = {x, k, true},
                        .m = k,
                        .n = k,
                        .k = m,
                        .add = true,
                        .upper_only = true};

    upg_pool_run(pool, multiply_tiles, &p);
}

struct symmetric {
    float *h;
    size_t k;
    float scale;
};

/* A square of the upper triangle is scaled, then written across the diagonal. */
static void mirror_square(const struct symmetric *s, size_t first_row, size_t first_col)
{
    const size_t k = s->k;
    const size_t end_row = size_min(first_row + MIRROR, k),
                 end_col = size_min(first_col + MIRROR, k);

    for (size_t i = first_row; i < end_row; i++)
        for (size_t j = i < first_col ? first_col : i; j < end_col; j++)
            s->h[i * k + j] *= s->scale;
    for (size_t j = first_col; j < end_col; j++)
        for (size_t i = first_row; i < size_min(j, end_row); i++)
            s->h[j * k + i] = s->h[i * k + j];
}

static void mirror_squares(void *context, size_t thread, size_t n_threads)
{
    const struct symmetric *s = context;

    for (size_t i = thread * MIRROR; i < s->k; i += n_threads * MIRROR)
        for (size_t j = i; j < s->k; j += MIRROR)
            mirror_square(s, i, j);
}

void upg_gemm_gram_end(struct upg_pool *pool, float *h, size_t k, float scale)
{
    struct symmetric s = {h, k, scale};

    upg_pool_run(pool, mirror_squares, &s);
}

void upg_gemm_cross(struct upg_pool *pool, float *c, const float *a, const float *b, size_t m,
                    size_t k1, size_t k2)
{
    struct product p = {.y = c,
                        .y_stride = k2,
                        .a = {a, k1, true},
                        .b = {b, k2, true},
                        .m = k1,
                        .n = k2,
                        .k = m,
                        .add = true};

    upg_pool_run(pool, multiply_tiles, &p);
}

void upg_gemm_add(float *y, size_t y_stride, const float *a, size_t a_stride, const float *b,
                  size_t b_stride, size_t m, size_t n, size_t k, void *scratch)
{
    const struct product p = {.y = y,
                              .y_stride = y_stride,
                              .a = {a, a_stride, false},
                              .b = {b, b_stride, true},
                              .m = m,
                              .n = n,
                              .k = k,
                              .add = true};

    for (size_t i = 0; i < m; i += TILE_ROWS)
        for (size_t j = 0; j < n; j += TILE_COLS)
            multiply_tile(&p, i, j, scratch);
}
