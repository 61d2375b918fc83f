/* Constraints from C: sharing, threads, going back, errors that change nothing. */
#include "unit.h"

#include "engine/byte_tokenizer.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

enum { N_WORDS = (BYTE_TOKENIZER_N_IDS + 31) / 32 };

static upg_vocabulary *vocabulary;

static int set_up(void **state)
{
    const int32_t end = BYTE_TOKENIZER_END;
    upg_tokenizer *tokenizer = byte_tokenizer();
    upg_error err;
    const upg_status status = upg_vocabulary_new(&vocabulary, tokenizer, &end, 1, &err);

    (void)state;
    upg_tokenizer_free(tokenizer);
    return status == UPG_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    upg_vocabulary_free(vocabulary);
    return 0;
}

static upg_grammar *make(upg_grammar_kind kind, const char *text)
{
    upg_grammar *grammar = NULL;
    upg_error err;

    assert_ok(upg_grammar_new(&grammar, vocabulary, kind, text, strlen(text), NULL, &err), err);
    return grammar;
}

static upg_constraint *start(upg_grammar *grammar)
{
    upg_constraint *constraint = NULL;
    upg_error err;

    assert_ok(upg_constraint_new(&constraint, grammar, &err), err);
    return constraint;
}

static bool has(upg_constraint *constraint, int32_t id)
{
    uint32_t bits[N_WORDS];
    upg_error err;

    assert_ok(upg_constraint_mask(constraint, bits, N_WORDS, &err), err);
    return bits[id / 32] >> (id % 32) & 1;
}

static void makers_may_free_what_is_still_used(void **state)
{
    upg_grammar *grammar = make(UPG_GRAMMAR_REGEX, "ab?");
    upg_constraint *constraint = start(grammar), *copy;
    upg_error err;

    (void)state;
    assert_ok(upg_constraint_fork(&copy, constraint, &err), err);
    upg_grammar_free(grammar);
    upg_constraint_free(constraint);
    assert_ok(upg_constraint_accept(copy, 'a', &err), err);
    assert_true(has(copy, 'b'));
    assert_true(has(copy, BYTE_TOKENIZER_END));
    upg_constraint_free(copy);
}

static void refused_token_changes_nothing(void **state)
{
    upg_grammar *grammar = make(UPG_GRAMMAR_REGEX, "ab");
    upg_constraint *constraint = start(grammar);
    upg_error err;

    (void)state;
    assert_fails(upg_constraint_accept(constraint, 'b', &err), UPG_ERR_ARGUMENT, err, "token 98");
    assert_fails(upg_constraint_accept(constraint, BYTE_TOKENIZER_END, &err), UPG_ERR_ARGUMENT, err,
                 "not complete");
    assert_fails(upg_constraint_accept(constraint, 5000, &err), UPG_ERR_ARGUMENT, err, "0 .. 256");
    assert_fails(upg_constraint_accept_text(constraint, "aX", 2, &err), UPG_ERR_ARGUMENT, err,
                 "byte 1");
    assert_fails(upg_constraint_rollback(constraint, 1, &err), UPG_ERR_ARGUMENT, err, "0 tokens");
    assert_int_equal(upg_constraint_n_tokens(constraint), 0);
    assert_ok(upg_constraint_accept_text(constraint, "ab", 2, &err), err);
    assert_int_equal(upg_constraint_at_end(constraint), 2);
    assert_ok(upg_constraint_accept(constraint, BYTE_TOKENIZER_END, &err), err);
    assert_false(has(constraint, BYTE_TOKENIZER_END));
    assert_ok(upg_constraint_rollback(constraint, 2, &err), err);
    assert_true(has(constraint, 'a'));
    upg_constraint_free(constraint);
    upg_grammar_free(grammar);
}

static void mask_of_other_lengths(void **state)
{
    upg_grammar *grammar = make(UPG_GRAMMAR_REGEX, "a");
    upg_constraint *constraint = start(grammar);
    uint32_t bits[N_WORDS + 2] = {0};
    upg_error err;

    (void)state;
    assert_int_equal(upg_constraint_n_words(constraint), N_WORDS);
    bits[N_WORDS + 1] = 7;
    assert_ok(upg_constraint_mask(constraint, bits, N_WORDS + 2, &err), err);
    assert_int_equal(bits[N_WORDS + 1], 0);
    assert_fails(upg_constraint_mask(constraint, bits, N_WORDS - 1, &err), UPG_ERR_ARGUMENT, err,
                 "too short");
    upg_constraint_free(constraint);
    upg_grammar_free(grammar);
}

/* A text of members with names of their own makes the automaton grow; texts that begin later get a
 * fresh one, and one that goes on and on is stopped at the limit. */
static void memory_is_bounded(void **state)
{
    static const char schema[] = "{\"type\": \"object\", \"additionalProperties\": {\"type\": "
                                 "\"array\", \"items\": {\"type\": \"object\"}}}";
    upg_grammar_options options;
    upg_grammar *grammar = NULL;
    upg_status status = UPG_OK;
    upg_error err;

    (void)state;
    upg_grammar_options_defaults(&options);
    options.max_bytes = 4 << 20;
    assert_ok(upg_grammar_new(&grammar, vocabulary, UPG_GRAMMAR_JSON_SCHEMA, schema,
                              sizeof schema - 1, &options, &err),
              err);
    for (int round = 0; round < 3; round++) {
        upg_constraint *constraint = start(grammar);
        char member[64];

        assert_ok(upg_constraint_accept_text(constraint, "{", 1, &err), err);
        status = UPG_OK;
        for (int i = 0; i < 900 && status == UPG_OK; i++) {
            const int n = snprintf(member, sizeof member, "%s\"name %d of round %d\": [{}]",
                                   i > 0 ? ", " : "", i, round);
            status = upg_constraint_accept_text(constraint, member, (size_t)n, &err);
        }
        assert_int_equal(status, UPG_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, "the limit is 4194304"));
        upg_constraint_free(constraint);
    }
    upg_grammar_free(grammar);
}

static void *follow_in_thread(void *argument)
{
    upg_grammar *grammar = argument;
    upg_constraint *constraint = start(grammar);
    static const char text[] = "{\"a\": [1, 2, {\"b\": \"text\"}], \"c\": null}";

    for (size_t round = 0; round < 50; round++) {
        upg_error err;

        for (size_t i = 0; i < sizeof text - 1; i++) {
            assert_true(has(constraint, text[i]));
            assert_ok(upg_constraint_accept(constraint, text[i], &err), err);
        }
        assert_int_equal(upg_constraint_at_end(constraint), 2);
        assert_ok(upg_constraint_rollback(constraint, sizeof text - 1, &err), err);
    }
    upg_constraint_free(constraint);
    return NULL;
}

static void threads_share_a_grammar(void **state)
{
    upg_grammar *grammar = make(UPG_GRAMMAR_JSON_SCHEMA, "true");
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, follow_in_thread, grammar), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    upg_grammar_free(grammar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makers_may_free_what_is_still_used),
        cmocka_unit_test(refused_token_changes_nothing),
        cmocka_unit_test(mask_of_other_lengths),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(threads_share_a_grammar),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
