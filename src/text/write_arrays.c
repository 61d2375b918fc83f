/* write_arrays.c -- a tokenizer as the arrays of a GGUF file; the inverse of read_arrays.c. */
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <string.h>

enum { NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 };

/* Bytes as files spell them, in the arena. */
static upg_status spell(struct upg_arena *arena, const char *bytes, size_t n,
                        struct upg_text_span *span, upg_error *err)
{
    char *text = upg_arena_alloc(arena, n, 2);

    if (!text)
        return upg_fail_memory(err, "a token", 2 * n);
    *span = (struct upg_text_span){text, upg_bytes_to_spelling(bytes, n, text)};
    return UPG_OK;
}

/* Added tokens stand as they are, base tokens are spelt, and there is no hole. */
static upg_status write_token(const upg_tokenizer *tokenizer, size_t id, struct upg_arena *arena,
                              struct upg_text_span *span, int32_t *type, upg_error *err)
{
    const struct upg_token *token = id < tokenizer->n_ids ? &tokenizer->tokens[id] : NULL;
    char hole[32];

    if (!token || token->kind == 0) {
        const int n = snprintf(hole, sizeof hole, "[PAD%zu]", id);
        *type = UNUSED;
        *span = (struct upg_text_span){upg_arena_text(arena, hole, (size_t)n), (size_t)n};
        return span->text ? UPG_OK : upg_fail_memory(err, "a token", (size_t)n);
    }
    if (token->kind & UPG_TOKEN_ADDED) {
        *type = token->kind & UPG_TOKEN_SPECIAL ? CONTROL : USER_DEFINED;
        *span = (struct upg_text_span){token->bytes, token->n};
        return UPG_OK;
    }
    *type = NORMAL;
    return spell(arena, token->bytes, token->n, span, err);
}

static upg_status write_tokens(const upg_tokenizer *tokenizer, size_t n_tokens,
                               struct upg_arena *arena, struct upg_tokenizer_arrays *arrays,
                               upg_error *err)
{
    struct upg_text_span *tokens = upg_arena_alloc(arena, n_tokens, sizeof *tokens);
    int32_t *types = upg_arena_alloc(arena, n_tokens, sizeof *types);
    upg_status status = UPG_OK;

    if (!tokens || !types)
        return upg_fail_memory(err, "the vocabulary", n_tokens * sizeof *tokens);
    for (size_t id = 0; id < n_tokens && status == UPG_OK; id++)
        status = write_token(tokenizer, id, arena, &tokens[id], &types[id], err);
    arrays->tokens = tokens;
    arrays->types = types;
    arrays->n_tokens = n_tokens;
    return status;
}

static upg_status write_merges(const upg_tokenizer *tokenizer, struct upg_arena *arena,
                               struct upg_tokenizer_arrays *arrays, upg_error *err)
{
    struct upg_text_span *merges = upg_arena_alloc(arena, tokenizer->n_merges, sizeof *merges);

    if (!merges)
        return upg_fail_memory(err, "the merges", tokenizer->n_merges * sizeof *merges);
    for (size_t i = 0; i < tokenizer->n_merges; i++) {
        const struct upg_token *left = &tokenizer->tokens[tokenizer->merges[i].left];
        const struct upg_token *right = &tokenizer->tokens[tokenizer->merges[i].right];
        char *text = upg_arena_alloc(arena, 2 * ((size_t)left->n + right->n) + 1, 1);
        size_t n;

        if (!text)
            return upg_fail_memory(err, "a merge", 2 * ((size_t)left->n + right->n) + 1);
        n = upg_bytes_to_spelling(left->bytes, left->n, text);
        text[n++] = ' ';
        n += upg_bytes_to_spelling(right->bytes, right->n, text + n);
        merges[i] = (struct upg_text_span){text, n};
    }
    arrays->merges = merges;
    arrays->n_merges = tokenizer->n_merges;
    return UPG_OK;
}

upg_status upg_tokenizer_to_arrays(const upg_tokenizer *tokenizer, size_t n_tokens,
                                   struct upg_arena *arena, struct upg_tokenizer_arrays *arrays,
                                   upg_error *err)
{
    struct upg_buffer jinja = {0};
    bool ignore_merges;
    upg_status status;

    *arrays =
        (struct upg_tokenizer_arrays){.model = "gpt2", .pre = upg_tokenizer_pre_name(tokenizer)};
    if (!arrays->pre || !upg_pattern_of_gguf(arrays->pre, &ignore_merges) ||
        ignore_merges != tokenizer->ignore_merges)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "tokenizer: GGUF has no name for the pre-tokenizer \"%s\"%s; export to "
                        "another format",
                        tokenizer->pattern->name,
                        tokenizer->ignore_merges ? " that looks whole words up" : "");
    if (n_tokens < tokenizer->n_ids)
        return upg_fail(err, UPG_ERR_FORMAT, "tokenizer: has %zu ids, the model has %zu",
                        tokenizer->n_ids, n_tokens);
    status = write_tokens(tokenizer, n_tokens, arena, arrays, err);
    if (status == UPG_OK)
        status = write_merges(tokenizer, arena, arrays, err);
    if (status == UPG_OK && tokenizer->chat.kind != UPG_CHAT_NONE) {
        status = upg_chat_write_jinja(&tokenizer->chat, &jinja, err);
        if (status == UPG_OK) {
            arrays->chat_template.text = upg_arena_text(arena, jinja.bytes, jinja.n);
            arrays->chat_template.n = jinja.n;
            if (!arrays->chat_template.text)
                status = upg_fail_memory(err, "the chat template", jinja.n);
        }
        upg_buffer_clear(&jinja);
    }
    return status;
}
