/* test_encode_map.c -- one map compressed: error bounds, feedback, determinism, odd matrices. */
#include "unit.h"

#include "base/arena.h"
#include "base/random.h"
#include "compress/encode_map.h"
#include "compress/factor.h"
#include "compress/gemm.h"
#include "compress/rotate.h"

#include <math.h>
#include <stdlib.h>

static float gauss(struct upg_random *random)
{
    const double u = 1.0 - upg_random_unit(random), v = upg_random_unit(random);

    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

static float *gaussian_matrix(size_t n, uint64_t seed)
{
    struct upg_random random = {seed};
    float *w = upg_aligned_alloc(n, sizeof *w);

    for (size_t i = 0; i < n; i++)
        w[i] = gauss(&random);
    return w;
}

/* Mean of x x^T for rows whose columns are strongly correlated: x = A z with few directions large.
 */
static float *correlated_hessian(struct upg_pool *pool, size_t n, uint64_t seed)
{
    enum { SAMPLES = 2048 };
    float *z = gaussian_matrix((size_t)SAMPLES * n, seed), *a = gaussian_matrix(n * n, seed + 1);
    float *x = upg_aligned_alloc((size_t)SAMPLES * n, sizeof *x);
    float *h = upg_aligned_alloc(n * n, sizeof *h);

    for (size_t t = 0; t < SAMPLES; t++)
        for (size_t i = 0; i < n; i++)
            z[t * n + i] *= 1.0f / sqrtf(1.0f + (float)i); /* eigenvalues fall as 1 / i */
    upg_gemm_xwt(pool, x, z, a, SAMPLES, n, n);
    upg_gemm_gram(pool, h, x, SAMPLES, n);
    upg_gemm_gram_end(pool, h, n, 1.0f / SAMPLES);
    free(z);
    free(a);
    free(x);
    return h;
}

/* tr((W - V) H (W - V)^T) / tr(W H W^T), the slow way. */
static double true_proxy(const float *w, const float *v, const float *h, size_t n_rows, size_t n)
{
    double loss = 0.0, all = 0.0;

    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                const double hij = (double)h[i * n + j];
                loss += (double)(w[r * n + i] - v[r * n + i]) * hij *
                        (double)(w[r * n + j] - v[r * n + j]);
                all += (double)w[r * n + i] * hij * (double)w[r * n + j];
            }
    return loss / all;
}

struct coded {
    struct upg_coded_map map;
    float *expanded;
};

static void encode(struct coded *c, size_t n_threads, const float *w, const float *h, size_t n_rows,
                   size_t second_rows, size_t n_cols, int k)
{
    struct upg_pool *pool;
    upg_error err;
    float *scratch;

    memset(c, 0, sizeof *c);
    assert_ok(upg_pool_new(&pool, n_threads, &err), err);
    c->map = (struct upg_coded_map){.n_parts = second_rows ? 2 : 1, .n_cols = n_cols};
    c->map.part[0] = (struct upg_coded_part){.k = k, .n_rows = n_rows};
    c->map.part[1] = (struct upg_coded_part){.k = 4, .n_rows = second_rows};
    upg_coded_map_layout(&c->map, 7, true);
    assert_ok(upg_coded_map_allocate(&c->map, &err), err);
    assert_ok(upg_encode_map(pool, &c->map, w, h, 0.01, upg_effort_of("normal"), &err), err);
    c->expanded = upg_aligned_alloc((n_rows + second_rows) * n_cols, sizeof(float));
    scratch = upg_aligned_alloc(upg_coded_map_scratch(&c->map), sizeof *scratch);
    upg_coded_map_expand(pool, &c->map, NULL, NULL, c->expanded, scratch);
    free(scratch);
    upg_pool_free(pool);
}

static void clear(struct coded *c)
{
    upg_coded_map_clear(&c->map);
    free(c->expanded);
}

static void expansion_is_what_the_reference_decodes(void **state)
{
    const size_t n_rows = 256, second = 192, n_cols = 320;
    float *w = gaussian_matrix((n_rows + second) * n_cols, 3), *row, *scratch;
    struct coded c;
    (void)state;

    encode(&c, 2, w, NULL, n_rows, second, n_cols, 3);
    row = malloc(n_cols * sizeof *row);
    for (size_t part = 0; part < 2; part++) {
        const struct upg_packed packed = upg_coded_part_matrix(&c.map, part).packed;
        scratch = malloc(upg_packed_row_scratch(&packed) * sizeof *scratch + 1);
        for (size_t r = 0; r < packed.n_rows; r += 37) {
            upg_packed_rows(&packed, r, 1, row, scratch);
            for (size_t i = 0; i < n_cols; i++)
                assert_true(fabsf(row[i] - c.expanded[(part * n_rows + r) * n_cols + i]) < 1e-4f);
        }
        free(scratch);
    }
    assert_true(c.map.part[0].nmse < 0.0192 && c.map.part[0].nmse > 0.0156);
    assert_true(c.map.part[1].nmse < 0.0053 && c.map.part[1].nmse > 0.0039);
    free(row);
    clear(&c);
    free(w);
}

