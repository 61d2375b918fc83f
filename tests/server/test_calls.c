/* test_calls.c -- answers split into text and calls, however they come. */
#include "unit.h"

#include "server/calls.h"

#include <stdio.h>
#include <string.h>

/* Segments as one text: T:..., C:name, A:..., E; neighbours of one kind are joined. */
struct record {
    char text[1024];
    int last;
};

static void note(void *context, enum segment_kind kind, const char *bytes, size_t n)
{
    static const char *const marks[] = {"T:", "C:", "A:", "E"};
    struct record *record = context;
    const size_t used = strlen(record->text);
    const int is_same = record->last == (int)kind && kind != SEGMENT_CALL;

    snprintf(record->text + used, sizeof record->text - used, "%s%.*s", is_same ? "" : marks[kind],
             (int)n, bytes);
    record->last = (int)kind;
}

/* The answer in pieces of n bytes. */
static void split(struct record *record, const char *answer, size_t n_piece, enum call_state state)
{
    struct call_splitter splitter = {.state = state};
    const size_t n = strlen(answer);

    memset(record, 0, sizeof *record);
    record->last = -1;
    for (size_t i = 0; i < n; i += n_piece)
        call_splitter_feed(&splitter, answer + i, n - i < n_piece ? n - i : n_piece, note, record);
    call_splitter_end(&splitter, note, record);
    call_splitter_clear(&splitter);
}

static void assert_split(const char *answer, const char *expected)
{
    struct record record;

    for (size_t n = 1; n <= strlen(answer) + 1; n++) {
        split(&record, answer, n, CALLS_UNDECIDED);
        assert_string_equal(record.text, expected);
    }
}

static void calls_are_found(void **state)
{
    (void)state;
    assert_split("[{\"name\":\"f\",\"arguments\":{}}]", "C:fA:{}E");
    assert_split(
        " [ { \"name\" : \"get_x\" , \"arguments\" :\n {\"a\": [1, {\"b\": \"}]\\\"\"}]} } ]\n",
        "C:get_xA:{\"a\": [1, {\"b\": \"}]\\\"\"}]}E");
    assert_split("[{\"n\\u0061me\":\"\\u0066\",\"argument\\u0073\":{}}]", "C:fA:{}E");
    assert_split("[{\"name\":\"f\",\"arguments\":{}},{\"name\":\"g\",\"arguments\":{\"x\":1}}]",
                 "C:fA:{}EC:gA:{\"x\":1}E");
}

static void marks_of_phi_4_mini_are_known(void **state)
{
    (void)state;
    assert_split("<|tool_call|>[{\"name\":\"f\",\"arguments\":{}}]<|/tool_call|>", "C:fA:{}E");
    assert_split("functools[{\"name\":\"f\",\"arguments\":{}}]", "C:fA:{}E");
}

static void what_is_no_call_stays_text(void **state)
{
    static const char *const texts[] = {
        "Hello",
        "[1, 2, 3]",
        "[{\"name\": 5}]",
        "[{\"name\":\"f\",\"arguments\":7}]",
        "[",
        "  ",
        "func",
        "functional programming",
        "<|tool_",
        "[{\"name\":\"f\"}]",
        "[]",
        "{\"name\":\"f\"}",
    };
    char expected[128];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        snprintf(expected, sizeof expected, "T:%s", texts[i]);
        assert_split(texts[i], expected);
    }
}

static void nothing_is_lost_when_an_answer_breaks_off(void **state)
{
    (void)state;
    assert_split("[{\"name\":\"f\",\"arguments\":{\"a\":\"b", "C:fA:{\"a\":\"b");
    assert_split("[{\"name\":\"f\",\"arguments\":{}}] and text", "C:fA:{}ET:}] and text");
}

static void text_passes_through_where_nothing_may_be_called(void **state)
{
    struct record record;

    (void)state;
    split(&record, "[{\"name\":\"f\",\"arguments\":{}}]", 3, CALLS_TEXT);
    assert_string_equal(record.text, "T:[{\"name\":\"f\",\"arguments\":{}}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_found),
        cmocka_unit_test(marks_of_phi_4_mini_are_known),
        cmocka_unit_test(what_is_no_call_stays_text),
        cmocka_unit_test(nothing_is_lost_when_an_answer_breaks_off),
        cmocka_unit_test(text_passes_through_where_nothing_may_be_called),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
