/* test_transform.c -- signs and Hadamard blocks against their definitions. */
#include "base/random.h"
#include "codec/codec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void blocks_walk_a_row_from_large_to_small(void **state)
{
    (void)state;
    assert_int_equal(upg_hadamard_block(0, 576), 256);
    assert_int_equal(upg_hadamard_block(256, 576), 256);
    assert_int_equal(upg_hadamard_block(512, 576), 64);
    assert_int_equal(upg_hadamard_block(2560, 2688), 128);
    assert_int_equal(upg_hadamard_block(256, 448), 128);
    assert_int_equal(upg_hadamard_block(384, 448), 64);
}

/* H[i][j] = (-1)^popcount(i & j) / sqrt(n) (Sylvester). */
static void hadamard_is_sylvesters(void **state)
{
    (void)state;
    for (size_t n = 64; n <= 256; n *= 2)
        for (size_t j = 0; j < n; j += 7) {
            float x[256] = {0}, columns[256 * 3] = {0};
            x[j] = 1;
            columns[j * 3 + 1] = 1;
            upg_hadamard(x, n);
            upg_hadamard_columns(columns, n, 3, 2);
            for (size_t i = 0; i < n; i++) {
                const double sign = __builtin_popcountll(i & j) % 2 ? -1 : 1;
                assert_true(x[i] == (float)(sign / sqrt((double)n)));
                assert_true(columns[i * 3 + 1] == x[i]);
                assert_true(columns[i * 3] == 0 && columns[i * 3 + 2] == 0);
            }
        }
}

static void out_undoes_in(void **state)
{
    (void)state;
    enum { N = 704 }; /* 256 + 256 + 128 + 64 */
    float x[N], y[N];
    struct upg_random random = {3};

    for (int i = 0; i < N; i++)
        x[i] = y[i] = (float)upg_random_unit(&random);
    upg_transform_in(y, N, 99);
    upg_transform_out(y, N, 99);
    for (int i = 0; i < N; i++)
        assert_true(fabsf(x[i] - y[i]) < 1e-6F);
}

/* SplitMix64's first outputs for seed 0 are E220A8397B1DCDAF, 6E789E6AA1B965F4, 06C45D188009454F:
 * the hash of indices 0, golden ratio, ... */
static void signs_are_top_bits_of_splitmix64(void **state)
{
    (void)state;
    assert_true(upg_splitmix64(0) == 0xE220A8397B1DCDAFU);
    assert_true(upg_transform_sign(0, 0));
    assert_false(upg_transform_sign(0, 0x9E3779B97F4A7C15U));
    assert_true(upg_transform_sign(0x9E3779B97F4A7C15U, 5) ==
                upg_transform_sign(0, 0x9E3779B97F4A7C15U + 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_walk_a_row_from_large_to_small),
        cmocka_unit_test(hadamard_is_sylvesters),
        cmocka_unit_test(out_undoes_in),
        cmocka_unit_test(signs_are_top_bits_of_splitmix64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
