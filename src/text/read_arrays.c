/* read_arrays.c -- the tokenizer of a GGUF file.
 *
 * GGUF names the pattern instead of spelling it, has no strip flags, and fills holes of the id
 * range with unused tokens.  Its arrays are described in the GGUF specification, section "ggml". */
#include "text/tokenizer.h"

#include <string.h>

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 };

static bool is_added(int32_t type)
{
    return type == UNKNOWN || type == CONTROL || type == USER_DEFINED;
}

static upg_status find_pattern(upg_tokenizer *tokenizer, const char *where,
                               const struct upg_tokenizer_arrays *arrays, upg_error *err)
{
    if (!arrays->model || strcmp(arrays->model, "gpt2") != 0)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: tokenizer.ggml.model: is \"%s\"; upg reads \"gpt2\" (byte-level BPE)",
                        where, arrays->model ? arrays->model : "(none)");
    if (!arrays->pre)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: tokenizer.ggml.pre: is missing, and a guess would give other ids; "
                        "convert the model again with a present converter",
                        where);
    tokenizer->pattern = upg_pattern_of_gguf(arrays->pre, &tokenizer->ignore_merges);
    if (!tokenizer->pattern)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: tokenizer.ggml.pre: \"%s\" is no pre-tokenizer that upg knows, and "
                        "another one would give other ids",
                        where, arrays->pre);
    return UPG_OK;
}

static upg_status read_tokens(upg_tokenizer *tokenizer, const char *where,
                              const struct upg_tokenizer_arrays *arrays, upg_error *err)
{
    size_t n_added = 0;
    upg_status status;

    for (size_t id = 0; id < arrays->n_tokens; id++)
        n_added += is_added(arrays->types[id]);
    status = upg_tokenizer_reserve_added(tokenizer, n_added, err);
    for (size_t id = 0; id < arrays->n_tokens && status == UPG_OK; id++) {
        const struct upg_text_span *token = &arrays->tokens[id];
        const int32_t type = arrays->types[id];

        if (type == NORMAL)
            status = upg_tokenizer_set_spelled(tokenizer, where, id, token->text, token->n, err);
        else if (is_added(type))
            status = upg_tokenizer_set_added(tokenizer, where, id, token->text, token->n,
                                             type == USER_DEFINED ? 0 : UPG_ADDED_SPECIAL, err);
        else if (type != UNUSED)
            status = upg_fail(err, UPG_ERR_UNSUPPORTED,
                              "%s: tokenizer.ggml.token_type[%zu]: is %d; upg reads 1 to 5", where,
                              id, type);
    }
    return status;
}

static upg_status read_merges(upg_tokenizer *tokenizer, const char *where,
                              const struct upg_tokenizer_arrays *arrays, upg_error *err)
{
    struct upg_token_index index = {0};
    upg_status status = upg_token_index_init(&index, tokenizer, where, err);

    tokenizer->merges =
        upg_arena_alloc(&tokenizer->arena, arrays->n_merges, sizeof *tokenizer->merges);
    if (status == UPG_OK && !tokenizer->merges)
        status = upg_fail_memory(err, "the merges", arrays->n_merges);
    for (size_t i = 0; i < arrays->n_merges && status == UPG_OK; i++)
        if (!upg_merge_of_text(&index, tokenizer, arrays->merges[i], &tokenizer->merges[i]))
            status = upg_fail(err, UPG_ERR_FORMAT,
                              "%s: tokenizer.ggml.merges[%zu]: must be two tokens of the "
                              "vocabulary that together are a third",
                              where, i);
    tokenizer->n_merges = arrays->n_merges;
    upg_token_index_clear(&index);
    return status;
}

upg_status upg_tokenizer_from_arrays(upg_tokenizer **out, const char *where,
                                     const struct upg_tokenizer_arrays *arrays, upg_error *err)
{
    upg_tokenizer *tokenizer;
    upg_status status;

    if (arrays->n_tokens == 0 || arrays->n_tokens > UPG_MAX_IDS)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: tokenizer.ggml.tokens: has %zu entries, must have 1 .. %d", where,
                        arrays->n_tokens, UPG_MAX_IDS);
    tokenizer = upg_tokenizer_new(arrays->n_tokens);
    if (!tokenizer)
        return upg_fail_memory(err, "the vocabulary", arrays->n_tokens);
    status = find_pattern(tokenizer, where, arrays, err);
    if (status == UPG_OK)
        status = read_tokens(tokenizer, where, arrays, err);
    if (status == UPG_OK)
        status = read_merges(tokenizer, where, arrays, err);
    if (status == UPG_OK)
        status = upg_tokenizer_finish(tokenizer, where, err);
    if (status == UPG_OK)
        status = upg_chat_detect(&tokenizer->chat, &tokenizer->added, arrays->chat_template.text,
                                 arrays->chat_template.n, err);
    if (status == UPG_OK)
        *out = tokenizer;
    else
        upg_tokenizer_free(tokenizer);
    return status;
}
