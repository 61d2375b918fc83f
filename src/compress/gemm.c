/* gemm.c -- tiles of a product: on AMX where there is one, else one BLAS call each. */
#include "compress/gemm.h"

#include "base/arena.h"
#include "compress/gemm_amx.h"

#include <cblas.h>
#include <stdbool.h>
#include <stdlib.h>

enum { TILE_ROWS = UPG_GEMM_AMX_ROWS, TILE_COLS = UPG_GEMM_AMX_COLS };

/* y[i, j] = sum over l of a(i, l) * b(j, l), in tiles. */
struct product {
    float *y;
    struct upg_factor a, b;
    size_t m, n, k;
    bool add;
    bool upper_only; /* tiles below the diagonal are left out (symmetric products) */
};

static bool use_amx; /* set once by upg_gemm_init() */

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The factor from row i on. */
static struct upg_factor from_row(struct upg_factor f, size_t i)
{
    f.values += f.transposed ? i : i * f.stride;
    return f;
}

static void multiply_tile(const struct product *p, size_t i, size_t j, void *scratch)
{
    const size_t rows = min_size(TILE_ROWS, p->m - i), cols = min_size(TILE_COLS, p->n - j);
    const struct upg_factor a = from_row(p->a, i), b = from_row(p->b, j);
    float *y = p->y + i * p->n + j;

    if (scratch)
        upg_gemm_amx(y, p->n, a, b, rows, cols, p->k, p->add, scratch);
    else
        cblas_sgemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans,
                    b.transposed ? CblasNoTrans : CblasTrans, (int)rows, (int)cols, (int)p->k, 1.0f,
                    a.values, (int)a.stride, b.values, (int)b.stride, p->add ? 1.0f : 0.0f, y,
                    (int)p->n);
}

static void multiply_tiles(void *context, size_t thread, size_t n_threads)
{
    const struct product *p = context;
    const size_t tile_cols = (p->n + TILE_COLS - 1) / TILE_COLS;
    const size_t n_tiles = (p->m + TILE_ROWS - 1) / TILE_ROWS * tile_cols;
    /* Without memory for packing the slower way is taken: it needs none. */
    void *scratch = use_amx ? upg_aligned_alloc(upg_gemm_amx_scratch(), 1) : NULL;

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
    struct product p = {.y = y, .a = {x, k, false}, .b = {w, k, false}, .m = m, .n = n, .k = k};

    upg_pool_run(pool, multiply_tiles, &p);
}

void upg_gemm_dyw(struct upg_pool *pool, float *dx, const float *dy, const float *w, size_t m,
                  size_t n, size_t k)
{
    struct product p = {.y = dx, .a = {dy, n, false}, .b = {w, k, true}, .m = m, .n = k, .k = n};

    upg_pool_run(pool, multiply_tiles, &p);
}

struct mirror {
    float *h;
    size_t k;
};

static void mirror_rows(void *context, size_t thread, size_t n_threads)
{
    const struct mirror *mirror = context;
    const size_t k = mirror->k;

    for (size_t i = thread; i < k; i += n_threads)
        for (size_t j = 0; j < i; j++)
            mirror->h[i * k + j] = mirror->h[j * k + i];
}

void upg_gemm_gram(struct upg_pool *pool, float *h, const float *x, size_t m, size_t k)
{
    struct product p = {.y = h,
                        .a = {x, k, true},
                        .b = {x, k, true},
                        .m = k,
                        .n = k,
                        .k = m,
                        .add = true,
                        .upper_only = true};
    struct mirror mirror = {h, k};

    upg_pool_run(pool, multiply_tiles, &p);
    upg_pool_run(pool, mirror_rows, &mirror);
}

void upg_gemm_cross(struct upg_pool *pool, float *c, const float *a, const float *b, size_t m,
                    size_t k1, size_t k2)
{
    struct product p = {
        .y = c, .a = {a, k1, true}, .b = {b, k2, true}, .m = k1, .n = k2, .k = m, .add = true};

    upg_pool_run(pool, multiply_tiles, &p);
}
