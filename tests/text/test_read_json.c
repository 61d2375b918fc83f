/* tokenizer.json from strangers: what is refused, and with which words. */
#include "unit.h"

#include "small.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

/* The small tokenizer's text with `from` replaced by `to`, which must be there once. */
static char *replace(const char *from, const char *to)
{
    json_t *document = small_json();
    char *text = json_dumps(document, JSON_COMPACT), *changed = NULL, *at = strstr(text, from);
    size_t n;

    json_decref(document);
    if (!at || strstr(at + 1, from))
        fail_msg("\"%s\" is not once in %s", from, text);
    n = strlen(text) + strlen(to) + 1;
    changed = malloc(n);
    assert_non_null(changed);
    snprintf(changed, n, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    free(text);
    return changed;
}

#define SPLIT(regex, behavior)                                                                     \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"        \
    "\"" regex "\"},\"behavior\":\"" behavior                                                      \
    "\",\"invert\":false},{\"type\":\"ByteLevel\",\"use_regex\":"                                  \
    "false}]}"

#define PRE "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define GPT2                                                                                       \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|" \
    "\\\\s+"

static void wrong_files_are_refused_by_name(void **state)
{
    static const struct {
        const char *from, *to, *part;
        upg_status status;
    } cases[] = {
        {"\"BPE\"", "\"Unigram\"", "model: type \"Unigram\"", UPG_ERR_UNSUPPORTED},
        {"\"BPE\"", "\"BPE\",\"byte_fallback\":true", "byte_fallback", UPG_ERR_UNSUPPORTED},
        {"\"BPE\"", "\"BPE\",\"dropout\":0.1", "dropout", UPG_ERR_UNSUPPORTED},
        {"\"BPE\"", "\"BPE\",\"end_of_word_suffix\":\"</w>\"", "end_of_word", UPG_ERR_UNSUPPORTED},
        {"\"BPE\"", "\"BPE\",\"unk_token\":\"<unk>\"", "unk_token", UPG_ERR_FORMAT},
        {"\"BPE\"", "\"BPE\",\"unk_token\":\"a\",\"fuse_unk\":true", "fuse_unk",
         UPG_ERR_UNSUPPORTED},
        {"\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}", "normalizer: \"NFC\"",
         UPG_ERR_UNSUPPORTED},
        {PRE, "null", "pre_tokenizer", UPG_ERR_UNSUPPORTED},
        {PRE, "{\"type\":\"Whitespace\"}", "Whitespace", UPG_ERR_UNSUPPORTED},
        {PRE, "{\"type\":\"Sequence\",\"pretokenizers\":[]}", "pre_tokenizer", UPG_ERR_UNSUPPORTED},
        {PRE, "{\"type\":\"Sequence\",\"pretokenizers\":[1,2,3]}", "pre_tokenizer",
         UPG_ERR_UNSUPPORTED},
        {PRE, "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", "add_prefix_space",
         UPG_ERR_UNSUPPORTED},
        {PRE, SPLIT("\\\\w+", "Isolated"), "\\\\w+", UPG_ERR_UNSUPPORTED},
        {PRE, SPLIT(GPT2, "MergedWithNext"), "MergedWithNext", UPG_ERR_UNSUPPORTED},
        {PRE, SPLIT(GPT2, "Removed"), "Removed", UPG_ERR_UNSUPPORTED},
        {"\"aa\":261", "\"aa\":260", "token 260: two tokens", UPG_ERR_FORMAT},
        {"\"aa\":261", "\"aa\":-1", "must be an id", UPG_ERR_FORMAT},
        {"\"aa\":261", "\"aa\":\"261\"", "must be an id", UPG_ERR_FORMAT},
        {"\"aa\":261", "\"aa\":2000000000", "greatest id is 2000000000", UPG_ERR_FORMAT},
        {"\"aa\":261", "\"aa\":9223372036854775807", "greatest id is", UPG_ERR_FORMAT},
        {"\"aa\":261", "\"aa\":261,\"\":262", "token 262: has 0 bytes", UPG_ERR_FORMAT},
        {"\"a a\"", "\"aa\"", "merges[5]", UPG_ERR_FORMAT},
        {"\"a a\"", "\"a  a\"", "merges[5]", UPG_ERR_FORMAT},
        {"\"a a\"", "\" \"", "merges[5]", UPG_ERR_FORMAT},
        {"\"a a\"", "[\"a\"]", "merges[5]", UPG_ERR_FORMAT},
        {"\"a a\"", "[\"a\",7]", "merges[5]", UPG_ERR_FORMAT},
        {"\"a a\"", "5", "merges[5]", UPG_ERR_FORMAT},
        {"\"a a\"", "\"b a\"", "merges[5]", UPG_ERR_FORMAT},
        {"\"a a\"", "\"\\u00e4\\u4f60 a\"", "merges[5]", UPG_ERR_FORMAT},
        {"\"id\":300", "\"id\":301", "has the id of another token, 301", UPG_ERR_FORMAT},
        {"\"id\":300", "\"id\":97", "has the id of another token, 97", UPG_ERR_FORMAT},
        {"\"id\":300", "\"id\":null", "added_tokens[0]: id", UPG_ERR_FORMAT},
        {"\"<|im_start|>\"", "\"\"", "token 300: has 0 bytes", UPG_ERR_FORMAT},
        {"\"<|im_start|>\"", "7", "added_tokens[0]: content", UPG_ERR_FORMAT},
        {"\"<|im_start|>\"", "\"<|im_sep|>\"", "is there twice", UPG_ERR_FORMAT},
        {"\"id\":300", "\"id\":300,\"single_word\":true", "single_word", UPG_ERR_UNSUPPORTED},
        {"{\"added_tokens\":[", "{\"added_tokens\":5,\"x\":[", "added_tokens: must",
         UPG_ERR_FORMAT},
        {"\"vocab\":{", "\"vocab\":5,\"x\":{", "vocab", UPG_ERR_FORMAT},
        {"\"merges\":[", "\"merges\":{},\"x\":[", "merges", UPG_ERR_FORMAT},
        {"\"model\":{", "\"model\":null,\"x\":{", "model: type", UPG_ERR_UNSUPPORTED},
        {"{\"added_tokens\"", "\"added_tokens\"", "JSON", UPG_ERR_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = replace(cases[i].from, cases[i].to);
        upg_tokenizer *tokenizer = NULL;
        upg_error err = {0};

        assert_fails(upg_tokenizer_from_json(&tokenizer, "x/tokenizer.json", text, strlen(text),
                                             NULL, 0, NULL, 0, &err),
                     cases[i].status, err, cases[i].part);
        assert_non_null(strstr(err.message, "x/tokenizer.json"));
        assert_null(tokenizer);
        free(text);
    }
}

static void a_token_that_is_too_long_is_refused(void **state)
{
    json_t *document = small_json();
    char key[5000];
    upg_tokenizer *tokenizer = NULL;
    upg_error err;

    (void)state;
    memset(key, 'a', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    json_object_set_new(json_object_get(json_object_get(document, "model"), "vocab"), key,
                        json_integer(270));
    assert_fails(small_read(document, NULL, &tokenizer, &err), UPG_ERR_FORMAT, err,
                 "token 270: has 4999 bytes");
}

/* Looking up must stay fast whatever tokens a file lists. */
static void tokens_that_collide_are_refused(void **state)
{
    json_t *document = small_json();
    json_t *vocab = json_object_get(json_object_get(document, "model"), "vocab");
    upg_tokenizer *tokenizer = NULL;
    upg_error err;

    (void)state;
    for (int id = SMALL_N_IDS, i = 0; id < SMALL_N_IDS + 600; i++) { /* the table has 2^11 places */
        char key[16];
        const int n = snprintf(key, sizeof key, "k%d", i);
        if (XXH3_64bits(key, (size_t)n) >> (64 - 11) == 5)
            json_object_set_new(vocab, key, json_integer(id++));
    }
    assert_fails(small_read(document, NULL, &tokenizer, &err), UPG_ERR_FORMAT, err,
                 "share a place");
    assert_null(tokenizer);
}

static void layouts_that_mean_the_same_are_read(void **state)
{
    static const char *const layouts[][2] = {
        {PRE, "{\"type\":\"ByteLevel\",\"use_regex\":true,\"trim_offsets\":false}"},
        {PRE, "{\"type\":\"Sequence\",\"pretokenizers\":[" PRE "]}"},
        {PRE, SPLIT(GPT2, "Isolated")},
        {"\"a a\"", "[\"a\",\"a\"]"},
        {"\"aa\":261", "\"aa\":261,\"<|im_start|>\":300"},
        {"\"BPE\"", "\"BPE\",\"unk_token\":null,\"continuing_subword_prefix\":\"\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        char *text = replace(layouts[i][0], layouts[i][1]);
        upg_tokenizer *tokenizer = NULL;
        upg_error err;

        assert_ok(
            upg_tokenizer_from_json(&tokenizer, "x", text, strlen(text), NULL, 0, NULL, 0, &err),
            err);
        EXPECT_IDS(tokenizer, "hello hello 12aaa<|im_start|>", UPG_TEXT_PARSE_SPECIAL, SMALL_HELLO,
                   SMALL_SPACE_HELLO, ' ', '1', '2', SMALL_AA, 'a', SMALL_START);
        assert_string_equal(upg_tokenizer_pre_name(tokenizer), "gpt-2");
        upg_tokenizer_free(tokenizer);
        free(text);
    }
}

static void digits_stand_alone_where_the_file_says_so(void **state)
{
    static const char *const layouts[] = {
        "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":true}"
        "," PRE "]}",
        "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
        "\"\\\\p{N}\"},\"behavior\":\"Isolated\",\"invert\":false}," PRE "]}"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *text = replace(PRE, layouts[i]);
        upg_tokenizer *tokenizer = NULL;
        upg_error err;

        assert_ok(
            upg_tokenizer_from_json(&tokenizer, "x", text, strlen(text), NULL, 0, NULL, 0, &err),
            err);
        assert_string_equal(upg_tokenizer_pre_name(tokenizer), "smollm");
        upg_tokenizer_free(tokenizer);
        free(text);
    }
}

static void the_template_is_found_in_the_config(void **state)
{
    static const struct {
        const char *config, *name;
    } cases[] = {
        {"{\"chat_template\":\"<|im_sep|> add_generation_prompt\"}", "phi-4"},
        {"{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"x\"},{\"name\":\"default\","
         "\"template\":\"<|im_sep|> add_generation_prompt\"}]}",
         "phi-4"},
        {"{\"chat_template\":\"what is this\"}", NULL},
        {"{\"chat_template\":5}", "phi-4"}, /* as if there were none: the tokens decide */
        {"{}", "phi-4"},
    };
    json_t *document = small_json();
    char *text = json_dumps(document, 0);

    (void)state;
    json_decref(document);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        upg_tokenizer *tokenizer = NULL;
        upg_error err;

        assert_ok(upg_tokenizer_from_json(&tokenizer, "x", text, strlen(text), cases[i].config,
                                          strlen(cases[i].config), NULL, 0, &err),
                  err);
        if (cases[i].name)
            assert_string_equal(upg_tokenizer_template_name(tokenizer), cases[i].name);
        else
            assert_null(upg_tokenizer_template_name(tokenizer));
        upg_tokenizer_free(tokenizer);
    }
    free(text);
}

static void a_damaged_config_is_named_with_its_folder(void **state)
{
    json_t *document = small_json();
    char *text = json_dumps(document, 0);
    upg_tokenizer *tokenizer = NULL;
    upg_error err;

    (void)state;
    json_decref(document);
    assert_fails(upg_tokenizer_from_json(&tokenizer, "a/b/tokenizer.json", text, strlen(text), "{",
                                         1, NULL, 0, &err),
                 UPG_ERR_FORMAT, err, "a/b/tokenizer_config.json: not valid JSON");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_refused_by_name),
        cmocka_unit_test(a_token_that_is_too_long_is_refused),
        cmocka_unit_test(tokens_that_collide_are_refused),
        cmocka_unit_test(layouts_that_mean_the_same_are_read),
        cmocka_unit_test(digits_stand_alone_where_the_file_says_so),
        cmocka_unit_test(the_template_is_found_in_the_config),
        cmocka_unit_test(a_damaged_config_is_named_with_its_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
