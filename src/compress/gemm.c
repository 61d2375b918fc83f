/* gemm.c -- tiles of a product, one BLAS call each. */
#include "compress/gemm.h"

#include <cblas.h>
#include <stdbool.h>

enum { TILE_ROWS = 256, TILE_COLS = 512 };

/* y[i, j] = sum over l of a(i, l) * b(l, j) (+ y), in tiles. */
struct product {
    float *y;
    const float *a, *b;
    size_t m, n, k;
    size_t a_row, b_col; /* elements from one row of y to the next in a, one column in b */
    int lda, ldb;
    CBLAS_TRANSPOSE ta, tb;
    float beta;
    bool upper_only; /* tiles below the diagonal are left out (symmetric products) */
};

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void multiply_tiles(void *context, size_t thread, size_t n_threads)
{
    const struct product *p = context;
    const size_t tile_cols = (p->n + TILE_COLS - 1) / TILE_COLS;
    const size_t n_tiles = (p->m + TILE_ROWS - 1) / TILE_ROWS * tile_cols;

    for (size_t tile = thread; tile < n_tiles; tile += n_threads) {
        const size_t i = tile / tile_cols * TILE_ROWS, j = tile % tile_cols * TILE_COLS;
        const size_t rows = min_size(TILE_ROWS, p->m - i), cols = min_size(TILE_COLS, p->n - j);

        if (p->upper_only && j + cols <= i)
            continue;
        cblas_sgemm(CblasRowMajor, p->ta, p->tb, (int)rows, (int)cols, (int)p->k, 1.0f,
                    p->a + i * p->a_row, p->lda, p->b + j * p->b_col, p->ldb, p->beta,
                    p->y + i * p->n + j, (int)p->n);
    }
}

void upg_gemm_init(void)
{
    openblas_set_num_threads(1);
}

void upg_gemm_xwt(struct upg_pool *pool, float *y, const float *x, const float *w, size_t m,
                  size_t n, size_t k)
{
    struct product p = {.y = y,
                        .a = x,
                        .b = w,
                        .m = m,
                        .n = n,
                        .k = k,
                        .a_row = k,
                        .b_col = k,
                        .lda = (int)k,
                        .ldb = (int)k,
                        .ta = CblasNoTrans,
                        .tb = CblasTrans};

    upg_pool_run(pool, multiply_tiles, &p);
}

void upg_gemm_dyw(struct upg_pool *pool, float *dx, const float *dy, const float *w, size_t m,
                  size_t n, size_t k)
{
    struct product p = {.y = dx,
                        .a = dy,
                        .b = w,
                        .m = m,
                        .n = k,
                        .k = n,
                        .a_row = n,
                        .b_col = 1,
                        .lda = (int)n,
                        .ldb = (int)k,
                        .ta = CblasNoTrans,
                        .tb = CblasNoTrans};

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
                        .a = x,
                        .b = x,
                        .m = k,
                        .n = k,
                        .k = m,
                        .a_row = 1,
                        .b_col = 1,
                        .lda = (int)k,
                        .ldb = (int)k,
                        .ta = CblasTrans,
                        .tb = CblasNoTrans,
                        .beta = 1.0f,
                        .upper_only = true};
    struct mirror mirror = {h, k};

    upg_pool_run(pool, multiply_tiles, &p);
    upg_pool_run(pool, mirror_rows, &mirror);
}
