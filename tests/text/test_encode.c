/* Text to ids: added tokens, invalid UTF-8, long texts, several threads. */
#include "unit.h"

#include "golden.h"
#include "small.h"

#include "base/random.h"
#include "base/utf8.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static void the_longest_added_token_wins(void **state)
{
    upg_tokenizer *tokenizer = small_tokenizer(NULL);

    (void)state;
    EXPECT_IDS(tokenizer, "<|im_end|>sa", UPG_TEXT_PARSE_SPECIAL, SMALL_ENDS, 'a');
    EXPECT_IDS(tokenizer, "<|im_end|>a", UPG_TEXT_PARSE_SPECIAL, SMALL_END, 'a');
    EXPECT_IDS(tokenizer, "<<|im_sep|>", UPG_TEXT_PARSE_SPECIAL, '<', SMALL_SEP);
    EXPECT_IDS(tokenizer, "<|im_e", UPG_TEXT_PARSE_SPECIAL, '<', '|', 'i', 'm', '_', 'e');
    upg_tokenizer_free(tokenizer);
}

static void plain_text_matches_no_added_token(void **state)
{
    upg_tokenizer *tokenizer = small_tokenizer(NULL);

    (void)state;
    EXPECT_IDS(tokenizer, "<|im_sep|>", UPG_TEXT_PLAIN, '<', '|', 'i', 'm', '_', 's', 'e', 'p', '|',
               '>');
    upg_tokenizer_free(tokenizer);
}

static void white_space_is_stripped_as_the_flags_say(void **state)
{
    upg_tokenizer *tokenizer = small_tokenizer(NULL);

    (void)state;
    EXPECT_IDS(tokenizer, "a <|im_start|> b", UPG_TEXT_PARSE_SPECIAL, 'a', ' ', SMALL_START, ' ',
               'b');
    EXPECT_IDS(tokenizer, "a <|im_sep|> \n\xE3\x80\x80\xE2\x80\xA8 b", UPG_TEXT_PARSE_SPECIAL, 'a',
               ' ', SMALL_SEP, 'b');
    EXPECT_IDS(tokenizer, "a\xC2\xA0 \t<|im_end|>  b", UPG_TEXT_PARSE_SPECIAL, 'a', SMALL_END, 'b');
    /* U+200B and U+180E are no white space. */
    EXPECT_IDS(tokenizer, "\xE2\x80\x8B<|im_end|>\xE1\xA0\x8E", UPG_TEXT_PARSE_SPECIAL, 0xE2, 0x80,
               0x8B, SMALL_END, 0xE1, 0xA0, 0x8E);
    /* A match does not take what the one before it took. */
    EXPECT_IDS(tokenizer, "<|im_sep|>  <|im_end|>  ", UPG_TEXT_PARSE_SPECIAL, SMALL_SEP, SMALL_END);
    EXPECT_IDS(tokenizer, "  <|im_end|>", UPG_TEXT_PARSE_SPECIAL, SMALL_END);
    upg_tokenizer_free(tokenizer);
}

static void ids_are_appended_and_wrong_flags_change_nothing(void **state)
{
    upg_tokenizer *tokenizer = small_tokenizer(NULL);
    upg_tokens tokens = {0};
    upg_error err;

    (void)state;
    assert_ok(upg_tokenize(tokenizer, "hello hello", 11, UPG_TEXT_PLAIN, &tokens, &err), err);
    assert_ok(upg_tokenize(tokenizer, "he", 2, UPG_TEXT_PLAIN, &tokens, &err), err);
    assert_fails(upg_tokenize(tokenizer, "he", 2, 2, &tokens, &err), UPG_ERR_ARGUMENT, err,
                 "flags");
    assert_int_equal(tokens.n, 3);
    assert_int_equal(tokens.ids[1], SMALL_SPACE_HELLO);
    assert_int_equal(tokens.ids[2], SMALL_HE);
    upg_tokens_clear(&tokens);
    upg_tokenizer_free(tokenizer);
}

