/* test_generate.c -- answers: where they end, and that their text is whole. */
#include "unit.h"

#include "base/buffer.h"
#include "base/utf8.h"
#include "engine/byte_tokenizer.h"
#include "engine/golden.h"

#include <math.h>
#include <stdlib.h>

/* The model gqa4, whose ids from 257 on have no token, with its golden prompt. */
struct fixture {
    struct golden golden;
    upg_engine *engine;
    upg_sequence *sequence;
    int32_t *prompt, *expected; /* expected: greedy, [n_expected] */
    size_t n_prompt, n_expected;
    upg_error err;
};

static void setup(struct fixture *f, size_t context)
{
    upg_engine_options options = golden_options();
    const json_t *greedy;

    memset(f, 0, sizeof *f);
    golden_open(&f->golden, "gqa4");
    greedy = json_object_get(f->golden.json, "greedy");
    f->golden.model.tokenizer = byte_tokenizer();
    f->prompt = golden_ids(json_object_get(greedy, "ids"), &f->n_prompt);
    f->expected = golden_ids(json_object_get(greedy, "new_ids"), &f->n_expected);
    options.context = context;
    f->engine = golden_engine(&f->golden, &options);
    assert_ok(upg_sequence_new(&f->sequence, f->engine, &f->err), f->err);
}

static void teardown(struct fixture *f)
{
    upg_sequence_free(f->sequence);
    upg_engine_free(f->engine);
    upg_tokens_clear(&f->golden.model.stop_ids);
    upg_tokenizer_free(f->golden.model.tokenizer);
    free(f->prompt);
    free(f->expected);
    golden_close(&f->golden);
}

static const upg_logit_bias no_zero = {0, -INFINITY}; /* so that answers are C strings */

static upg_generate_options sampled(size_t max_tokens, float temperature)
{
    upg_generate_options options;

    upg_generate_options_defaults(&options);
    options.max_tokens = max_tokens;
    options.sampling.temperature = temperature;
    options.sampling.top_p = 1;
    options.sampling.seed = 5;
    options.sampling.logit_bias = &no_zero;
    options.sampling.n_logit_bias = 1;
    return options;
}

/* A new answer to the prompt. */
static upg_generation answer(struct fixture *f, const upg_generate_options *options)
{
    upg_generation generation = {0};

    assert_ok(upg_sequence_truncate(f->sequence, 0, &f->err), f->err);
    assert_ok(upg_generate(f->sequence, f->prompt, f->n_prompt, options, &generation, &f->err),
              f->err);
    assert_int_equal(generation.n_prompt_tokens, f->n_prompt);
    assert_int_equal(generation.n_text_bytes, strlen(generation.text));
    assert_true(generation.prompt_seconds >= 0 && generation.generation_seconds >= 0);
    assert_int_equal(upg_sequence_n_tokens(f->sequence), f->n_prompt + generation.ids.n);
    assert_memory_equal(f->sequence->ids + f->n_prompt, generation.ids.ids,
                        generation.ids.n * sizeof(int32_t));
    return generation;
}

static void greedy_answer_is_the_official_one_up_to_ids_without_token(void **state)
{
    const upg_generate_options options = sampled(64, 0);
    struct fixture f;
    upg_generation generation;
    size_t n = 0;

    (void)state;
    setup(&f, 0);
    generation = answer(&f, &options);
    while (f.expected[n] < BYTE_TOKENIZER_N_IDS)
        n++;
    assert_true(n >= 10);
    assert_memory_equal(generation.ids.ids, f.expected, n * sizeof(int32_t));
    assert_int_equal(generation.ids.n, 64);
    assert_int_equal(generation.finish, UPG_FINISH_LENGTH);
    upg_generation_clear(&generation);
    teardown(&f);
}

static void model_without_tokenizer_answers_in_ids(void **state)
{
    const char *stop[] = {"x"};
    upg_generate_options options = sampled(64, 0);
    struct fixture f;
    upg_generation generation, refused = {0};

    (void)state;
    setup(&f, 0);
    upg_tokenizer_free(f.golden.model.tokenizer);
    f.golden.model.tokenizer = NULL;
    options.sampling.n_logit_bias = 0;
    generation = answer(&f, &options);
    assert_int_equal(generation.ids.n, f.n_expected);
    assert_memory_equal(generation.ids.ids, f.expected, f.n_expected * sizeof(int32_t));
    assert_string_equal(generation.text, "");
    upg_generation_clear(&generation);
    options.stop = stop;
    options.n_stop = 1;
    assert_fails(upg_generate(f.sequence, f.prompt, 1, &options, &refused, &f.err),
                 UPG_ERR_ARGUMENT, f.err, "no tokenizer");
    upg_generation_clear(&refused);
    teardown(&f);
}

