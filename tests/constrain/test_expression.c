/* Expressions and their derivatives. */
#include "unit.h"

#include "constrain/states.h"

#include <stdio.h>

static struct upg_states states;

static int set_up(void **state)
{
    upg_error err;

    (void)state;
    return upg_exprs_init(&states.exprs, 100000, &err) == UPG_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    upg_states_clear(&states);
    return 0;
}

static upg_expr text(const char *bytes)
{
    return upg_expr_text(&states.exprs, bytes, strlen(bytes));
}

static bool matches(upg_expr e, const char *bytes)
{
    upg_state state = upg_state_of(&states, e);

    for (; *bytes; bytes++)
        state = upg_state_step(&states, state, (unsigned char)*bytes);
    return state != UPG_STATE_DEAD && (states.infos[state].flags & UPG_STATE_ACCEPTS);
}

static void equal_languages_are_the_same_number(void **state)
{
    struct upg_exprs *x = &states.exprs;
    const upg_expr a = text("a"), b = text("b"), c = text("c");

    (void)state;
    assert_int_equal(upg_expr_or2(x, text("aa"), text("bb")),
                     upg_expr_or2(x, text("bb"), text("aa")));
    assert_int_equal(upg_expr_concat(x, upg_expr_concat(x, a, b), c),
                     upg_expr_concat(x, a, upg_expr_concat(x, b, c)));
    assert_int_equal(upg_expr_or2(x, a, UPG_EXPR_NONE), a);
    assert_int_equal(upg_expr_or2(x, a, UPG_EXPR_ALL), UPG_EXPR_ALL);
    assert_int_equal(upg_expr_and2(x, text("ab"), UPG_EXPR_ALL), text("ab"));
    assert_int_equal(upg_expr_and2(x, a, b), UPG_EXPR_NONE);
    assert_int_equal(upg_expr_not(x, upg_expr_not(x, text("ab"))), text("ab"));
    assert_int_equal(upg_expr_repeat(x, upg_expr_repeat(x, a, 0, UPG_EXPR_UNBOUNDED), 2, 5),
                     upg_expr_repeat(x, a, 0, UPG_EXPR_UNBOUNDED));
    assert_int_equal(upg_expr_range(x, 'a', 'b'), upg_expr_or2(x, a, b));
}

static void counted_repetitions_that_meet_become_one(void **state)
{
    struct upg_exprs *x = &states.exprs;
    const upg_expr a = text("a"), b = text("b");

    (void)state;
    assert_int_equal(upg_expr_or2(x, upg_expr_concat(x, upg_expr_repeat(x, a, 2, 4), b),
                                  upg_expr_concat(x, upg_expr_repeat(x, a, 5, 9), b)),
                     upg_expr_concat(x, upg_expr_repeat(x, a, 2, 9), b));
    assert_int_not_equal(upg_expr_or2(x, upg_expr_repeat(x, a, 2, 4), upg_expr_repeat(x, a, 6, 9)),
                         upg_expr_repeat(x, a, 2, 9));
}

static void counts_are_kept_exactly(void **state)
{
    const upg_expr e = upg_expr_repeat(&states.exprs, text("ab"), 2, 3);

    (void)state;
    assert_false(matches(e, "ab"));
    assert_true(matches(e, "abab"));
    assert_true(matches(e, "ababab"));
    assert_false(matches(e, "abababab"));
    assert_false(matches(e, "aba"));
}

static void intersection_and_complement_are_exact(void **state)
{
    struct upg_exprs *x = &states.exprs;
    const upg_expr letters = upg_expr_repeat(x, upg_expr_range(x, 'a', 'z'), 1, UPG_EXPR_UNBOUNDED);
    const upg_expr e = upg_expr_and2(x, letters, upg_expr_not(x, text("if")));

    (void)state;
    assert_true(matches(e, "i"));
    assert_false(matches(e, "if"));
    assert_true(matches(e, "iff"));
    assert_false(matches(e, "i1"));
}

static void what_has_no_text_is_dead(void **state)
{
    struct upg_exprs *x = &states.exprs;
    const upg_expr even = upg_expr_repeat(x, text("aa"), 0, UPG_EXPR_UNBOUNDED);
    const upg_expr odd = upg_expr_concat(x, text("a"), even);

    (void)state;
    assert_int_equal(upg_state_of(&states, upg_expr_and2(x, even, odd)), UPG_STATE_DEAD);
    assert_int_not_equal(upg_state_of(&states, upg_expr_and2(x, even, upg_expr_not(x, odd))),
                         UPG_STATE_DEAD);
}

static void remainders_decide_multiples(void **state)
{
    struct upg_exprs *x = &states.exprs;
    const upg_expr sevens = upg_expr_remainder(x, 7, 0, 0);
    const upg_expr quarters = upg_expr_remainder(x, 25, 0, 2); /* of 0.25 */

    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        char digits[16];

        snprintf(digits, sizeof digits, "%u", i);
        assert_int_equal(matches(sevens, digits), i % 7 == 0);
        snprintf(digits, sizeof digits, "%u.%02u", i / 100, i % 100);
        assert_int_equal(matches(quarters, digits), i % 25 == 0);
    }
    assert_true(matches(quarters, "1.5"));
    assert_true(matches(quarters, "1.2500"));
    assert_false(matches(quarters, "1.2501"));
    assert_int_equal(
        upg_state_step(&states, upg_state_of(&states, quarters), '.') == UPG_STATE_DEAD, false);
}

