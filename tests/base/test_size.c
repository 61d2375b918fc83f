/* Sums and products at both sides of the overflow. */
#include "unit.h"

#include "base/size.h"

static void sums_and_products_are_exact_up_to_the_largest_size(void **state)
{
    size_t out;

    (void)state;
    assert_true(size_add(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_true(size_mul(SIZE_MAX / 5, 5, &out));
    assert_true(out == SIZE_MAX / 5 * 5);
    assert_true(size_mul(SIZE_MAX, 0, &out));
    assert_true(out == 0);
    assert_true(size_round_up(1, 64, &out));
    assert_true(out == 64);
    assert_true(size_round_up(64, 64, &out));
    assert_true(out == 64);
    assert_true(size_round_up(0, 64, &out));
    assert_true(out == 0);
    assert_true(size_round_up(SIZE_MAX - 63, 64, &out));
    assert_true(out == SIZE_MAX - 63);
}

static void overflow_is_reported_and_leaves_the_output_alone(void **state)
{
    size_t out = 42;

    (void)state;
    assert_false(size_add(SIZE_MAX, 1, &out));
    assert_false(size_add(SIZE_MAX, SIZE_MAX, &out));
    assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_false(size_mul((size_t)1 << 32, (size_t)1 << 32, &out));
    assert_false(size_round_up(SIZE_MAX - 62, 64, &out));
    assert_false(size_round_up(SIZE_MAX, 64, &out));
    assert_true(out == 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_products_are_exact_up_to_the_largest_size),
        cmocka_unit_test(overflow_is_reported_and_leaves_the_output_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
