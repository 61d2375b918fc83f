/* test_speculation.c -- drafts, and when they pay. */
#include "unit.h"

#include "engine/speculation.h"

static void draft_is_what_followed_the_longest_match(void **state)
{
    const int32_t ids[] = {1, 2, 3, 9, 8, 2, 3, 7, 6, 1, 2, 3};
    int32_t draft[UPG_MAX_DRAFT];

    (void)state;
    assert_int_equal(upg_draft_find(ids, 12, draft, 3), 3);
    assert_int_equal(draft[0], 9); /* three tokens agree there, two further on */
    assert_int_equal(draft[1], 8);
    assert_int_equal(draft[2], 2);
    assert_int_equal(upg_draft_find(ids, 7, draft, 2), 2); /* ... 2 3 */
    assert_int_equal(draft[0], 9);
    assert_int_equal(upg_draft_find(ids, 4, draft, 2), 0);
    assert_int_equal(upg_draft_find(ids, 1, draft, 2), 0);
    assert_int_equal(upg_draft_find(ids, 0, draft, 2), 0);
    assert_int_equal(upg_draft_find(ids + 4, 3, draft, 2), 0); /* one token is no match */
}

static void of_equal_matches_the_last_counts_and_repetition_goes_on(void **state)
{
    const int32_t ids[] = {5, 6, 1, 5, 6, 2, 5, 6};
    const int32_t goes_on[] = {2, 5, 6}, same[] = {4, 4, 4, 4};
    int32_t draft[UPG_MAX_DRAFT];

    (void)state;
    assert_int_equal(upg_draft_find(ids, 8, draft, 8), 8);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(draft[i], goes_on[i % 3]);
    assert_int_equal(upg_draft_find(same, 4, draft, 8), 8);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(draft[i], 4);
}

static struct upg_step_costs costs_of(double fixed, double each)
{
    struct upg_step_costs costs = {.n_steps = 0};

    for (size_t n = 1; n <= 64; n *= 2)
        upg_step_costs_add(&costs, n, fixed + each * (double)n);
    return costs;
}

static void costs_are_interpolated_and_never_fall(void **state)
{
    struct upg_step_costs costs = {.n_steps = 0};

    (void)state;
    assert_true(upg_step_costs_expect(&costs, 3) == 0);
    upg_step_costs_add(&costs, 4, 2.0);
    assert_true(upg_step_costs_expect(&costs, 1) == 2.0);
    assert_true(upg_step_costs_expect(&costs, 8) == 4.0);
    upg_step_costs_add(&costs, 8, 6.0);
    assert_true(upg_step_costs_expect(&costs, 6) == 4.0);
    upg_step_costs_add(&costs, 16, 1.0); /* a mistake of the clock */
    assert_true(upg_step_costs_expect(&costs, 16) == 6.0);
    for (size_t i = 0; i < 100; i++)
        upg_step_costs_add(&costs, 4, 1.0);
    assert_true(upg_step_costs_expect(&costs, 4) < 1.01);
    upg_step_costs_add(&costs, 4, 1000.0); /* an interruption */
    assert_true(upg_step_costs_expect(&costs, 4) < 1.2);
}

static void drafts_are_as_long_as_they_pay(void **state)
{
    const struct upg_step_costs cheap = costs_of(1, 0.01), dear = costs_of(0.01, 1);
    const struct upg_step_costs unknown = {.n_steps = 0};

    (void)state;
    assert_int_equal(upg_draft_length(&unknown, 1, 1, 0.9, 8), 0);
    assert_int_equal(upg_draft_length(&cheap, 1, 1, 0.95, 8), 8);
    assert_int_equal(upg_draft_length(&cheap, 1, 1, 0.95, 3), 3);
    assert_int_equal(upg_draft_length(&cheap, 1, 1, 0, 8), 0);
    assert_in_range(upg_draft_length(&cheap, 1, 1, 0.3, 8), 1, 4);
    assert_int_equal(upg_draft_length(&dear, 1, 1, 0.9, 8), 0);
    /* In a full batch a row's own cost is what counts. */
    assert_true(upg_draft_length(&cheap, 32, 32, 0.5, 8) <
                upg_draft_length(&cheap, 1, 1, 0.5, 8) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draft_is_what_followed_the_longest_match),
        cmocka_unit_test(of_equal_matches_the_last_counts_and_repetition_goes_on),
        cmocka_unit_test(costs_are_interpolated_and_never_fall),
        cmocka_unit_test(drafts_are_as_long_as_they_pay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
