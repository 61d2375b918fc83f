/* tokenizer.c -- making, checking and asking a tokenizer. */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { POOL_BYTES = 60 * 1024 };

upg_tokenizer *upg_tokenizer_new(size_t n_ids)
{
    upg_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);

    if (!tokenizer)
        return NULL;
    tokenizer->n_ids = n_ids;
    tokenizer->unknown_id = -1;
    tokenizer->tokens = upg_arena_alloc(&tokenizer->arena, n_ids, sizeof *tokenizer->tokens);
    if (!tokenizer->tokens) {
        free(tokenizer);
        return NULL;
    }
    return tokenizer;
}

void upg_tokenizer_free(upg_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    pcre2_code_free(tokenizer->regex);
    upg_pair_table_clear(&tokenizer->pairs);
    upg_token_index_clear(&tokenizer->index);
    free(tokenizer->chat.system);
    upg_arena_clear(&tokenizer->arena);
    free(tokenizer);
}

/* A copy of bytes[n], n <= UPG_MAX_TOKEN_BYTES, in the arena; NULL when out of memory. */
static const char *keep(upg_tokenizer *tokenizer, const char *bytes, size_t n)
{
    char *copy;

    if (tokenizer->pool_left < n) {
        tokenizer->pool = upg_arena_alloc(&tokenizer->arena, POOL_BYTES, 1);
        tokenizer->pool_left = tokenizer->pool ? POOL_BYTES : 0;
        if (!tokenizer->pool)
            return NULL;
    }
    copy = tokenizer->pool;
    memcpy(copy, bytes, n);
    tokenizer->pool += n;
    tokenizer->pool_left -= n;
    return copy;
}

static upg_status check_text(const char *where, size_t id, size_t n, upg_error *err)
{
    if (n == 0 || n > UPG_MAX_TOKEN_BYTES)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: token %zu: has %zu bytes, must have 1 .. %d",
                        where, id, n, UPG_MAX_TOKEN_BYTES);
    return UPG_OK;
}

upg_status upg_tokenizer_set_token(upg_tokenizer *tokenizer, const char *where, size_t id,
                                   const char *bytes, size_t n, upg_error *err)
{
    struct upg_token *token;
    const upg_status status = check_text(where, id, n, err);

    if (status != UPG_OK)
        return status;
    if (id >= tokenizer->n_ids)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: token %zu: ids end at %zu", where, id,
                        tokenizer->n_ids);
    token = &tokenizer->tokens[id];
    if (token->kind != 0)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: token %zu: two tokens have this id", where, id);
    if (tokenizer->n_token_bytes + n > UPG_MAX_VOCABULARY_BYTES)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: vocabulary: has more than %d bytes", where,
                        UPG_MAX_VOCABULARY_BYTES);
    token->bytes = keep(tokenizer, bytes, n);
    if (!token->bytes)
        return upg_fail_memory(err, "the vocabulary", n);
    tokenizer->n_token_bytes += n;
    token->n = (uint32_t)n;
    token->kind = UPG_TOKEN_BASE;
    return UPG_OK;
}

upg_status upg_tokenizer_reserve_added(upg_tokenizer *tokenizer, size_t n, upg_error *err)
{
    tokenizer->added.tokens =
        upg_arena_alloc(&tokenizer->arena, n, sizeof *tokenizer->added.tokens);
    return tokenizer->added.tokens ? UPG_OK : upg_fail_memory(err, "the added tokens", n);
}

