/* The tokenizer of a GGUF file, built here from the small one. */
#include "unit.h"

#include "small.h"

#include "text/byte_alphabet.h"

#include <stdio.h>
#include <stdlib.h>

#define SPAN(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

/* Arrays that a test may change. */
struct arrays {
    char spellings[256][2];
    struct upg_text_span tokens[SMALL_N_IDS];
    int32_t types[SMALL_N_IDS];
    struct upg_text_span merges[6];
    struct upg_tokenizer_arrays all;
};

static void fill(struct arrays *arrays)
{
    static const struct upg_text_span words[] = {
        SPAN("he"), SPAN("ll"), SPAN("hell"), SPAN("hello"), SPAN("\xC4\xA0hello"), SPAN("aa")};
    static const struct upg_text_span added[] = {SPAN("<|im_start|>"), SPAN("<|im_sep|>"),
                                                 SPAN("<|im_end|>"), SPAN("<|im_end|>s")};
    static const struct upg_text_span merges[] = {
        SPAN("h e"), SPAN("l l"), SPAN("he ll"), SPAN("hell o"), SPAN("\xC4\xA0 hello"),
        SPAN("a a")};

    for (int i = 0; i < SMALL_N_IDS; i++) {
        arrays->tokens[i] = (struct upg_text_span)SPAN("[PAD]");
        arrays->types[i] = 5;
    }
    for (int i = 0; i < 256; i++) {
        const char byte = (char)i;
        arrays->tokens[i].text = arrays->spellings[i];
        arrays->tokens[i].n = upg_bytes_to_spelling(&byte, 1, arrays->spellings[i]);
        arrays->types[i] = 1;
    }
    for (int i = 0; i < 6; i++) {
        arrays->tokens[SMALL_HE + i] = words[i];
        arrays->types[SMALL_HE + i] = 1;
        arrays->merges[i] = merges[i];
    }
    for (int i = 0; i < 4; i++) {
        arrays->tokens[SMALL_START + i] = added[i];
        arrays->types[SMALL_START + i] = i == 3 ? 4 : 3;
    }
    arrays->all = (struct upg_tokenizer_arrays){.model = "gpt2",
                                                .pre = "gpt-2",
                                                .tokens = arrays->tokens,
                                                .types = arrays->types,
                                                .n_tokens = SMALL_N_IDS,
                                                .merges = arrays->merges,
                                                .n_merges = 6};
}

static void arrays_give_the_same_ids_without_stripping(void **state)
{
    struct arrays arrays;
    upg_tokenizer *tokenizer = NULL;
    upg_error err;

    (void)state;
    fill(&arrays);
    assert_ok(upg_tokenizer_from_arrays(&tokenizer, "x.gguf", &arrays.all, &err), err);
    EXPECT_IDS(tokenizer, "hello helloaaa", UPG_TEXT_PLAIN, SMALL_HELLO, SMALL_SPACE_HELLO,
               SMALL_AA, 'a');
    EXPECT_IDS(tokenizer, "a <|im_end|> b<|im_end|>s", UPG_TEXT_PARSE_SPECIAL, 'a', ' ', SMALL_END,
               ' ', 'b', SMALL_ENDS);
    assert_int_equal(upg_tokenizer_n_ids(tokenizer), SMALL_N_IDS);
    assert_string_equal(upg_tokenizer_template_name(tokenizer), "phi-4");
    upg_tokenizer_free(tokenizer);
}

static void user_defined_tokens_are_not_special(void **state)
{
    struct arrays arrays;
    upg_tokenizer *tokenizer = NULL;
    upg_error err;
    const char *bytes;
    size_t n;

    (void)state;
    fill(&arrays);
    assert_ok(upg_tokenizer_from_arrays(&tokenizer, "x.gguf", &arrays.all, &err), err);
    upg_token_bytes(tokenizer, SMALL_END, 1, &bytes, &n);
    assert_int_equal(n, 0);
    upg_token_bytes(tokenizer, SMALL_ENDS, 1, &bytes, &n);
    assert_int_equal(n, 11);
    upg_token_bytes(tokenizer, SMALL_START - 1, 0, &bytes, &n); /* unused: a hole */
    assert_int_equal(n, 0);
    upg_tokenizer_free(tokenizer);
}

static void refuse(const struct arrays *arrays, upg_status status, const char *part)
{
    upg_tokenizer *tokenizer = NULL;
    upg_error err;

    assert_fails(upg_tokenizer_from_arrays(&tokenizer, "x.gguf", &arrays->all, &err), status, err,
                 part);
    assert_non_null(strstr(err.message, "x.gguf"));
    assert_null(tokenizer);
}

static void wrong_arrays_are_refused_by_name(void **state)
{
    struct arrays arrays;

    (void)state;
    fill(&arrays);
    arrays.all.model = "llama";
    refuse(&arrays, UPG_ERR_UNSUPPORTED, "tokenizer.ggml.model: is \"llama\"");
    arrays.all.model = NULL;
    refuse(&arrays, UPG_ERR_UNSUPPORTED, "tokenizer.ggml.model");
    fill(&arrays);
    arrays.all.pre = "qwen2";
    refuse(&arrays, UPG_ERR_UNSUPPORTED, "tokenizer.ggml.pre: \"qwen2\"");
    arrays.all.pre = "default";
    refuse(&arrays, UPG_ERR_UNSUPPORTED, "tokenizer.ggml.pre: \"default\"");
    arrays.all.pre = NULL;
    refuse(&arrays, UPG_ERR_UNSUPPORTED, "tokenizer.ggml.pre: is missing");
    fill(&arrays);
    arrays.types[7] = 6;
    refuse(&arrays, UPG_ERR_UNSUPPORTED, "token_type[7]: is 6");
    fill(&arrays);
    arrays.tokens[7] = (struct upg_text_span){"", 0};
    refuse(&arrays, UPG_ERR_FORMAT, "token 7: has 0 bytes");
    fill(&arrays);
    arrays.merges[2] = (struct upg_text_span)SPAN("hell");
    refuse(&arrays, UPG_ERR_FORMAT, "tokenizer.ggml.merges[2]");
    arrays.merges[2] = (struct upg_text_span){NULL, 0};
    refuse(&arrays, UPG_ERR_FORMAT, "tokenizer.ggml.merges[2]");
    fill(&arrays);
    arrays.tokens[SMALL_SEP] = arrays.tokens[SMALL_START];
    refuse(&arrays, UPG_ERR_FORMAT, "is there twice");
    fill(&arrays);
    arrays.all.n_tokens = 0;
    refuse(&arrays, UPG_ERR_FORMAT, "tokenizer.ggml.tokens");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_give_the_same_ids_without_stripping),
        cmocka_unit_test(user_defined_tokens_are_not_special),
        cmocka_unit_test(wrong_arrays_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
