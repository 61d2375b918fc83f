/* test_fit.c -- weights behind disturbed inputs come nearer to what the original gives. */
#include "unit.h"

#include "base/random.h"
#include "compress/factor.h"
#include "compress/fit.h"
#include "compress/gemm.h"

#include <stdlib.h>
#include <string.h>

enum { N_ROWS = 300, N_IN = 130, N_OUT = 70 }; /* no multiples of a panel or a tile */

static void fill(float *x, size_t n, struct upg_random *random)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(2.0 * upg_random_unit(random) - 1.0);
}

/* mean square of  original_w x - w x'  over the rows */
static double loss(const float *original_w, const float *w, const float *x, const float *disturbed)
{
    double sum = 0.0;

    for (size_t t = 0; t < N_ROWS; t++)
        for (size_t r = 0; r < N_OUT; r++) {
            double error = 0.0;
            for (size_t c = 0; c < N_IN; c++)
                error += (double)original_w[r * N_IN + c] * (double)x[t * N_IN + c] -
                         (double)w[r * N_IN + c] * (double)disturbed[t * N_IN + c];
            sum += error * error;
        }
    return sum / (N_ROWS * N_OUT);
}

static void half_the_step_takes_three_quarters_of_what_can_be_made_up(void **state)
{
    static float x[N_ROWS * N_IN], disturbed[N_ROWS * N_IN], original[N_OUT * N_IN];
    static float half[N_OUT * N_IN], hessian[N_IN * N_IN];
    struct upg_random random = {7};
    struct upg_arena arena = {0};
    struct upg_fit fit;
    struct upg_pool *pool;
    upg_error err;
    double before, after;
    (void)state;

    fill(x, N_ROWS * N_IN, &random);
    fill(original, N_OUT * N_IN, &random);
    for (size_t i = 0; i < N_ROWS * N_IN;
         i++) /* a fifth of every input is lost: all of it linear */
        disturbed[i] = 0.8f * x[i];
    memcpy(half, original, sizeof half);
    assert_ok(upg_pool_new(&pool, 2, &err), err);
    upg_gemm_init(UPG_GEMM_FLOAT32);
    assert_ok(upg_fit_init(&fit, pool, N_OUT, N_IN, N_ROWS, &arena, &err), err);
    upg_fit_begin(&fit, N_IN);
    upg_fit_add(&fit, x, disturbed, 200, N_IN);
    upg_fit_add(&fit, x + 200 * N_IN, disturbed + 200 * N_IN, N_ROWS - 200, N_IN);
    upg_gemm_gram(pool, hessian, disturbed, N_ROWS, N_IN);
    upg_gemm_gram_end(pool, hessian, N_IN, 1.0f / N_ROWS);
    assert_ok(upg_fit_apply(&fit, half, hessian, 1e-6, N_OUT, N_IN, N_ROWS, &err), err);
    before = loss(original, original, x, disturbed);
    after = loss(original, half, x, disturbed);
    if (!(after > 0.24 * before && after < 0.26 * before))
        fail_msg("%g of %g is left", after, before);
    upg_arena_clear(&arena);
    upg_pool_free(pool);
}

static void solving_undoes_the_product(void **state)
{
    static float h[N_IN * N_IN], copy[N_IN * N_IN], x[N_ROWS * N_IN], rows[N_OUT * N_IN],
        product[N_OUT * N_IN];
    struct upg_random random = {8};
    struct upg_pool *pool;
    upg_error err;
    (void)state;

    assert_ok(upg_pool_new(&pool, 3, &err), err);
    upg_gemm_init(UPG_GEMM_FLOAT32);
    fill(x, N_ROWS * N_IN, &random);
    fill(rows, N_OUT * N_IN, &random);
    upg_gemm_gram(pool, h, x, N_ROWS, N_IN);
    upg_gemm_gram_end(pool, h, N_IN, 1.0f);
    memcpy(copy, h, sizeof copy);
    upg_gemm_dyw(pool, product, rows, copy, N_OUT, N_IN, N_IN);
    assert_ok(upg_solve_rows(pool, h, N_IN, 0.0, product, N_OUT, &err), err);
    for (size_t i = 0; i < N_OUT * N_IN; i++)
        if (!(product[i] > rows[i] - 1e-3f && product[i] < rows[i] + 1e-3f))
            fail_msg("%zu: %g instead of %g", i, (double)product[i], (double)rows[i]);
    upg_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_the_step_takes_three_quarters_of_what_can_be_made_up),
        cmocka_unit_test(solving_undoes_the_product),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