static void tokens_have_the_bytes_of_their_text(void **state)
{
    upg_tokenizer *tokenizer = small_tokenizer(NULL);
    const char *bytes;
    size_t n;

    (void)state;
    upg_token_bytes(tokenizer, SMALL_SPACE_HELLO, 0, &bytes, &n);
    assert_int_equal(n, 6);
    assert_memory_equal(bytes, " hello", 6);
    upg_token_bytes(tokenizer, SMALL_END, 0, &bytes, &n);
    assert_int_equal(n, 10);
    upg_token_bytes(tokenizer, SMALL_END, 1, &bytes, &n);
    assert_int_equal(n, 0);
    upg_token_bytes(tokenizer, SMALL_ENDS, 1, &bytes, &n); /* not special: stays */
    assert_int_equal(n, 11);
    for (int32_t id = -1; id <= SMALL_N_IDS; id += SMALL_N_IDS + 1) {
        upg_token_bytes(tokenizer, id, 0, &bytes, &n);
        assert_int_equal(n, 0);
    }
    upg_token_bytes(tokenizer, SMALL_START - 1, 0, &bytes, &n); /* a hole */
    assert_int_equal(n, 0);
    assert_int_equal(upg_tokenizer_n_ids(tokenizer), SMALL_N_IDS);
    assert_int_equal(upg_tokenizer_find_special(tokenizer, "<|im_sep|>"), SMALL_SEP);
    assert_int_equal(upg_tokenizer_find_special(tokenizer, "<|im_sep|"), -1);
    assert_int_equal(upg_tokenizer_find_special(tokenizer, ""), -1);
    upg_tokenizer_free(tokenizer);
}

/* Whatever the bytes are, the tokens' bytes joined are the text again. */
static void any_bytes_survive_the_round_trip(void **state)
{
    upg_tokenizer *tokenizer = golden_tokenizer("phi4", NULL);
    struct upg_random random = {5};

    (void)state;
    for (int round = 0; round < 3000; round++) {
        char text[40];
        upg_tokens tokens = {0};
        upg_error err;
        size_t at = 0;

        for (size_t i = 0; i < sizeof text; i++) {
            const uint64_t value = upg_random_u64(&random);
            text[i] = "a \n\xE4\xBD\xA0\xC3\xF0'"[value % 9];
            if (value >> 8 & 1)
                text[i] = (char)(value >> 16);
        }
        assert_ok(upg_tokenize(tokenizer, text, sizeof text, UPG_TEXT_PLAIN, &tokens, &err), err);
        for (size_t i = 0; i < tokens.n; i++) {
            const char *bytes;
            size_t n;
            upg_token_bytes(tokenizer, tokens.ids[i], 0, &bytes, &n);
            assert_true(at + n <= sizeof text);
            assert_memory_equal(bytes, text + at, n);
            at += n;
        }
        assert_int_equal(at, sizeof text);
        upg_tokens_clear(&tokens);
    }
    upg_tokenizer_free(tokenizer);
}

static void bytes_that_are_no_utf8_become_single_bytes(void **state)
{
    upg_tokenizer *tokenizer = small_tokenizer(NULL);

    (void)state;
    EXPECT_IDS(tokenizer, "hello\xFFhello\xE4\xBD", UPG_TEXT_PLAIN, SMALL_HELLO, 0xFF, SMALL_HELLO,
               0xE4, 0xBD);
    upg_tokenizer_free(tokenizer);
}

static void a_vocabulary_without_some_bytes_drops_them(void **state)
{
    json_t *document = small_json();
    json_t *model = json_object_get(document, "model");
    upg_tokenizer *tokenizer = NULL;
    upg_error err;

    (void)state;
    json_object_del(json_object_get(model, "vocab"), "x");
    assert_ok(small_read(document, NULL, &tokenizer, &err), err);
    EXPECT_IDS(tokenizer, "hexllo\xFF", UPG_TEXT_PLAIN, SMALL_HELLO, 0xFF);
    EXPECT_IDS(tokenizer, "x'sx'sx'sh", UPG_TEXT_PLAIN, '\'', 's', '\'', 's', '\'', 's', 'h');
    upg_tokenizer_free(tokenizer);

    document = small_json();
    model = json_object_get(document, "model");
    json_object_del(json_object_get(model, "vocab"), "x");
    json_object_set_new(json_object_get(model, "vocab"), "<unk>", json_integer(270));
    json_object_set_new(model, "unk_token", json_string("<unk>"));
    assert_ok(small_read(document, NULL, &tokenizer, &err), err);
    EXPECT_IDS(tokenizer, "hexllo", UPG_TEXT_PLAIN, SMALL_HE, 270, SMALL_LL, 'o');
    upg_tokenizer_free(tokenizer);
}

