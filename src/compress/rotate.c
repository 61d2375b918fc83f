/* rotate.c -- transforms of matrices: rows split over threads, then columns in strips. */
#include "compress/rotate.h"

#include "codec/codec.h"

enum { STRIP = 64 }; /* columns that a thread takes at a time: a block of 256 rows fits into L2 */

struct rotation {
    float *w;
    size_t n_rows, n_cols;
    uint64_t seed;
};

static void rows_forth(void *context, size_t thread, size_t n_threads)
{
    const struct rotation *r = context;

    for (size_t row = thread; row < r->n_rows; row += n_threads)
        upg_transform_in(r->w + row * r->n_cols, r->n_cols, r->seed);
}

static void rows_back(void *context, size_t thread, size_t n_threads)
{
    const struct rotation *r = context;

    for (size_t row = thread; row < r->n_rows; row += n_threads)
        upg_transform_out(r->w + row * r->n_cols, r->n_cols, r->seed);
}

static void flip_rows(const struct rotation *r, size_t begin, size_t end)
{
    for (size_t row = 0; row < r->n_rows; row++)
        if (upg_transform_sign(r->seed, row))
            for (size_t col = begin; col < end; col++)
                r->w[row * r->n_cols + col] = -r->w[row * r->n_cols + col];
}

static void hadamard_strip(const struct rotation *r, size_t begin, size_t end)
{
    for (size_t row = 0, n; row < r->n_rows; row += n) {
        n = upg_hadamard_block(row, r->n_rows);
        upg_hadamard_columns(r->w + row * r->n_cols + begin, n, r->n_cols, end - begin);
    }
}

static size_t strip_end(const struct rotation *r, size_t begin)
{
    return begin + STRIP < r->n_cols ? begin + STRIP : r->n_cols;
}

static void columns_forth(void *context, size_t thread, size_t n_threads)
{
    const struct rotation *r = context;

    for (size_t col = thread * STRIP; col < r->n_cols; col += n_threads * STRIP) {
        flip_rows(r, col, strip_end(r, col));
        hadamard_strip(r, col, strip_end(r, col));
    }
}

static void columns_back(void *context, size_t thread, size_t n_threads)
{
    const struct rotation *r = context;

    for (size_t col = thread * STRIP; col < r->n_cols; col += n_threads * STRIP) {
        hadamard_strip(r, col, strip_end(r, col));
        flip_rows(r, col, strip_end(r, col));
    }
}

static void run(struct upg_pool *pool, void (*job)(void *, size_t, size_t), float *w, size_t n_rows,
                size_t n_cols, uint64_t seed)
{
    struct rotation rotation = {w, n_rows, n_cols, seed};

    upg_pool_run(pool, job, &rotation);
}

void upg_rotate_rows(struct upg_pool *pool, float *w, size_t n_rows, size_t n_padded, uint64_t seed)
{
    run(pool, rows_forth, w, n_rows, n_padded, seed);
}

void upg_rotate_rows_back(struct upg_pool *pool, float *w, size_t n_rows, size_t n_padded,
                          uint64_t seed)
{
    run(pool, rows_back, w, n_rows, n_padded, seed);
}

void upg_rotate_columns(struct upg_pool *pool, float *w, size_t n_padded, size_t n_cols,
                        uint64_t seed)
{
    run(pool, columns_forth, w, n_padded, n_cols, seed);
}

void upg_rotate_columns_back(struct upg_pool *pool, float *w, size_t n_padded, size_t n_cols,
                             uint64_t seed)
{
    run(pool, columns_back, w, n_padded, n_cols, seed);
}

void upg_rotate_symmetric(struct upg_pool *pool, float *h, size_t n_padded, uint64_t seed)
{
    upg_rotate_rows(pool, h, n_padded, n_padded, seed);
    upg_rotate_columns(pool, h, n_padded, n_padded, seed);
}