static void feedback_lowers_the_loss_that_counts(void **state)
{
    const size_t n_rows = 128, n = 256;
    float *w = gaussian_matrix(n_rows * n, 5), *h;
    struct upg_pool *pool;
    struct coded without, with;
    double loss_without, loss_with;
    upg_error err;
    (void)state;

    assert_ok(upg_pool_new(&pool, 2, &err), err);
    h = correlated_hessian(pool, n, 11);
    encode(&without, 2, w, NULL, n_rows, 0, n, 3);
    encode(&with, 2, w, h, n_rows, 0, n, 3);
    loss_without = true_proxy(w, without.expanded, h, n_rows, n);
    loss_with = true_proxy(w, with.expanded, h, n_rows, n);
    assert_true(loss_with < 0.6 * loss_without);
    /* the reported loss counts the damping too, hence a little more */
    assert_true(fabs(with.map.part[0].proxy_loss / loss_with - 1.0) < 0.15);
    clear(&without);
    clear(&with);
    upg_pool_free(pool);
    free(h);
    free(w);
}

static void thread_count_does_not_change_the_codes(void **state)
{
    const size_t n_rows = 384, n = 192;
    float *w = gaussian_matrix(n_rows * n, 8), *h;
    struct upg_pool *pool;
    struct coded one, three;
    upg_error err;
    (void)state;

    assert_ok(upg_pool_new(&pool, 2, &err), err);
    h = correlated_hessian(pool, n, 4);
    encode(&one, 1, w, h, n_rows, 0, n, 2);
    encode(&three, 3, w, h, n_rows, 0, n, 2);
    assert_memory_equal(one.map.part[0].codes, three.map.part[0].codes, n_rows * n * 2 / 8);
    assert_memory_equal(one.map.part[0].row_scale, three.map.part[0].row_scale, n_rows * 2);
    clear(&one);
    clear(&three);
    upg_pool_free(pool);
    free(h);
    free(w);
}

/* A part of 8 bits beside packed ones, whichever comes first: rows rounded to 127 steps, and packed
 * parts that are what they would be without it. */
static void plain_rows_stand_beside_packed_ones(void **state)
{
    const size_t n_rows = 128, second = 96, n = 320; /* 96: padded if it were packed */
    float *w = gaussian_matrix((n_rows + second) * n, 12);
    struct coded c;
    (void)state;

    encode(&c, 2, w, NULL, n_rows, second, n, UPG_PLAIN_BITS);
    assert_true(c.map.part[0].nmse < 2e-4 && c.map.part[0].nmse > 2e-5);
    assert_true(c.map.part[1].nmse < 0.0053 && c.map.part[1].nmse > 0.0039);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < n; i++)
            /* half a step, and half of a bfloat16 unit of what is in the file */
            assert_true(fabsf(w[r * n + i] - c.expanded[r * n + i]) <=
                        0.501f * c.map.part[0].row_step[r] + fabsf(w[r * n + i]) / 256.0f);
    assert_int_equal(upg_coded_part_matrix(&c.map, 0).type, UPG_TYPE_I8_ROWS);
    assert_int_equal(upg_coded_part_matrix(&c.map, 0).n_bytes, n_rows * n);
    clear(&c);
    free(w);
}

static void plain_rows_may_be_all(void **state)
{
    const size_t n_rows = 100, n = 72;
    float *w = gaussian_matrix(n_rows * n, 13);
    struct coded c;
    (void)state;

    memset(w, 0, n * sizeof *w);
    for (size_t i = 0; i < n; i++)
        w[n + i] = i == 3 ? 4e-44f : 1e-44f; /* subnormal, coarse */
    encode(&c, 2, w, NULL, n_rows, 0, n, UPG_PLAIN_BITS);
    assert_true(c.map.part[0].nmse < 2e-4);
    for (size_t i = 0; i < 2 * n; i++)
        assert_true(fabsf(c.expanded[i]) < 1e-42f);
    clear(&c);
    free(w);
}

