/* test_thoughts.c -- thoughts apart from answers, however they come, as chat completions and
 * responses write them, and how many tokens they are. */
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

static void thoughts_are_an_item_of_a_response(void **state)
{
    struct world w;
    json_t *document, *output, *thoughts, *message;

    (void)state;
    init_world(&w, "<think>hm</think>\n\nYes.", THOUGHTS_UNDECIDED);
    document = response_format.document(&w.generation);
    output = json_object_get(document, "output");
    assert_int_equal(json_array_size(output), 2);
    thoughts = json_array_get(output, 0);
    message = json_array_get(output, 1);
    assert_string_equal(json_string_value(json_object_get(thoughts, "type")), "reasoning");
    assert_string_equal(json_string_value(json_object_get(thoughts, "status")), "completed");
    assert_int_equal(json_array_size(json_object_get(thoughts, "summary")), 0);
    thoughts = json_array_get(json_object_get(thoughts, "content"), 0);
    assert_string_equal(json_string_value(json_object_get(thoughts, "type")), "reasoning_text");
    assert_string_equal(json_string_value(json_object_get(thoughts, "text")), "hm");
    message = json_array_get(json_object_get(message, "content"), 0);
    assert_string_equal(json_string_value(json_object_get(message, "text")), "Yes.");
    json_decref(document);
    response_format.free_state(w.generation.writer_state);
    clear_world(&w);
}

/* Thoughts that were cut are all that there is, and say so. */
static void a_response_may_be_nothing_but_thoughts(void **state)
{
    struct world w;
    json_t *document, *output;

    (void)state;
    init_world(&w, "<think>on and on", THOUGHTS_UNDECIDED);
    w.choice.finish = UPG_FINISH_LENGTH;
    document = response_format.document(&w.generation);
    output = json_object_get(document, "output");
    assert_int_equal(json_array_size(output), 1);
    output = json_array_get(output, 0);
    assert_string_equal(json_string_value(json_object_get(output, "type")), "reasoning");
    assert_string_equal(json_string_value(json_object_get(output, "status")), "incomplete");
    json_decref(document);
    response_format.free_state(w.generation.writer_state);
    clear_world(&w);
}

static void a_stream_of_a_response_tells_thoughts_first(void **state)
{
    static const char *const events[] = {"event: response.created",
                                         "event: response.in_progress",
                                         "event: response.output_item.added",
                                         "\"type\":\"reasoning\"",
                                         "event: response.content_part.added",
                                         "\"type\":\"reasoning_text\"",
                                         "event: response.reasoning_text.delta",
                                         "\"delta\":\"hm\"",
                                         "event: response.reasoning_text.done",
                                         "event: response.content_part.done",
                                         "event: response.output_item.done",
                                         "event: response.output_item.added",
                                         "\"output_index\":1",
                                         "event: response.output_text.delta",
                                         "\"delta\":\"Yes.\"",
                                         "event: response.output_text.done",
                                         "event: response.completed"};
    struct world w;
    const char *at;

    (void)state;
    init_world(&w, "<think>hm</think>Yes.", THOUGHTS_UNDECIDED);
    response_format.begin(&w.generation, &w.generation.out);
    response_format.part(&w.generation, &w.choice, &w.choice.new, &w.generation.out);
    response_format.close(&w.generation, &w.choice, &w.generation.out);
    response_format.end(&w.generation, &w.generation.out);
    text_buffer_add(&w.generation.out, "", 1);
    at = w.generation.out.bytes;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        at = strstr(at, events[i]);
        assert_non_null(at);
    }
    response_format.free_state(w.generation.writer_state);
    clear_world(&w);
}

static void tokens_of_thoughts_are_counted(void **state)
{
    static const struct {
        const char *tokens[8];
        size_t n;
    } cases[] = {{{"<think>", "\n", "a", " b", "</think>", "\n\n", "Yes", "."}, 5},
                 {{"<th", "ink>", "a", "</th", "ink>x"}, 5},
                 {{"<think>", "and", " so", " on"}, 4},
                 {{"Yes", " <think>", "no", "</think>"}, 0},
                 {{"<th", "is>", "."}, 0},
                 {{"\n", " "}, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct thought_counter counter = {0};

        for (size_t k = 0; k < 8 && cases[i].tokens[k]; k++)
            thought_counter_feed(&counter, cases[i].tokens[k], strlen(cases[i].tokens[k]));
        assert_int_equal(thought_counter_result(&counter), cases[i].n);
        thought_counter_clear(&counter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thoughts_come_apart_from_the_answer),
        cmocka_unit_test(thoughts_that_are_never_closed_are_all),
        cmocka_unit_test(what_begins_otherwise_stays_as_it_is),
        cmocka_unit_test(a_message_has_its_thoughts_in_a_member_of_their_own),
        cmocka_unit_test(a_stream_has_deltas_of_both),
        cmocka_unit_test(thoughts_are_an_item_of_a_response),
        cmocka_unit_test(a_response_may_be_nothing_but_thoughts),
        cmocka_unit_test(a_stream_of_a_response_tells_thoughts_first),
        cmocka_unit_test(tokens_of_thoughts_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
