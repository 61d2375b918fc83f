/* test_call_filter.c -- free text until calls begin, their schema from there on. */
#include "unit.h"

#include "engine/byte_tokenizer.h"
#include "server/call_filter.h"

#include <stdbool.h>
#include <string.h>

enum { N_WORDS = (BYTE_TOKENIZER_N_IDS + 31) / 32, MANY = 1000 };

static const char schema[] =
    "{\"type\": \"array\", \"items\": {\"type\": \"object\", \"required\": [\"name\"], "
    "\"properties\": {\"name\": {\"enum\": [\"f\"]}, \"arguments\": {\"type\": "
    "\"object\"}}, \"additionalProperties\": false}, \"minItems\": 1}";

static upg_tokenizer *tokenizer;

static upg_token_filter make_filter(void)
{
    const int32_t end = BYTE_TOKENIZER_END;
    struct api_error error = {0};
    upg_vocabulary *vocabulary;
    upg_grammar *grammar;
    upg_constraint *constraint;
    upg_token_filter filter;
    upg_error err;

    assert_ok(upg_vocabulary_new(&vocabulary, tokenizer, &end, 1, &err), err);
    assert_ok(upg_grammar_new(&grammar, vocabulary, UPG_GRAMMAR_JSON_SCHEMA, schema,
                              sizeof schema - 1, NULL, &err),
              err);
    assert_ok(upg_constraint_new(&constraint, grammar, &err), err);
    upg_grammar_free(grammar);
    upg_vocabulary_free(vocabulary);
    assert_true(call_filter(&filter, constraint, tokenizer, &error));
    return filter;
}

/* May any byte come behind the text? */
static bool is_free_behind(const char *text, size_t n_left)
{
    upg_token_filter filter = make_filter();
    uint32_t allowed[N_WORDS];
    size_t n = 0;
    upg_error err;

    for (size_t i = 0; text[i] != '\0'; i++)
        assert_ok(filter.accept(filter.context, (unsigned char)text[i], &err), err);
    assert_ok(filter.mask(filter.context, n_left, allowed, N_WORDS, &err), err);
    for (int32_t id = 0; id < 256; id++)
        n += allowed[id / 32] >> (id % 32) & 1;
    filter.free(filter.context);
    assert_true(n > 0);
    return n == 256;
}

static void calls_are_bound_from_their_beginning_on(void **state)
{
    (void)state;
    assert_true(is_free_behind("", MANY));
    assert_true(is_free_behind(" \n", MANY));
    assert_true(is_free_behind("Hello", MANY));
    assert_false(is_free_behind("[", MANY));
    assert_false(is_free_behind("[{\"name\":\"f\",\"arguments\":{\"a\":", MANY));
    assert_false(is_free_behind("functools[", MANY));
    assert_false(is_free_behind("<|tool_call|>[", MANY));
}

static void calls_are_bound_behind_thoughts_too(void **state)
{
    (void)state;
    assert_true(is_free_behind("<think>", MANY));
    assert_true(is_free_behind("<think>[{\"name\": 1", MANY));
    assert_true(is_free_behind("<think>so</think>\n\n", MANY));
    assert_true(is_free_behind("<think>so</think>\n\nHello [", MANY));
    assert_false(is_free_behind("\n<think>\n[so]\n</think>\n\n[", MANY));
    assert_false(is_free_behind("<think>so</think>[{\"name\":", MANY));
}

/* With three tokens left a list of calls can only be closed. */
static void calls_end_in_time(void **state)
{
    const char text[] = "[{\"name\":\"f\"";
    upg_token_filter filter = make_filter();
    uint32_t allowed[N_WORDS];
    upg_error err;

    (void)state;
    for (size_t i = 0; text[i] != '\0'; i++)
        assert_ok(filter.accept(filter.context, text[i], &err), err);
    assert_ok(filter.mask(filter.context, 3, allowed, N_WORDS, &err), err);
    assert_true(allowed['}' / 32] >> ('}' % 32) & 1);
    assert_false(allowed[',' / 32] >> (',' % 32) & 1);
    assert_ok(filter.mask(filter.context, MANY, allowed, N_WORDS, &err), err);
    assert_true(allowed[',' / 32] >> (',' % 32) & 1);
    filter.free(filter.context);
}

static int set_up(void **state)
{
    (void)state;
    tokenizer = byte_tokenizer();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    upg_tokenizer_free(tokenizer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_bound_from_their_beginning_on),
        cmocka_unit_test(calls_are_bound_behind_thoughts_too),
        cmocka_unit_test(calls_end_in_time),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
