/* small.c -- see small.h. */
#include "unit.h"

#include "small.h"

#include "text/byte_alphabet.h"

#include <stdlib.h>

static json_t *vocabulary(void)
{
    static const char *const words[] = {"he", "ll", "hell", "hello", "\xC4\xA0hello", "aa"};
    json_t *vocab = json_object();

    for (int byte = 0; byte < 256; byte++) {
        const char text = (char)byte;
        char key[3] = {0};
        upg_bytes_to_spelling(&text, 1, key);
        json_object_set_new(vocab, key, json_integer(byte));
    }
    for (int i = 0; i < (int)(sizeof words / sizeof *words); i++)
        json_object_set_new(vocab, words[i], json_integer(SMALL_HE + i));
    return vocab;
}

static json_t *added(int id, const char *content, int lstrip, int rstrip, int special)
{
    return json_pack("{s:i, s:s, s:b, s:b, s:b}", "id", id, "content", content, "lstrip", lstrip,
                     "rstrip", rstrip, "special", special);
}

json_t *small_json(void)
{
    json_t *list =
        json_pack("[o, o, o, o]", added(SMALL_START, "<|im_start|>", 0, 0, 1),
                  added(SMALL_SEP, "<|im_sep|>", 0, 1, 1), added(SMALL_END, "<|im_end|>", 1, 1, 1),
                  added(SMALL_ENDS, "<|im_end|>s", 0, 0, 0));

    return json_pack("{s:o, s:n, s:{s:s, s:b}, s:{s:s, s:o, s:[s, s, s, s, s, s]}}", "added_tokens",
                     list, "normalizer", "pre_tokenizer", "type", "ByteLevel", "add_prefix_space",
                     0, "model", "type", "BPE", "vocab", vocabulary(), "merges", "h e", "l l",
                     "he ll", "hell o", "\xC4\xA0 hello", "a a");
}

upg_status small_read(json_t *document, const char *jinja, upg_tokenizer **tokenizer,
                      upg_error *err)
{
    char *text = json_dumps(document, 0);
    upg_status status;

    json_decref(document);
    assert_non_null(text);
    status = upg_tokenizer_from_json(tokenizer, "small.json", text, strlen(text), NULL, 0, jinja,
                                     jinja ? strlen(jinja) : 0, err);
    free(text);
    return status;
}

upg_tokenizer *small_tokenizer(const char *jinja)
{
    upg_tokenizer *tokenizer = NULL;
    upg_error err;

    assert_ok(small_read(small_json(), jinja, &tokenizer, &err), err);
    return tokenizer;
}

void expect_ids(const upg_tokenizer *tokenizer, const char *text, size_t n, int flags,
                const int32_t *ids, size_t n_ids)
{
    upg_tokens tokens = {0};
    upg_error err;

    assert_ok(upg_tokenize(tokenizer, text, n, flags, &tokens, &err), err);
    for (size_t i = 0; i < n_ids && i < tokens.n; i++)
        if (tokens.ids[i] != ids[i])
            fail_msg("\"%s\": token %zu is %d, must be %d", text, i, tokens.ids[i], ids[i]);
    if (tokens.n != n_ids)
        fail_msg("\"%s\": %zu tokens, must be %zu", text, tokens.n, n_ids);
    upg_tokens_clear(&tokens);
}