static void ignoring_merges_looks_the_whole_word_up_first(void **state)
{
    json_t *document = small_json();
    json_t *model = json_object_get(document, "model");
    upg_tokenizer *tokenizer = NULL;
    upg_error err;

    (void)state;
    json_object_set_new(json_object_get(model, "vocab"), "oll", json_integer(270)); /* no merge */
    json_object_set_new(model, "ignore_merges", json_true());
    assert_ok(small_read(document, NULL, &tokenizer, &err), err);
    EXPECT_IDS(tokenizer, "oll\noll hello olls", UPG_TEXT_PLAIN, 270, '\n', 270, SMALL_SPACE_HELLO,
               ' ', 'o', SMALL_LL, 's');
    upg_tokenizer_free(tokenizer);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Texts that are one word, or that make a careless matcher look back: the time is printed, and only
 * a hang fails.  The ids joined are checked, so nothing was skipped. */
static void long_runs_are_tokenized_in_good_time(void **state)
{
    static const struct {
        const char *label, *text;
    } units[] = {{"space", " "},
                 {"a", "a"},
                 {"A", "A"},
                 {"U+4E2D", "\xE4\xB8\xAD"},
                 {"newline", "\n"},
                 {"7", "7"},
                 {"!", "!"},
                 {"<|", "<|"},
                 {"'", "'"},
                 {"U+0301", "\xCC\x81"},
                 {"U+02B0 A", "\xCA\xB0\x41"},
                 {"U+1F600", "\xF0\x9F\x98\x80"},
                 {"space newline", " \n"},
                 {"byte FF", "\xFF"}};
    static const char *const names[] = {"phi4", "phi4_mini"};
    const size_t n_bytes = SLOW_BUILD ? 1 << 18 : 1 << 20;
    char *text = malloc(n_bytes);

    (void)state;
    assert_non_null(text);
    for (size_t t = 0; t < 2; t++) {
        upg_tokenizer *tokenizer = golden_tokenizer(names[t], NULL);
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            const size_t n_unit = strlen(units[u].text);
            const double begin = now();
            upg_tokens tokens = {0};
            upg_error err;
            size_t n_joined = 0;

            for (size_t i = 0; i < n_bytes; i++)
                text[i] = units[u].text[i % n_unit];
            assert_ok(upg_tokenize(tokenizer, text, n_bytes, UPG_TEXT_PARSE_SPECIAL, &tokens, &err),
                      err);
            printf("%s: %zu bytes of %s: %.2f s\n", names[t], n_bytes, units[u].label,
                   now() - begin);
            assert_true(now() - begin < 60);
            for (size_t i = 0; i < tokens.n; i++) {
                const char *bytes;
                size_t n;
                upg_token_bytes(tokenizer, tokens.ids[i], 0, &bytes, &n);
                n_joined += n;
            }
            assert_int_equal(n_joined, n_bytes);
            upg_tokens_clear(&tokens);
        }
        upg_tokenizer_free(tokenizer);
    }
    free(text);
}

struct shared {
    const upg_tokenizer *tokenizer;
    const char *text;
    size_t n;
    upg_tokens tokens[20];
};

static void *tokenize_repeatedly(void *context)
{
    struct shared *shared = context;

    for (size_t i = 0; i < 20; i++)
        if (upg_tokenize(shared->tokenizer, shared->text, shared->n, UPG_TEXT_PARSE_SPECIAL,
                         &shared->tokens[i], NULL) != UPG_OK)
            return NULL;
    return context;
}

static void threads_share_a_tokenizer(void **state)
{
    upg_tokenizer *tokenizer = golden_tokenizer("phi4", NULL);
    char text[20000];
    struct shared shared[4];
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "hello World <|im_sep|> 12345\n\tit's "[i % 36];
    for (size_t i = 0; i < 4; i++) {
        shared[i] = (struct shared){.tokenizer = tokenizer, .text = text, .n = sizeof text};
        assert_int_equal(pthread_create(&threads[i], NULL, tokenize_repeatedly, &shared[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        void *done;
        pthread_join(threads[i], &done);
        assert_non_null(done);
    }
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 20; j++) {
            assert_int_equal(shared[i].tokens[j].n, shared[0].tokens[0].n);
            if (i + j > 0)
                assert_memory_equal(shared[i].tokens[j].ids, shared[0].tokens[0].ids,
                                    shared[0].tokens[0].n * sizeof(int32_t));
        }
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 20; j++)
            upg_tokens_clear(&shared[i].tokens[j]);
    upg_tokenizer_free(tokenizer);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_added_token_wins),
        cmocka_unit_test(plain_text_matches_no_added_token),
        cmocka_unit_test(white_space_is_stripped_as_the_flags_say),
        cmocka_unit_test(ids_are_appended_and_wrong_flags_change_nothing),
        cmocka_unit_test(tokens_have_the_bytes_of_their_text),
        cmocka_unit_test(any_bytes_survive_the_round_trip),
        cmocka_unit_test(bytes_that_are_no_utf8_become_single_bytes),
        cmocka_unit_test(a_vocabulary_without_some_bytes_drops_them),
        cmocka_unit_test(ignoring_merges_looks_the_whole_word_up_first),
        cmocka_unit_test(long_runs_are_tokenized_in_good_time),
        cmocka_unit_test(threads_share_a_tokenizer),
    };

    if (argc != 2)
        return 2;
    golden_folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