/* Zero rows, a dead column in the Hessian, a Hessian of rank one, huge outliers, constant rows. */
static void odd_matrices_stay_finite(void **state)
{
    const size_t n_rows = 128, n = 128;
    float *w = gaussian_matrix(n_rows * n, 9), *h = upg_aligned_alloc(n * n, sizeof *h);
    struct coded c;
    (void)state;

    memset(w, 0, n * sizeof *w);
    for (size_t i = 0; i < n; i++) {
        w[n + i] = 0.5f;
        w[2 * n + i] = 1e-9f;
    }
    w[3 * n + 5] = 3e4f;
    for (size_t i = 1; i < n; i++)
        for (size_t j = 1; j < n; j++)
            h[i * n + j] = 1.0f;
    encode(&c, 2, w, h, n_rows, 0, n, 3);
    for (size_t i = 0; i < n_rows * n; i++)
        assert_true(isfinite(c.expanded[i]));
    assert_true(c.map.part[0].nmse < 0.2);
    clear(&c);
    free(h);
    free(w);
}

static void a_weight_that_is_not_finite_is_refused(void **state)
{
    const size_t n_rows = 128, n = 64;
    float *w = gaussian_matrix(n_rows * n, 9);
    struct upg_coded_map map = {.n_parts = 1, .n_cols = n};
    struct upg_pool *pool;
    upg_error err;
    (void)state;

    map.part[0] = (struct upg_coded_part){.k = 3, .n_rows = n_rows};
    w[77] = NAN;
    assert_ok(upg_pool_new(&pool, 1, &err), err);
    upg_coded_map_layout(&map, 1, true);
    assert_ok(upg_coded_map_allocate(&map, &err), err);
    assert_fails(upg_encode_map(pool, &map, w, NULL, 0.01, upg_effort_of("fast"), &err),
                 UPG_ERR_ARGUMENT, err, "finite");
    upg_coded_map_clear(&map);
    upg_pool_free(pool);
    free(w);
}

/* M D M^T must be the damped matrix again. */
static void factors_multiply_to_the_matrix(void **state)
{
    enum { N = 192, BLOCK = 32 };
    struct upg_pool *pool;
    float *h, *f;
    double damping, worst = 0.0, mean = 0.0;
    upg_error err;
    (void)state;

    assert_ok(upg_pool_new(&pool, 3, &err), err);
    h = correlated_hessian(pool, N, 21);
    f = upg_aligned_alloc(N * N, sizeof *f);
    memcpy(f, h, (size_t)N * N * sizeof *f);
    assert_ok(upg_factorise(pool, f, N, BLOCK, 0.01, &damping, &err), err);
    assert_true(damping == 0.01);
    for (size_t i = 0; i < N; i++)
        mean += (double)h[i * N + i] / N;
    for (size_t i = 0; i < N; i++)
        for (size_t j = i; j < N; j++) {
            double sum = 0.0; /* sum over blocks b >= block of j of M[i, b] D[b] M[j, b]^T */
            for (size_t b = j / BLOCK * BLOCK; b < N; b += BLOCK)
                for (size_t p = b; p < b + BLOCK; p++)
                    for (size_t q = b; q < b + BLOCK; q++) {
                        const double mi = i / BLOCK * BLOCK == b ? i == p : (double)f[i * N + p];
                        const double mj = j / BLOCK * BLOCK == b ? j == q : (double)f[j * N + q];
                        sum += mi * (double)f[p * N + q] * mj;
                    }
            worst = fmax(worst, fabs(sum - (double)h[i * N + j] - (i == j ? 0.01 * mean : 0.0)));
        }
    assert_true(worst < 1e-3 * mean);
    upg_pool_free(pool);
    free(h);
    free(f);
}

static void rotation_back_is_the_inverse(void **state)
{
    enum { ROWS = 384, COLS = 192 };
    float *w = gaussian_matrix((size_t)ROWS * COLS, 2),
          *r = gaussian_matrix((size_t)ROWS * COLS, 2);
    struct upg_pool *pool;
    upg_error err;
    (void)state;

    assert_ok(upg_pool_new(&pool, 3, &err), err);
    upg_rotate_rows(pool, r, ROWS, COLS, 5);
    upg_rotate_columns(pool, r, ROWS, COLS, 6);
    upg_rotate_columns_back(pool, r, ROWS, COLS, 6);
    upg_rotate_rows_back(pool, r, ROWS, COLS, 5);
    for (size_t i = 0; i < (size_t)ROWS * COLS; i++)
        assert_true(fabsf(w[i] - r[i]) < 1e-5f);
    upg_pool_free(pool);
    free(w);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rotation_back_is_the_inverse),
        cmocka_unit_test(factors_multiply_to_the_matrix),
        cmocka_unit_test(expansion_is_what_the_reference_decodes),
        cmocka_unit_test(feedback_lowers_the_loss_that_counts),
        cmocka_unit_test(thread_count_does_not_change_the_codes),
        cmocka_unit_test(plain_rows_stand_beside_packed_ones),
        cmocka_unit_test(plain_rows_may_be_all),
        cmocka_unit_test(odd_matrices_stay_finite),
        cmocka_unit_test(a_weight_that_is_not_finite_is_refused),
    };

    upg_gemm_init(UPG_GEMM_BFLOAT16);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
