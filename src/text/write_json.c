/* write_json.c -- tokenizer.json and tokenizer_config.json for Hugging Face tokenizers. */
#include "base/json.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

/* Room for a key of the vocabulary, a C string: UPG_MAX_TOKEN_BYTES bytes spelt, twice as many. */
struct key {
    char text[2 * UPG_MAX_TOKEN_BYTES + 1];
};

/* What the vocabulary calls a token: base tokens are spelt in the byte alphabet, added tokens stand
 * as they are. */
static const char *key_of(const upg_tokenizer *tokenizer, int32_t id, struct key *key)
{
    const struct upg_token *token = &tokenizer->tokens[id];
    size_t n = token->n;

    if (token->kind & UPG_TOKEN_ADDED && !(token->kind & UPG_TOKEN_BASE))
        memcpy(key->text, token->bytes, n);
    else
        n = upg_bytes_to_spelling(token->bytes, n, key->text);
    key->text[n] = '\0';
    return key->text;
}

static json_t *make_added(const struct upg_added *added)
{
    return json_pack("{s:i, s:s%, s:b, s:b, s:b, s:b, s:b}", "id", added->id, "content",
                     added->text, added->n, "single_word", 0, "lstrip",
                     (added->flags & UPG_ADDED_LSTRIP) != 0, "rstrip",
                     (added->flags & UPG_ADDED_RSTRIP) != 0, "normalized",
                     (added->flags & UPG_ADDED_NORMALIZED) != 0, "special",
                     (added->flags & UPG_ADDED_SPECIAL) != 0);
}

static json_t *make_byte_level(bool use_regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", use_regex);
}

static json_t *make_pre_tokenizer(const struct upg_pattern *pattern)
{
    switch (pattern->form) {
    case UPG_PATTERN_BYTE_LEVEL: break;
    case UPG_PATTERN_SPLIT:
        return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence",
                         "pretokenizers", "type", "Split", "pattern", "Regex", pattern->regex,
                         "behavior", "Isolated", "invert", 0, make_byte_level(false));
    case UPG_PATTERN_DIGITS_BYTE_LEVEL:
        return json_pack("{s:s, s:[{s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type",
                         "Digits", "individual_digits", 1, make_byte_level(true));
    }
    return make_byte_level(true);
}

static bool is_utf8(const char *text)
{
    const size_t n = strlen(text);
    size_t i = 0, length = 1;

    for (; i < n && length > 0; i += length)
        length = upg_utf8_next(text + i, n - i, NULL);
    return i == n;
}

static upg_status fill_vocab(const upg_tokenizer *tokenizer, json_t *vocab, json_t *list,
                             upg_error *err)
{
    for (size_t id = 0; id < tokenizer->n_ids; id++) {
        const struct upg_token *token = &tokenizer->tokens[id];
        const bool is_added = token->kind & UPG_TOKEN_ADDED;
        struct key key;

        if (token->kind == 0)
            continue;
        key_of(tokenizer, (int32_t)id, &key);
        if (strlen(key.text) < token->n || !is_utf8(key.text) || json_object_get(vocab, key.text))
            return upg_fail(err, UPG_ERR_UNSUPPORTED,
                            "tokenizer.json: token %zu: its text is no UTF-8, has a zero byte, or "
                            "is the spelling of another token; this cannot be written",
                            id);
        if (json_object_set_new(vocab, key.text, json_integer((json_int_t)id)) != 0)
            return upg_fail_memory(err, "a JSON document", id);
        if (is_added &&
            json_array_append_new(
                list, make_added(upg_added_find(&tokenizer->added, token->bytes, token->n))) != 0)
            return upg_fail_memory(err, "a JSON document", id);
    }
    return UPG_OK;
}

static upg_status fill_merges(const upg_tokenizer *tokenizer, json_t *list, upg_error *err)
{
    struct key left, right;

    for (size_t i = 0; i < tokenizer->n_merges; i++) {
        const struct upg_merge *merge = &tokenizer->merges[i];
        json_t *pair = json_pack("[s, s]", key_of(tokenizer, merge->left, &left),
                                 key_of(tokenizer, merge->right, &right));
        if (json_array_append_new(list, pair) != 0)
            return upg_fail_memory(err, "a JSON document", i);
    }
    return UPG_OK;
}

