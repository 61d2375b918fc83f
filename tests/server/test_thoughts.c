/* test_thoughts.c -- thoughts apart from answers, however they come, and as chat completions write
 * them. */
#include "unit.h"

#include "server/chat.h"
#include "server/state.h"

#include <jansson.h>
#include <string.h>

struct record {
    struct text_buffer reasoning, text;
};

static void note(void *context, enum segment_kind kind, const char *bytes, size_t n)
{
    struct record *record = context;

    assert_true(kind == SEGMENT_TEXT || kind == SEGMENT_REASONING);
    assert_true(n > 0);
    text_buffer_add(kind == SEGMENT_TEXT ? &record->text : &record->reasoning, bytes, n);
}

static void assert_buffer(const struct text_buffer *buffer, const char *expected)
{
    assert_int_equal(buffer->n, strlen(expected));
    if (buffer->n > 0)
        assert_memory_equal(buffer->bytes, expected, buffer->n);
}

/* The answer in pieces of every length. */
static void assert_split(const char *answer, const char *reasoning, const char *text)
{
    const size_t n = strlen(answer);

    for (size_t n_piece = 1; n_piece <= n; n_piece++) {
        struct thought_splitter thoughts = {0};
        struct call_splitter calls = {.state = CALLS_TEXT};
        struct record record = {0};

        for (size_t i = 0; i < n; i += n_piece)
            thought_splitter_feed(&thoughts, &calls, answer + i, n - i < n_piece ? n - i : n_piece,
                                  note, &record);
        thought_splitter_end(&thoughts, &calls, note, &record);
        assert_buffer(&record.reasoning, reasoning);
        assert_buffer(&record.text, text);
        text_buffer_clear(&record.reasoning);
        text_buffer_clear(&record.text);
        thought_splitter_clear(&thoughts);
        call_splitter_clear(&calls);
    }
}

static void thoughts_come_apart_from_the_answer(void **state)
{
    (void)state;
    assert_split("<think>one < two</think>2", "one < two", "2");
    assert_split("\n<think>\n a </thin </ b \n</think>\n\n the end </think>", "a </thin </ b",
                 "the end </think>");
    assert_split("<think></think>x", "", "x");
    assert_split("<think>\n</think>", "", "");
}

static void thoughts_that_are_never_closed_are_all(void **state)
{
    (void)state;
    assert_split("<think>and so on", "and so on", "");
    assert_split("<think>and so on </thi", "and so on </thi", "");
    assert_split("<think>", "", "");
}

static void what_begins_otherwise_stays_as_it_is(void **state)
{
    (void)state;
    assert_split(" text <think>no</think>", "", " text <think>no</think>");
    assert_split("<thin", "", "<thin");
    assert_split("<thinker>x", "", "<thinker>x");
    assert_split(" \n", "", " \n");
}

/* A generation of one finished answer, as the scheduler leaves it. */
struct world {
    struct server server;
    struct choice choice;
    struct generation generation;
};

static void init_world(struct world *w, const char *answer, enum thought_state state)
{
    memset(w, 0, sizeof *w);
    w->generation.server = &w->server;
    w->generation.choices = &w->choice;
    w->generation.n_choices = w->generation.n_prompts = 1;
    w->choice.generation = &w->generation;
    w->choice.calls.state = CALLS_TEXT;
    w->choice.thoughts.state = state;
    text_buffer_add_text(&w->choice.new.text, answer);
}

static void clear_world(struct world *w)
{
    text_buffer_clear(&w->choice.new.text);
    text_buffer_clear(&w->generation.out);
    thought_splitter_clear(&w->choice.thoughts);
}

static void assert_message(const char *answer, enum thought_state state, const char *reasoning,
                           const char *content)
{
    struct world w;
    json_t *document, *message;

    init_world(&w, answer, state);
    document = chat_format.document(&w.generation);
    message = json_object_get(json_array_get(json_object_get(document, "choices"), 0), "message");
    assert_string_equal(json_string_value(json_object_get(message, "content")), content);
    if (reasoning)
        assert_string_equal(json_string_value(json_object_get(message, "reasoning_content")),
                            reasoning);
    else
        assert_null(json_object_get(message, "reasoning_content"));
    json_decref(document);
    clear_world(&w);
}

static void a_message_has_its_thoughts_in_a_member_of_their_own(void **state)
{
    (void)state;
    assert_message("<think>hm</think>\n\nYes.", THOUGHTS_UNDECIDED, "hm", "Yes.");
    assert_message("Yes.", THOUGHTS_UNDECIDED, NULL, "Yes.");
    assert_message("<think>hm</think>Yes.", THOUGHTS_OVER, NULL, "<think>hm</think>Yes.");
}

static void a_stream_has_deltas_of_both(void **state)
{
    struct world w;
    const char *thought, *content;

    (void)state;
    init_world(&w, "<think>hm</think>Yes.", THOUGHTS_UNDECIDED);
    chat_format.part(&w.generation, &w.choice, &w.choice.new, &w.generation.out);
    chat_format.close(&w.generation, &w.choice, &w.generation.out);
    text_buffer_add(&w.generation.out, "", 1);
    thought = strstr(w.generation.out.bytes, "\"delta\":{\"reasoning_content\":\"hm\"}");
    content = strstr(w.generation.out.bytes, "\"delta\":{\"content\":\"Yes.\"}");
    assert_non_null(thought);
    assert_non_null(content);
    assert_true(thought < content);
    clear_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thoughts_come_apart_from_the_answer),
        cmocka_unit_test(thoughts_that_are_never_closed_are_all),
        cmocka_unit_test(what_begins_otherwise_stays_as_it_is),
        cmocka_unit_test(a_message_has_its_thoughts_in_a_member_of_their_own),
        cmocka_unit_test(a_stream_has_deltas_of_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
