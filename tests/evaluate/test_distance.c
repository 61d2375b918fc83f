/* test_distance.c -- numbers that can be worked out by hand. */
#include "unit.h"

#include "evaluate/distance.h"

#include <math.h>

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-6))
        fail_msg("%.9g is not %.9g", a, b);
}

static void surprise_is_the_log_of_the_softmax(void **state)
{
    const float logits[3] = {0, logf(2), logf(5)}; /* 1/8, 2/8, 5/8 */
    const struct upg_distribution d = upg_distribution_of(logits, 3);

    (void)state;
    assert_int_equal(d.best, 2);
    assert_near(upg_surprise(&d, 0), log(8));
    assert_near(upg_surprise(&d, 1), log(4));
    assert_near(upg_surprise(&d, 2), log(8.0 / 5));
}

static void greatest_of_equal_logits_is_the_first(void **state)
{
    const float logits[4] = {1, 7, 7, 2};

    (void)state;
    assert_int_equal(upg_distribution_of(logits, 4).best, 1);
}

static void large_logits_do_not_overflow(void **state)
{
    const float logits[2] = {3e4f, 3e4f - 1};
    const struct upg_distribution d = upg_distribution_of(logits, 2);

    (void)state;
    assert_near(upg_surprise(&d, 0), log(1 + exp(-1)));
}

static void divergence_of_two_coins(void **state)
{
    const float fair[2] = {0, 0}, biased[2] = {logf(3), 0}, shifted[2] = {5, 5};
    const struct upg_distribution p = upg_distribution_of(fair, 2);
    const struct upg_distribution q = upg_distribution_of(biased, 2);
    const struct upg_distribution r = upg_distribution_of(shifted, 2);

    (void)state;
    assert_near(upg_divergence(&p, &q), 0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25));
    assert_near(upg_divergence(&q, &p), 0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5));
    assert_near(upg_divergence(&p, &r), 0);
}

static void mean_and_its_error(void **state)
{
    const double values[] = {2, 4, 4, 4, 5, 5, 7, 9}; /* variance 32 / 7 */
    struct upg_mean mean = {0};

    (void)state;
    assert_near(upg_mean_stderr(&mean), 0);
    for (size_t i = 0; i < 8; i++)
        upg_mean_add(&mean, values[i]);
    assert_near(mean.mean, 5);
    assert_near(upg_mean_stderr(&mean), sqrt(32.0 / 7 / 8));
}

static void quantiles_lie_between_their_neighbours(void **state)
{
    const double sorted[] = {1, 2, 4, 8};

    (void)state;
    assert_near(upg_quantile(sorted, 4, 0), 1);
    assert_near(upg_quantile(sorted, 4, 0.5), 3);
    assert_near(upg_quantile(sorted, 4, 0.9), 4 + 0.7 * 4);
    assert_near(upg_quantile(sorted, 4, 1), 8);
    assert_near(upg_quantile(sorted, 1, 0.99), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(surprise_is_the_log_of_the_softmax),
        cmocka_unit_test(greatest_of_equal_logits_is_the_first),
        cmocka_unit_test(large_logits_do_not_overflow),
        cmocka_unit_test(divergence_of_two_coins),
        cmocka_unit_test(mean_and_its_error),
        cmocka_unit_test(quantiles_lie_between_their_neighbours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
