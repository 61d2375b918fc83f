/* test_stop_text.c -- stop strings in text that comes in pieces of any size. */
#include "unit.h"

#include "engine/stop_text.h"

#include <stdbool.h>
#include <stdlib.h>

/* Feed `text` in pieces of n_piece bytes.  What comes out before the end must be `expected`, what
 * is held at the end `held`; returns whether a stop string was found. */
static bool feed(const char *const *stop, size_t n_stop, const char *text, size_t n_piece,
                 const char *expected, const char *held)
{
    struct upg_stop_text s = {.stop = stop, .n_stop = n_stop};
    struct upg_buffer out = {0};
    const size_t n = strlen(text);
    const char *found = NULL;
    upg_error err = {0};

    assert_ok(upg_stop_text_check(&s, &err), err);
    assert_ok(upg_buffer_append(&out, "", 0, &err), err);
    for (size_t at = 0; at < n && !found; at += n_piece) {
        size_t n_free;

        assert_ok(upg_stop_text_feed(&s, text + at, n - at < n_piece ? n - at : n_piece, &n_free,
                                     &found, &err),
                  err);
        assert_ok(upg_buffer_append(&out, s.held.bytes, n_free, &err), err);
        upg_stop_text_release(&s, n_free);
    }
    assert_string_equal(out.bytes, expected);
    if (!found) {
        assert_int_equal(s.held.n, strlen(held));
        assert_memory_equal(s.held.bytes, held, s.held.n);
    }
    upg_buffer_clear(&out);
    upg_stop_text_clear(&s);
    return found != NULL;
}

static void text_ends_before_the_stop_string(void **state)
{
    const char *stop[] = {"END"};

    (void)state;
    for (size_t n_piece = 1; n_piece <= 12; n_piece++) {
        assert_true(feed(stop, 1, "one two END three", n_piece, "one two ", ""));
        assert_true(feed(stop, 1, "ENEND", n_piece, "EN", ""));
        assert_true(feed(stop, 1, "END", n_piece, "", ""));
    }
}

static void only_what_may_become_a_stop_string_is_held(void **state)
{
    const char *stop[] = {"abcab", "\xE2\x82\xAC!"};

    (void)state;
    for (size_t n_piece = 1; n_piece <= 12; n_piece++) {
        assert_false(feed(stop, 2, "xabc", n_piece, "x", "abc"));
        assert_false(feed(stop, 2, "abcaX", n_piece, "abcaX", ""));
        assert_false(feed(stop, 2, &"abcabX"[1], n_piece, "bcabX", ""));
        assert_true(feed(stop, 2, "abcabcab", n_piece, "", ""));
    }
    assert_false(feed(stop, 2, "5 \xE2\x82\xAC", 5, "5 ", "\xE2\x82\xAC"));
    assert_false(feed(stop, 2, "5 \xE2\x82\xAC?", 6, "5 \xE2\x82\xAC?", ""));
}

/* The string that is complete first ends the text, even if a longer one began before it. */
static void first_complete_stop_string_counts(void **state)
{
    const char *stop[] = {"abcd", "bc"};

    (void)state;
    for (size_t n_piece = 1; n_piece <= 3; n_piece++)
        assert_true(feed(stop, 2, "xabcabc", n_piece, "xa", ""));
    assert_true(feed(stop, 2, "xabcd", 5, "x", "")); /* both at once: the one that begins first */
}

static void without_stop_strings_nothing_is_held(void **state)
{
    (void)state;
    assert_false(feed(NULL, 0, "some text", 4, "some text", ""));
}

static void stop_strings_that_cannot_be_found_are_refused(void **state)
{
    const char *empty[] = {"x", ""}, *broken[] = {"\xE2\x82"};
    const struct upg_stop_text first = {.stop = empty, .n_stop = 2};
    const struct upg_stop_text second = {.stop = broken, .n_stop = 1};
    upg_error err = {0};

    (void)state;
    assert_fails(upg_stop_text_check(&first, &err), UPG_ERR_ARGUMENT, err, "string 2 is empty");
    assert_fails(upg_stop_text_check(&second, &err), UPG_ERR_ARGUMENT, err, "not UTF-8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_ends_before_the_stop_string),
        cmocka_unit_test(only_what_may_become_a_stop_string_is_held),
        cmocka_unit_test(first_complete_stop_string_counts),
        cmocka_unit_test(without_stop_strings_nothing_is_held),
        cmocka_unit_test(stop_strings_that_cannot_be_found_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