static void ids_without_token_are_never_drawn(void **state)
{
    const upg_generate_options options = sampled(400, 50); /* nearly uniform over 257 of 320 ids */
    struct fixture f;
    upg_generation generation;

    (void)state;
    setup(&f, 0);
    generation = answer(&f, &options);
    assert_int_equal(generation.ids.n, 400);
    for (size_t i = 0; i < 400; i++)
        assert_true(generation.ids.ids[i] < BYTE_TOKENIZER_N_IDS);
    upg_generation_clear(&generation);
    teardown(&f);
}

static void same_seed_same_text(void **state)
{
    upg_generate_options options = sampled(50, 1);
    struct fixture f;
    upg_generation a, b, c;

    (void)state;
    setup(&f, 0);
    a = answer(&f, &options);
    b = answer(&f, &options);
    options.sampling.seed++;
    c = answer(&f, &options);
    assert_string_equal(a.text, b.text);
    assert_string_not_equal(a.text, c.text);
    upg_generation_clear(&a);
    upg_generation_clear(&b);
    upg_generation_clear(&c);
    teardown(&f);
}

static void stop_id_ends_the_answer_and_is_no_part_of_it(void **state)
{
    upg_generate_options options = sampled(64, 0);
    struct fixture f;
    upg_generation generation;

    (void)state;
    setup(&f, 0);
    assert_ok(upg_tokens_append(&f.golden.model.stop_ids, &f.expected[8], 1, &f.err), f.err);
    generation = answer(&f, &options);
    assert_int_equal(generation.ids.n, 8); /* the id did not come before */
    assert_int_equal(generation.finish, UPG_FINISH_STOP);
    upg_generation_clear(&generation);
    options.ignore_stop_ids = 1;
    generation = answer(&f, &options);
    assert_int_equal(generation.ids.n, 64);
    upg_generation_clear(&generation);
    teardown(&f);
}

/* Gathers pieces and checks that each is whole characters. */
struct gatherer {
    struct upg_buffer text;
    size_t n_calls, stop_at; /* 0: never */
};

static int gather(void *context, const char *text, size_t n_bytes)
{
    struct gatherer *g = context;

    assert_true(n_bytes > 0);
    for (size_t at = 0; at < n_bytes;) {
        const size_t n = upg_utf8_next(text + at, n_bytes - at, NULL);

        assert_true(n > 0);
        at += n;
    }
    assert_int_equal(upg_buffer_append(&g->text, text, n_bytes, NULL), UPG_OK);
    return ++g->n_calls == g->stop_at;
}

static void streamed_pieces_are_the_text(void **state)
{
    struct gatherer g = {0};
    upg_generate_options options = sampled(300, 3);
    struct fixture f;
    upg_generation generation;

    (void)state;
    setup(&f, 0);
    options.on_text = gather;
    options.on_text_context = &g;
    generation = answer(&f, &options);
    assert_true(g.n_calls > 100);
    assert_string_equal(g.text.bytes, generation.text);
    upg_buffer_clear(&g.text);
    upg_generation_clear(&generation);
    teardown(&f);
}

/* Take some characters out of the middle of an answer as the stop string: they span tokens. */
static void stop_string_ends_the_text_before_it(void **state)
{
    struct fixture f;
    upg_generation whole;

    (void)state;
    setup(&f, 0);
    for (size_t n_stop_bytes = 1; n_stop_bytes < 14; n_stop_bytes += 4) {
        struct gatherer g = {0};
        upg_generate_options options = sampled(200, 3);
        upg_generation cut;
        char stop[16] = {0};
        const char *stops[] = {"never said", stop};
        size_t begin = 60, end;

        whole = answer(&f, &options);
        while (!upg_utf8_next(whole.text + begin, 4, NULL))
            begin++;
        for (end = begin; end < begin + n_stop_bytes;)
            end += upg_utf8_next(whole.text + end, 4, NULL);
        memcpy(stop, whole.text + begin, end - begin);
        begin = (size_t)(strstr(whole.text, stop) - whole.text); /* may have come earlier */

        options.stop = stops;
        options.n_stop = 2;
        options.on_text = gather;
        options.on_text_context = &g;
        cut = answer(&f, &options);
        assert_int_equal(cut.finish, UPG_FINISH_STOP);
        assert_int_equal(cut.n_text_bytes, begin);
        assert_memory_equal(cut.text, whole.text, begin);
        assert_int_equal(g.text.n, begin);
        assert_true(cut.ids.n < whole.ids.n);
        upg_buffer_clear(&g.text);
        upg_generation_clear(&cut);
        upg_generation_clear(&whole);
    }
    teardown(&f);
}