upg_status upg_tokenizer_set_added(upg_tokenizer *tokenizer, const char *where, size_t id,
                                   const char *text, size_t n, uint8_t flags, upg_error *err)
{
    struct upg_token *token;
    upg_status status = check_text(where, id, n, err);

    if (status == UPG_OK && (id >= tokenizer->n_ids || tokenizer->tokens[id].kind == 0))
        status = upg_tokenizer_set_token(tokenizer, where, id, text, n, err);
    if (status != UPG_OK)
        return status;
    token = &tokenizer->tokens[id];
    if (token->kind & UPG_TOKEN_ADDED || token->n != n || memcmp(token->bytes, text, n) != 0)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: added_tokens: \"%.*s\" has the id of another token, %zu", where,
                        (int)(n < 100 ? n : 100), text, id);
    token->kind |= UPG_TOKEN_ADDED;
    if (flags & UPG_ADDED_SPECIAL)
        token->kind |= UPG_TOKEN_SPECIAL;
    tokenizer->added.tokens[tokenizer->added.n++] =
        (struct upg_added){.text = token->bytes, .n = token->n, .id = (int32_t)id, .flags = flags};
    return UPG_OK;
}

static bool is_base(const upg_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && (size_t)id < tokenizer->n_ids && tokenizer->tokens[id].kind & UPG_TOKEN_BASE;
}

/* Every merge must join two tokens to the one that is their concatenation. */
static upg_status check_merges(const upg_tokenizer *tokenizer, const char *where, upg_error *err)
{
    for (size_t rank = 0; rank < tokenizer->n_merges; rank++) {
        const struct upg_merge *merge = &tokenizer->merges[rank];
        const struct upg_token *left, *right, *result;

        if (!is_base(tokenizer, merge->left) || !is_base(tokenizer, merge->right) ||
            !is_base(tokenizer, merge->result))
            return upg_fail(err, UPG_ERR_FORMAT, "%s: merges[%zu]: names a token that is not there",
                            where, rank);
        left = &tokenizer->tokens[merge->left];
        right = &tokenizer->tokens[merge->right];
        result = &tokenizer->tokens[merge->result];
        if (left->n + right->n != result->n || memcmp(left->bytes, result->bytes, left->n) != 0 ||
            memcmp(right->bytes, result->bytes + left->n, right->n) != 0)
            return upg_fail(err, UPG_ERR_FORMAT,
                            "%s: merges[%zu]: token %d is not tokens %d and %d joined", where, rank,
                            merge->result, merge->left, merge->right);
    }
    return UPG_OK;
}

/* Files list added tokens in the vocabulary too.  BPE may give those only that it can build. */
static void take_added_from_base(upg_tokenizer *tokenizer)
{
    for (size_t i = 0; i < tokenizer->added.n; i++) {
        struct upg_token *token = &tokenizer->tokens[tokenizer->added.tokens[i].id];
        if (token->n > 1)
            token->kind &= (uint8_t)~UPG_TOKEN_BASE;
    }
    for (size_t rank = 0; rank < tokenizer->n_merges; rank++)
        tokenizer->tokens[tokenizer->merges[rank].result].kind |= UPG_TOKEN_BASE;
}

/* Vocabularies trained without the full alphabet lack bytes that their texts did not have. */
static void find_byte_tokens(upg_tokenizer *tokenizer)
{
    for (size_t byte = 0; byte < 256; byte++)
        tokenizer->byte_ids[byte] = tokenizer->unknown_id;
    for (size_t id = tokenizer->n_ids; id-- > 0;) {
        const struct upg_token *token = &tokenizer->tokens[id];
        if (token->kind & UPG_TOKEN_BASE && token->n == 1)
            tokenizer->byte_ids[(unsigned char)token->bytes[0]] = (int32_t)id;
    }
}

static upg_status compile_pattern(upg_tokenizer *tokenizer, upg_error *err)
{
    int code;
    PCRE2_SIZE offset;

    tokenizer->regex = pcre2_compile((PCRE2_SPTR)tokenizer->pattern->pcre, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_NO_AUTO_CAPTURE,
                                     &code, &offset, NULL);
    if (!tokenizer->regex && code == PCRE2_ERROR_HEAP_FAILED)
        return upg_fail_memory(err, "the pre-tokenizer's pattern", 0);
    if (!tokenizer->regex)
        return upg_fail(err, UPG_ERR_INTERNAL,
                        "pattern %s: PCRE2 refuses it at offset %zu, error %d",
                        tokenizer->pattern->name, (size_t)offset, code);
    /* Where the system forbids writable code this fails, and matching interprets the pattern. */
    pcre2_jit_compile(tokenizer->regex, PCRE2_JIT_COMPLETE);
    return UPG_OK;
}

