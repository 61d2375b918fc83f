/* binary16 and bfloat16: every half against the formula of IEEE 754, every rounding against the two
 * neighbours. */
#include "unit.h"

#include "base/half.h"

#include <math.h>

/* IEEE 754-2019, section 3.4, for binary16: p = 11, emax = 15. */
static double f16_value(uint16_t half)
{
    const double sign = half & 0x8000 ? -1 : 1;
    const int exponent = half >> 10 & 0x1F, fraction = half & 0x3FF;

    if (exponent == 0)
        return sign * ldexp(fraction, -24);
    return sign * ldexp(1024 + fraction, exponent - 25);
}

static int f16_is_nan(uint16_t half)
{
    return (half & 0x7C00) == 0x7C00 && (half & 0x3FF);
}

static void every_f16_has_its_value_and_comes_back(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        const uint16_t half = (uint16_t)bits;
        const float value = upg_f16_to_f32(half);

        if (f16_is_nan(half)) {
            assert_true(isnan(value));
            assert_true(f16_is_nan(upg_f32_to_f16(value)));
            continue;
        }
        if ((half & 0x7C00) == 0x7C00)
            assert_true(isinf(value) && !signbit(value) == !(half >> 15));
        else
            assert_true((double)value == f16_value(half) && !signbit(value) == !(half >> 15));
        assert_int_equal(upg_f32_to_f16(value), half);
    }
}

/* Between two neighbouring halves a < b lies the middle m, exact in float32: just below m rounds to
 * a, just above to b, m itself to the one whose last bit is 0. */
static void f32_rounds_to_the_nearest_f16_and_ties_to_even(void **state)
{
    (void)state;
    for (uint16_t a = 0; a < 0x7C00; a++) {
        const uint16_t b = (uint16_t)(a + 1); /* infinity stands for 65536 in the last step */
        const double high = b == 0x7C00 ? 65536.0 : f16_value(b);
        const float middle = (float)((f16_value(a) + high) / 2);

        assert_int_equal(upg_f32_to_f16(nextafterf(middle, 0)), a);
        assert_int_equal(upg_f32_to_f16(nextafterf(middle, INFINITY)), b);
        assert_int_equal(upg_f32_to_f16(middle), a & 1 ? b : a);
        assert_int_equal(upg_f32_to_f16(-middle), 0x8000 | (a & 1 ? b : a));
    }
    assert_int_equal(upg_f32_to_f16(INFINITY), 0x7C00);
    assert_int_equal(upg_f32_to_f16(-3.4e38f), 0xFC00);
    assert_int_equal(upg_f32_to_f16(1e-40f), 0);
}

static void every_bf16_comes_back(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        const float value = upg_bf16_to_f32((uint16_t)bits);

        assert_int_equal(upg_f32_to_bits(value), bits << 16);
        if (isnan(value))
            assert_true(isnan(upg_bf16_to_f32(upg_f32_to_bf16(value))));
        else
            assert_int_equal(upg_f32_to_bf16(value), bits);
    }
}

static void f32_rounds_to_the_nearest_bf16_and_ties_to_even(void **state)
{
    (void)state;
    for (uint32_t a = 0; a < 0x7F80; a++) {
        const uint32_t middle = a << 16 | 0x8000;

        assert_int_equal(upg_f32_to_bf16(upg_bits_to_f32(middle - 1)), a);
        assert_int_equal(upg_f32_to_bf16(upg_bits_to_f32(middle + 1)), a + 1);
        assert_int_equal(upg_f32_to_bf16(upg_bits_to_f32(middle)), a + (a & 1));
    }
    /* A NaN whose payload lies in the lower half must not become infinity. */
    assert_true(isnan(upg_bf16_to_f32(upg_f32_to_bf16(upg_bits_to_f32(0x7F800001)))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_f16_has_its_value_and_comes_back),
        cmocka_unit_test(f32_rounds_to_the_nearest_f16_and_ties_to_even),
        cmocka_unit_test(every_bf16_comes_back),
        cmocka_unit_test(f32_rounds_to_the_nearest_bf16_and_ties_to_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
