/* test_golden.c -- every recorded row, from every layout of tokenizer.json.
 *
 * The rows come from Hugging Face tokenizers and tiktoken; tests/data/text/README.md says how. */
#include "unit.h"

#include "golden.h"

#include "base/json.h"

#include <stdio.h>

struct tokenizer_rows {
    const upg_tokenizer *tokenizer;
    const char *key; /* of the ids in a row */
};

static void check_row(const json_t *row, void *context)
{
    const struct tokenizer_rows *rows = context;
    const json_t *text = json_object_get(row, "text");
    const int flags = json_is_true(json_object_get(row, "parse_special")) ? UPG_TEXT_PARSE_SPECIAL
                                                                          : UPG_TEXT_PLAIN;
    upg_tokens tokens = {0};
    upg_error err;

    assert_ok(upg_tokenize(rows->tokenizer, json_string_value(text), json_string_length(text),
                           flags, &tokens, &err),
              err);
    golden_compare(json_string_value(json_object_get(row, "id")), &tokens,
                   json_object_get(row, rows->key));
    upg_tokens_clear(&tokens);
}

static void check_tokenizer(const char *name, const char *key)
{
    upg_tokenizer *tokenizer = golden_tokenizer(name, NULL);
    struct tokenizer_rows rows = {tokenizer, key};

    assert_int_equal(golden_rows("golden_dev.jsonl", check_row, &rows), 1727);
    upg_tokenizer_free(tokenizer);
}

static void phi4_gives_the_recorded_ids(void **state)
{
    (void)state;
    check_tokenizer("phi4", "phi4");
}

static void phi4_mini_gives_the_recorded_ids(void **state)
{
    (void)state;
    check_tokenizer("phi4_mini", "phi4_mini");
}

static void another_layout_of_the_file_gives_the_same_ids(void **state)
{
    (void)state;
    check_tokenizer("phi4-other", "phi4");
    check_tokenizer("phi4_mini-other", "phi4_mini");
}

/* One conversation, with the tokenizer and the template of its member of the family. */
struct chat_rows {
    json_t *templates;
    upg_tokenizer *tokenizers[8];
    char members[8][32];
    size_t n;
};

static upg_tokenizer *tokenizer_of(struct chat_rows *rows, const char *member, const char *name)
{
    for (size_t i = 0; i < rows->n; i++)
        if (strcmp(rows->members[i], member) == 0)
            return rows->tokenizers[i];
    snprintf(rows->members[rows->n], sizeof rows->members[0], "%s", member);
    rows->tokenizers[rows->n] =
        golden_tokenizer(name, json_string_value(json_object_get(rows->templates, member)));
    return rows->tokenizers[rows->n++];
}

static size_t read_messages(const json_t *list, upg_message *messages, size_t capacity)
{
    const size_t n = json_array_size(list);

    assert_true(n <= capacity);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        messages[i].role = json_string_value(json_object_get(item, "role"));
        messages[i].content = json_string_value(json_object_get(item, "content"));
        messages[i].tools = json_string_value(json_object_get(item, "tools"));
    }
    return n;
}

static void check_chat(const json_t *row, void *context)
{
    struct chat_rows *rows = context;
    const json_t *ids = json_object_get(row, "ids_content_plain");
    const char *id = json_string_value(json_object_get(row, "id"));
    const upg_tokenizer *tokenizer =
        tokenizer_of(rows, json_string_value(json_object_get(row, "member")),
                     json_string_value(json_object_get(row, "tokenizer")));
    upg_message messages[32];
    upg_tokens tokens = {0};
    upg_error err;
    char *prompt = NULL;
    const size_t n = read_messages(json_object_get(row, "messages"), messages, 32);

    assert_ok(upg_chat_render(tokenizer, messages, n,
                              json_is_true(json_object_get(row, "add_generation_prompt")), &tokens,
                              &prompt, &err),
              err);
    if (strcmp(prompt, json_string_value(json_object_get(row, "prompt"))) != 0)
        fail_msg("%s: prompt is %s", id, prompt);
    golden_compare(id, &tokens, ids ? ids : json_object_get(row, "ids"));
    upg_free(prompt);
    upg_tokens_clear(&tokens);
}

static void conversations_give_the_recorded_prompts_and_ids(void **state)
{
    struct chat_rows rows = {0};
    upg_error err;

    (void)state;
    assert_ok(upg_json_read(&rows.templates, "tests/data/text/templates.json", &err), err);
    assert_int_equal(golden_rows("golden_chat.jsonl", check_chat, &rows), 280);
    assert_int_equal(rows.n, 6);
    for (size_t i = 0; i < rows.n; i++)
        upg_tokenizer_free(rows.tokenizers[i]);
    json_decref(rows.templates);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phi4_gives_the_recorded_ids),
        cmocka_unit_test(phi4_mini_gives_the_recorded_ids),
        cmocka_unit_test(another_layout_of_the_file_gives_the_same_ids),
        cmocka_unit_test(conversations_give_the_recorded_prompts_and_ids),
    };

    if (argc != 2)
        return 2;
    golden_folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
