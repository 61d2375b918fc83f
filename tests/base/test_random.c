/* SplitMix64 against the values that its authors' reference program prints. */
#include "unit.h"

#include "base/random.h"

static void stream_equals_the_published_values(void **state)
{
    /* What Vigna's splitmix64.c gives for seed 1234567. */
    static const uint64_t expected[] = {6457827717110365317u, 3203168211198807973u,
                                        9817491932198370423u, 4593380528125082431u,
                                        16408922859458223821u};
    struct upg_random random = {1234567};

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_true(upg_random_u64(&random) == expected[i]);
}

static void nth_output_is_a_hash_of_seed_and_n(void **state)
{
    struct upg_random random = {99};

    (void)state;
    for (uint64_t n = 0; n < 1000; n++)
        assert_true(upg_random_u64(&random) == upg_splitmix64(99 + n * 0x9E3779B97F4A7C15u));
}

static void unit_numbers_lie_below_one_and_average_one_half(void **state)
{
    struct upg_random random = {7};
    double sum = 0;
    enum { N = 100000 };

    (void)state;
    for (int i = 0; i < N; i++) {
        const double u = upg_random_unit(&random);
        assert_true(u >= 0 && u < 1);
        sum += u;
    }
    /* The mean of N uniform numbers has a standard deviation of 1/sqrt(12 N) = 0.0009. */
    assert_true(sum / N > 0.495 && sum / N < 0.505);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_equals_the_published_values),
        cmocka_unit_test(nth_output_is_a_hash_of_seed_and_n),
        cmocka_unit_test(unit_numbers_lie_below_one_and_average_one_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
