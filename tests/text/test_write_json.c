/* Files for others, read back by our own reader.  That Hugging Face tokenizers reads them to the
 * same ids, and renders the same prompts, is checked by check_written.py where that package is. */
#include "unit.h"

#include "golden.h"
#include "small.h"

#include "base/buffer.h"

#include <stdlib.h>

static upg_tokenizer *write_and_read(const upg_tokenizer *tokenizer)
{
    struct upg_buffer json = {0}, config = {0};
    upg_tokenizer *back = NULL;
    upg_error err;

    assert_ok(upg_tokenizer_to_json(tokenizer, &json, &config, &err), err);
    assert_ok(upg_tokenizer_from_json(&back, "written", json.bytes, json.n, config.bytes, config.n,
                                      NULL, 0, &err),
              err);
    upg_buffer_clear(&json);
    upg_buffer_clear(&config);
    return back;
}

/* Packing writes all that there is, so equal bytes are equal tokenizers. */
static void expect_same(const upg_tokenizer *a, const upg_tokenizer *b)
{
    struct upg_buffer packed_a = {0}, packed_b = {0};
    upg_error err;

    assert_ok(upg_tokenizer_pack(a, &packed_a, &err), err);
    assert_ok(upg_tokenizer_pack(b, &packed_b, &err), err);
    assert_int_equal(packed_a.n, packed_b.n);
    assert_memory_equal(packed_a.bytes, packed_b.bytes, packed_a.n);
    upg_buffer_clear(&packed_a);
    upg_buffer_clear(&packed_b);
}

static void check_round_trip(upg_tokenizer *tokenizer)
{
    upg_tokenizer *back = write_and_read(tokenizer);

    expect_same(tokenizer, back);
    upg_tokenizer_free(back);
    upg_tokenizer_free(tokenizer);
}

static void the_family_is_written_and_read_back(void **state)
{
    (void)state;
    check_round_trip(golden_tokenizer("phi4", NULL));
    check_round_trip(golden_tokenizer("phi4_mini", NULL));
    check_round_trip(golden_tokenizer("phi4_reasoning-other", NULL));
}

static void every_template_is_recognised_again(void **state)
{
    static const struct {
        const char *tokenizer, *template;
    } cases[] = {{"phi4", "phi-4"},
                 {"phi4", "phi-4-first-release"},
                 {"phi4_reasoning", "phi-4-reasoning"},
                 {"phi4_mini", "phi-4-mini"},
                 {"phi4_mini", "phi-4-mini-reasoning"},
                 {"phi4", "chatml"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        upg_tokenizer *tokenizer = golden_tokenizer(cases[i].tokenizer, NULL);
        upg_error err;
        assert_ok(upg_tokenizer_choose_template(tokenizer, cases[i].template, &err), err);
        check_round_trip(tokenizer);
    }
}

static void system_texts_survive_quoting(void **state)
{
    static const char *const templates[] = {
        "<|im_start|>system\nIt's \\ \"mine\"\nand yours<|im_end|>\n{{ '<|im_start|>' + '\n' }}",
        "<|im_start|>system<|im_sep|>It's \\n here.<|im_end|> add_generation_prompt"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        upg_tokenizer *tokenizer = small_tokenizer(templates[i]), *back;
        const upg_message message = {"user", "x", NULL};
        upg_tokens tokens = {0};
        char *before = NULL, *after = NULL;
        upg_error err;

        assert_ok(upg_chat_render(tokenizer, &message, 1, 1, &tokens, &before, &err), err);
        assert_non_null(strstr(before, "It's"));
        back = write_and_read(tokenizer);
        assert_ok(upg_chat_render(back, &message, 1, 1, &tokens, &after, &err), err);
        assert_string_equal(before, after);
        upg_free(before);
        upg_free(after);
        upg_tokens_clear(&tokens);
        upg_tokenizer_free(back);
        upg_tokenizer_free(tokenizer);
    }
}

static void unusual_fields_survive(void **state)
{
    json_t *document = small_json();
    json_t *model = json_object_get(document, "model");
    upg_tokenizer *tokenizer = NULL;
    upg_error err;

    (void)state;
    json_object_del(json_object_get(model, "vocab"), "x");
    json_object_set_new(json_object_get(model, "vocab"), "<unk>", json_integer(270));
    json_object_set_new(model, "unk_token", json_string("<unk>"));
    json_object_set_new(model, "ignore_merges", json_true());
    json_object_set_new(json_array_get(json_object_get(document, "added_tokens"), 3), "normalized",
                        json_true());
    assert_ok(small_read(document, NULL, &tokenizer, &err), err);
    check_round_trip(tokenizer);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_family_is_written_and_read_back),
        cmocka_unit_test(every_template_is_recognised_again),
        cmocka_unit_test(system_texts_survive_quoting),
        cmocka_unit_test(unusual_fields_survive),
    };

    if (argc != 2)
        return 2;
    golden_folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
