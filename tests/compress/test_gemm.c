/* test_gemm.c -- products in tiles against the definition, on shapes that fit no tile. */
#include "unit.h"

#include "base/arena.h"
#include "base/random.h"
#include "compress/gemm.h"

#include <math.h>
#include <stdlib.h>

static const size_t shapes[][3] = {{1, 1, 1},      {16, 16, 32},   {33, 17, 5},
                                   {257, 513, 31}, {40, 600, 520}, {300, 65, 1030}};

enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static float *random_matrix(size_t n, uint64_t seed)
{
    struct upg_random random = {seed};
    float *x = upg_aligned_alloc(n, sizeof *x);

    for (size_t i = 0; i < n; i++)
        x[i] = (float)(2.0 * upg_random_unit(&random) - 1.0);
    return x;
}

/* bfloat16 has 8 bits: 2^-8 a product at most, and errors are independent. */
static void assert_close(float got, double expected, size_t n_products)
{
    if (fabs((double)got - expected) > 0.01 * (1.0 + sqrt((double)n_products)))
        fail_msg("%g instead of %g", (double)got, expected);
}

/* By one thread, into the left n of n + 2 columns. */
static void check_add(size_t m, size_t n, size_t k)
{
    const size_t stride = n + 2;
    float *a = random_matrix(m * k, 1), *b = random_matrix(k * n, 2);
    float *y = upg_aligned_alloc(m * stride, sizeof *y);
    void *scratch = upg_gemm_scratch();

    for (size_t i = 0; i < m * stride; i++)
        y[i] = 1.0f;
    upg_gemm_add(y, stride, a, k, b, n, m, n, k, scratch);
    for (size_t i = 0; i < m; i += 1 + m / 9) {
        for (size_t j = 0; j < n; j += 1 + n / 9) {
            double sum = 1.0;
            for (size_t l = 0; l < k; l++)
                sum += (double)a[i * k + l] * (double)b[l * n + j];
            assert_close(y[i * stride + j], sum, k);
        }
        assert_true(y[i * stride + n] == 1.0f && y[i * stride + n + 1] == 1.0f);
    }
    free(a);
    free(b);
    free(y);
    free(scratch);
}

static void check_shape(struct upg_pool *pool, size_t m, size_t n, size_t k)
{
    float *x = random_matrix(m * k, 1), *w = random_matrix(n * k, 2), *y, *dx, *h, *c;

    y = upg_aligned_alloc(m * n + 16, sizeof *y);
    dx = upg_aligned_alloc(m * k + 16, sizeof *dx);
    h = upg_aligned_alloc(k * k, sizeof *h);
    c = upg_aligned_alloc(k * n, sizeof *c);
    y[m * n] = dx[m * k] = 77.0f;
    upg_gemm_xwt(pool, y, x, w, m, n, k);
    upg_gemm_dyw(pool, dx, y, w, m, n, k);
    for (size_t i = 0; i < k * k; i++)
        h[i] = 1.0f;
    upg_gemm_gram(pool, h, x, m, k);
    upg_gemm_gram_end(pool, h, k, 0.5f);
    for (size_t i = 0; i < m; i += 1 + m / 9)
        for (size_t j = 0; j < n; j += 1 + n / 9) {
            double sum = 0.0;
            for (size_t l = 0; l < k; l++)
                sum += (double)x[i * k + l] * (double)w[j * k + l];
            assert_close(y[i * n + j], sum, k);
        }
    for (size_t i = 0; i < m; i += 1 + m / 9)
        for (size_t l = 0; l < k; l += 1 + k / 9) {
            double sum = 0.0;
            for (size_t j = 0; j < n; j++)
                sum += (double)y[i * n + j] * (double)w[j * k + l];
            assert_close(dx[i * k + l], sum, n * k);
        }
    for (size_t a = 0; a < k; a += 1 + k / 9)
        for (size_t b = 0; b < k; b += 1 + k / 9) {
            double sum = 1.0;
            for (size_t i = 0; i < m; i++)
                sum += (double)x[i * k + a] * (double)x[i * k + b];
            assert_close(h[a * k + b], 0.5 * sum, m);
            assert_true(h[a * k + b] == h[b * k + a]);
        }
    for (size_t i = 0; i < k * n; i++)
        c[i] = 1.0f;
    upg_gemm_cross(pool, c, x, y, m, k, n);
    for (size_t a = 0; a < k; a += 1 + k / 9)
        for (size_t b = 0; b < n; b += 1 + n / 9) {
            double sum = 1.0;
            for (size_t i = 0; i < m; i++)
                sum += (double)x[i * k + a] * (double)y[i * n + b];
            assert_close(c[a * n + b], sum, m * k);
        }
    assert_true(y[m * n] == 77.0f && dx[m * k] == 77.0f);
    free(x);
    free(w);
    free(y);
    free(dx);
    free(h);
    free(c);
}

static void tiles_give_the_product(void **state)
{
    struct upg_pool *pool;
    upg_error err;
    (void)state;

    assert_ok(upg_pool_new(&pool, 3, &err), err);
    for (size_t i = 0; i < 2 * N_SHAPES; i++) {
        const size_t *shape = shapes[i % N_SHAPES];
        upg_gemm_init(i < N_SHAPES ? UPG_GEMM_FLOAT32 : UPG_GEMM_BFLOAT16);
        check_shape(pool, shape[0], shape[1], shape[2]);
        check_add(shape[0], shape[1], shape[2]);
    }
    upg_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tiles_give_the_product)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