static json_t *make_model(const upg_tokenizer *tokenizer, json_t *vocab, json_t *merges)
{
    struct key key;
    json_t *unknown = json_null();

    if (tokenizer->unknown_id >= 0)
        unknown = json_string(key_of(tokenizer, tokenizer->unknown_id, &key));
    return json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:O, s:O}", "type", "BPE", "dropout",
                     "unk_token", unknown, "continuing_subword_prefix", "end_of_word_suffix",
                     "fuse_unk", 0, "byte_fallback", 0, "ignore_merges", tokenizer->ignore_merges,
                     "vocab", vocab, "merges", merges);
}

/* Append the text of a document, which is given up. */
static upg_status append_document(struct upg_buffer *out, json_t *document, upg_error *err)
{
    char *text = document ? json_dumps(document, JSON_INDENT(1)) : NULL;
    upg_status status;

    json_decref(document);
    if (!text)
        return upg_fail_memory(err, "a JSON document", 0);
    status = upg_buffer_append(out, text, strlen(text), err);
    free(text);
    return status;
}

static upg_status write_tokenizer(const upg_tokenizer *tokenizer, struct upg_buffer *out,
                                  upg_error *err)
{
    json_t *vocab = json_object(), *merges = json_array(), *added = json_array();
    upg_status status = fill_vocab(tokenizer, vocab, added, err);

    if (status == UPG_OK)
        status = fill_merges(tokenizer, merges, err);
    if (status == UPG_OK)
        status = append_document(
            out,
            json_pack("{s:s, s:n, s:n, s:O, s:n, s:o, s:n, s:o, s:o}", "version", "1.0",
                      "truncation", "padding", "added_tokens", added, "normalizer", "pre_tokenizer",
                      make_pre_tokenizer(tokenizer->pattern), "post_processor", "decoder",
                      make_byte_level(true), "model", make_model(tokenizer, vocab, merges)),
            err);
    json_decref(vocab);
    json_decref(merges);
    json_decref(added);
    return status;
}

/* Text of the first of these that is an added token; NULL if none is. */
static const char *first_of(const upg_tokenizer *tokenizer, const char *const *names)
{
    while (*names && upg_tokenizer_find_special(tokenizer, *names) < 0)
        names++;
    return *names;
}

static upg_status write_config(const upg_tokenizer *tokenizer, struct upg_buffer *out,
                               upg_error *err)
{
    static const char *const ends_of_turn[] = {"<|im_end|>", "<|end|>", "<|endoftext|>", NULL};
    static const char *const ends_of_text[] = {"<|endoftext|>", NULL};
    struct upg_buffer jinja = {0};
    json_t *document;
    upg_status status = UPG_OK;

    if (tokenizer->chat.kind != UPG_CHAT_NONE)
        status = upg_chat_write_jinja(&tokenizer->chat, &jinja, err);
    if (status != UPG_OK) {
        upg_buffer_clear(&jinja);
        return status;
    }
    document =
        json_pack("{s:s, s:b, s:b, s:s*, s:s*, s:s*}", "tokenizer_class", "PreTrainedTokenizerFast",
                  "add_prefix_space", 0, "clean_up_tokenization_spaces", 0, "bos_token",
                  first_of(tokenizer, ends_of_text), "eos_token", first_of(tokenizer, ends_of_turn),
                  "chat_template", jinja.bytes);
    status = append_document(out, document, err);
    upg_buffer_clear(&jinja);
    return status;
}

upg_status upg_tokenizer_to_json(const upg_tokenizer *tokenizer, struct upg_buffer *tokenizer_json,
                                 struct upg_buffer *tokenizer_config_json, upg_error *err)
{
    const size_t n_before = tokenizer_json->n;
    upg_status status = write_tokenizer(tokenizer, tokenizer_json, err);

    if (status == UPG_OK)
        status = write_config(tokenizer, tokenizer_config_json, err);
    if (status != UPG_OK)
        tokenizer_json->n = n_before;
    return status;
}