upg_status upg_tokenizer_finish(upg_tokenizer *tokenizer, const char *where, upg_error *err)
{
    upg_status status = check_merges(tokenizer, where, err);

    if (status == UPG_OK) {
        take_added_from_base(tokenizer);
        status = upg_added_set_init(&tokenizer->added, where, err);
    }
    find_byte_tokens(tokenizer);
    if (status == UPG_OK)
        status = upg_pair_table_init(&tokenizer->pairs, where, tokenizer->merges,
                                     tokenizer->n_merges, err);
    if (status == UPG_OK && tokenizer->ignore_merges)
        status = upg_token_index_init(&tokenizer->index, tokenizer, where, err);
    if (status == UPG_OK)
        status = compile_pattern(tokenizer, err);
    if (status == UPG_OK)
        status = upg_tokenizer_self_check(tokenizer, where, err);
    return status;
}

size_t upg_tokenizer_n_ids(const upg_tokenizer *tokenizer)
{
    return tokenizer->n_ids;
}

void upg_token_bytes(const upg_tokenizer *tokenizer, int32_t id, int skip_special,
                     const char **bytes, size_t *n_bytes)
{
    const struct upg_token *token;

    *bytes = "";
    *n_bytes = 0;
    if (id < 0 || (size_t)id >= tokenizer->n_ids)
        return;
    token = &tokenizer->tokens[id];
    if (token->kind == 0 || (skip_special && token->kind & UPG_TOKEN_SPECIAL))
        return;
    *bytes = token->bytes;
    *n_bytes = token->n;
}

const char *upg_tokenizer_pre_name(const upg_tokenizer *tokenizer)
{
    return tokenizer->pattern->gguf_name;
}

int32_t upg_tokenizer_find_special(const upg_tokenizer *tokenizer, const char *text)
{
    const struct upg_added *token = upg_added_find(&tokenizer->added, text, strlen(text));

    return token ? token->id : -1;
}

const char *upg_tokenizer_template_name(const upg_tokenizer *tokenizer)
{
    return upg_chat_name(tokenizer->chat.kind);
}

upg_status upg_tokenizer_choose_template(upg_tokenizer *tokenizer, const char *name, upg_error *err)
{
    const enum upg_chat_kind kind = upg_chat_find(name);

    if (kind == UPG_CHAT_NONE)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "chat template: \"%s\" is not known; upg has phi-4, phi-4-first-release, "
                        "phi-4-reasoning, phi-4-mini, phi-4-mini-reasoning and chatml",
                        name);
    if (!upg_chat_has_tokens(kind, &tokenizer->added))
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "chat template: %s: the vocabulary has not all of its control tokens",
                        name);
    free(tokenizer->chat.system);
    tokenizer->chat = (struct upg_chat_template){.kind = kind};
    return UPG_OK;
}

upg_status upg_tokenizer_stop_ids(const upg_tokenizer *tokenizer, upg_tokens *ids, upg_error *err)
{
    /* The ends of a turn of all known templates, and the end of a text.  No vocabulary has a token
     * of this list for another purpose, so the list needs no template. */
    static const char *const ends[] = {"<|im_end|>", "<|end|>", "<|endoftext|>"};

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const int32_t id = upg_tokenizer_find_special(tokenizer, ends[i]);
        upg_status status = UPG_OK;
        if (id >= 0)
            status = upg_tokens_append(ids, &id, 1, err);
        if (status != UPG_OK)
            return status;
    }
    return UPG_OK;
}