static void text_that_might_have_become_a_stop_string_comes_at_the_end(void **state)
{
    upg_generate_options options = sampled(30, 3);
    struct fixture f;
    upg_generation whole, held;
    char *stop;

    (void)state;
    setup(&f, 0);
    whole = answer(&f, &options);
    stop = malloc(whole.n_text_bytes + 2);
    assert_non_null(stop);
    memcpy(stop, whole.text, whole.n_text_bytes);
    memcpy(stop + whole.n_text_bytes, "X", 2);
    options.stop = (const char *const *)&stop;
    options.n_stop = 1;
    held = answer(&f, &options);
    assert_string_equal(held.text, whole.text);
    assert_int_equal(held.finish, UPG_FINISH_LENGTH);
    free(stop);
    upg_generation_clear(&whole);
    upg_generation_clear(&held);
    teardown(&f);
}

static void callback_stops_the_answer(void **state)
{
    struct gatherer g = {.stop_at = 7};
    upg_generate_options options = sampled(200, 1);
    struct fixture f;
    upg_generation generation;

    (void)state;
    setup(&f, 0);
    options.on_text = gather;
    options.on_text_context = &g;
    generation = answer(&f, &options);
    assert_int_equal(generation.finish, UPG_FINISH_CANCELLED);
    assert_int_equal(g.n_calls, 7);
    assert_string_equal(generation.text, g.text.bytes);
    assert_true(generation.ids.n >= 7 && generation.ids.n < 100);
    upg_buffer_clear(&g.text);
    upg_generation_clear(&generation);
    teardown(&f);
}

static void full_context_ends_the_answer(void **state)
{
    const upg_generate_options options = sampled(0, 0);
    struct fixture f;
    upg_generation generation;

    (void)state;
    setup(&f, 25);
    generation = answer(&f, &options);
    assert_int_equal(generation.ids.n, 25 - f.n_prompt);
    assert_int_equal(generation.finish, UPG_FINISH_LENGTH);
    upg_generation_clear(&generation);
    teardown(&f);
}

static void prompt_beyond_the_context_changes_nothing(void **state)
{
    struct fixture f;
    upg_generation generation = {0};

    (void)state;
    setup(&f, 12);
    assert_ok(upg_sequence_append(f.sequence, f.prompt, 5, 0, NULL, NULL, &f.err), f.err);
    assert_fails(upg_generate(f.sequence, f.prompt, f.n_prompt, NULL, &generation, &f.err),
                 UPG_ERR_CONTEXT, f.err, "5 tokens and 9 new ones are more than 12");
    assert_int_equal(upg_sequence_n_tokens(f.sequence), 5);
    assert_string_equal(generation.text, "");
    upg_generation_clear(&generation);
    teardown(&f);
}

static void answer_can_be_continued_without_a_prompt(void **state)
{
    const upg_generate_options at_once = sampled(20, 0), in_parts = sampled(10, 0);
    struct fixture f;
    upg_generation whole, first, second = {0};

    (void)state;
    setup(&f, 0);
    whole = answer(&f, &at_once);
    first = answer(&f, &in_parts);
    assert_ok(upg_generate(f.sequence, NULL, 0, &in_parts, &second, &f.err), f.err);
    assert_memory_equal(whole.ids.ids, first.ids.ids, 10 * sizeof(int32_t));
    assert_memory_equal(whole.ids.ids + 10, second.ids.ids, 10 * sizeof(int32_t));
    upg_generation_clear(&whole);
    upg_generation_clear(&first);
    upg_generation_clear(&second);
    assert_ok(upg_sequence_truncate(f.sequence, 0, &f.err), f.err);
    assert_fails(upg_generate(f.sequence, NULL, 0, NULL, &second, &f.err), UPG_ERR_ARGUMENT, f.err,
                 "no tokens");
    upg_generation_clear(&second);
    teardown(&f);
}

static void damaged_weights_are_an_error(void **state)
{
    struct fixture f;
    upg_generation generation = {0};

    (void)state;
    setup(&f, 0);
    ((float *)(uintptr_t)f.golden.model.norm)[3] = NAN;
    assert_fails(upg_generate(f.sequence, f.prompt, f.n_prompt, NULL, &generation, &f.err),
                 UPG_ERR_FORMAT, f.err, "weights are damaged");
    upg_generation_clear(&generation);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_answer_is_the_official_one_up_to_ids_without_token),
        cmocka_unit_test(model_without_tokenizer_answers_in_ids),
        cmocka_unit_test(ids_without_token_are_never_drawn),
        cmocka_unit_test(same_seed_same_text),
        cmocka_unit_test(stop_id_ends_the_answer_and_is_no_part_of_it),
        cmocka_unit_test(streamed_pieces_are_the_text),
        cmocka_unit_test(stop_string_ends_the_text_before_it),
        cmocka_unit_test(text_that_might_have_become_a_stop_string_comes_at_the_end),
        cmocka_unit_test(callback_stops_the_answer),
        cmocka_unit_test(full_context_ends_the_answer),
        cmocka_unit_test(prompt_beyond_the_context_changes_nothing),
        cmocka_unit_test(answer_can_be_continued_without_a_prompt),
        cmocka_unit_test(damaged_weights_are_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