static void repetition_that_may_begin_anywhere_stays_small(void **state)
{
    struct upg_exprs *x = &states.exprs;
    const upg_expr any = upg_expr_repeat(x, upg_expr_range(x, ' ', '~'), 0, UPG_EXPR_UNBOUNDED);
    const upg_expr e =
        upg_expr_concat3(x, any, upg_expr_repeat(x, text("a"), 500, 500), UPG_EXPR_ALL);
    upg_state at = upg_state_of(&states, e);

    (void)state;
    for (size_t i = 0; i < 600; i++)
        at = upg_state_step(&states, at, i == 77 ? 'b' : 'a');
    assert_true(states.infos[at].flags & UPG_STATE_ACCEPTS);
    assert_int_equal(states.exprs.failed, UPG_OK);
    assert_true(states.exprs.n_nodes < 20000);
}

/* Bytes of the shortest text, by breadth. */
static uint32_t shortest_by_breadth(upg_expr e)
{
    static upg_state queue[4096];
    static uint32_t distances[65536];
    size_t head = 0, tail = 0;

    memset(distances, 0, sizeof distances);
    queue[tail++] = upg_state_of(&states, e);
    while (head < tail) {
        const upg_state at = queue[head++];

        if (states.infos[at].flags & UPG_STATE_ACCEPTS)
            return distances[at];
        for (unsigned byte = 'a'; byte <= 'c'; byte++) {
            const upg_state to = upg_state_step(&states, at, byte);

            if (to == UPG_STATE_DEAD || distances[to] > 0 || to == queue[0])
                continue;
            assert_true(tail < 4096 && to < 65536);
            distances[to] = distances[at] + 1;
            queue[tail++] = to;
        }
    }
    return UPG_FAR;
}

static upg_expr random_expr(uint32_t *seed, unsigned depth)
{
    struct upg_exprs *x = &states.exprs;
    upg_expr a, b;

    *seed = *seed * 1664525 + 1013904223;
    if (depth == 0)
        return upg_expr_range(x, 'a' + (*seed >> 28) % 3, 'c');
    a = random_expr(seed, depth - 1);
    b = random_expr(seed, depth - 1);
    *seed = *seed * 1664525 + 1013904223;
    switch (*seed >> 24 & 7) {
    case 0: return upg_expr_or2(x, a, b);
    case 1:
    case 2: return upg_expr_concat(x, a, b);
    case 3: return upg_expr_repeat(x, a, *seed >> 16 & 3, 5);
    case 4: return upg_expr_repeat(x, a, *seed >> 16 & 1, UPG_EXPR_UNBOUNDED);
    case 5: return upg_expr_and2(x, a, upg_expr_repeat(x, b, 1, UPG_EXPR_UNBOUNDED));
    default: return upg_expr_and2(x, a, upg_expr_not(x, b));
    }
}

/* Exact without intersections and complements, of a text that is there with them; and some byte
 * leads nearer to the end. */
static void lengths_of_shortest_texts(void **state)
{
    uint32_t seed = 1;
    size_t n_boolean = 0, n_plain = 0;

    (void)state;
    for (size_t i = 0; i < 400; i++) {
        const upg_expr e = random_expr(&seed, 1 + i % 4);
        const uint32_t exact = shortest_by_breadth(e);
        const bool is_boolean = states.exprs.nodes[e].flags & UPG_EXPR_BOOLEAN;
        uint32_t length, nearest = UPG_FAR;

        states.exprs.work_left = UPG_EXPR_MAX_WORK;
        states.search_work_left = UPG_EXPR_MAX_WORK / 2;
        length = upg_expr_shortest(&states, e);
        assert_true(is_boolean ? length >= exact : length == exact);
        assert_int_equal(length == UPG_FAR, exact == UPG_FAR);
        n_boolean += is_boolean && exact < UPG_FAR;
        n_plain += !is_boolean;
        for (unsigned byte = 'a'; byte <= 'c'; byte++) {
            const upg_expr derived = upg_expr_derive(&states.exprs, e, byte);
            const uint32_t rest = upg_expr_shortest(&states, derived);

            nearest = rest < nearest ? rest : nearest;
            assert_true(is_boolean || rest == UPG_FAR || rest <= upg_expr_farthest(&states, e));
        }
        assert_true(length == 0 || length == UPG_FAR || nearest < length);
    }
    assert_true(n_boolean > 50 && n_plain > 50);
    assert_int_equal(states.exprs.failed, UPG_OK);
}

static void limits_fail_once_and_for_all(void **state)
{
    struct upg_exprs small;
    upg_error err;
    upg_expr e = UPG_EXPR_EPSILON;

    (void)state;
    assert_ok(upg_exprs_init(&small, 50, &err), err);
    for (unsigned i = 0; i < 200; i++)
        e = upg_expr_concat(&small, upg_expr_range(&small, i, 255), e);
    assert_int_equal(e, UPG_EXPR_NONE);
    assert_int_equal(upg_expr_not(&small, e), UPG_EXPR_NONE);
    assert_fails(upg_exprs_check(&small, "the pattern", &err), UPG_ERR_UNSUPPORTED, err,
                 "the pattern is too large");
    upg_exprs_clear(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equal_languages_are_the_same_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counted_repetitions_that_meet_become_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(counts_are_kept_exactly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(intersection_and_complement_are_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_has_no_text_is_dead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(remainders_decide_multiples, set_up, tear_down),
        cmocka_unit_test_setup_teardown(repetition_that_may_begin_anywhere_stays_small, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(lengths_of_shortest_texts, set_up, tear_down),
        cmocka_unit_test(limits_fail_once_and_for_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
