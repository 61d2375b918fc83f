/* gguf_tokenizer.c -- tokenizer and stop ids from the metadata of a GGUF file. */
#include "model/gguf.h"

#include <string.h>

/* Tokens that a file wants around every text.  The family adds none, and Hugging Face's tokenizers
 * do not for it either, so a file that asks for one is refused and not half obeyed. */
static upg_status check_added_tokens(struct upg_gguf *file, upg_error *err)
{
    static const char *const keys[] = {"tokenizer.ggml.add_bos_token",
                                       "tokenizer.ggml.add_eos_token"};

    for (size_t i = 0; i < 2; i++) {
        bool added;
        const upg_status status = upg_gguf_get_bool_or(file, keys[i], false, &added, err);
        if (status != UPG_OK)
            return status;
        if (added)
            return upg_fail(err, UPG_ERR_UNSUPPORTED,
                            "%s: %s: is true; upg adds no token to a text by itself", file->path,
                            keys[i]);
    }
    return UPG_OK;
}

/* Everything that upg_tokenizer_from_arrays() takes; arrays go into `scratch`. */
static upg_status collect_arrays(struct upg_gguf *file, struct upg_arena *scratch,
                                 struct upg_tokenizer_arrays *arrays, upg_error *err)
{
    size_t n_types;
    upg_status status =
        upg_gguf_get_name(file, "tokenizer.ggml.model", scratch, &arrays->model, err);

    if (status == UPG_OK)
        status = upg_gguf_get_name(file, "tokenizer.ggml.pre", scratch, &arrays->pre, err);
    if (status == UPG_OK)
        status = upg_gguf_get_texts(file, "tokenizer.ggml.tokens", scratch, &arrays->tokens,
                                    &arrays->n_tokens, err);
    if (status == UPG_OK)
        status = upg_gguf_get_ints(file, "tokenizer.ggml.token_type", scratch, &arrays->types,
                                   &n_types, err);
    if (status == UPG_OK && n_types != arrays->n_tokens)
        status = upg_fail(err, UPG_ERR_FORMAT,
                          "%s: tokenizer.ggml.token_type: has %zu elements for %zu tokens",
                          file->path, n_types, arrays->n_tokens);
    if (status == UPG_OK)
        status = upg_gguf_get_texts(file, "tokenizer.ggml.merges", scratch, &arrays->merges,
                                    &arrays->n_merges, err);
    if (status == UPG_OK)
        status = upg_gguf_get_text(file, "tokenizer.chat_template", &arrays->chat_template, err);
    return status;
}

upg_status upg_gguf_read_tokenizer(struct upg_gguf *file, upg_tokenizer **tokenizer, upg_error *err)
{
    struct upg_tokenizer_arrays arrays = {0};
    struct upg_arena scratch = {0};
    upg_status status = check_added_tokens(file, err);

    if (status == UPG_OK)
        status = collect_arrays(file, &scratch, &arrays, err);
    if (status == UPG_OK)
        status = upg_tokenizer_from_arrays(tokenizer, file->path, &arrays, err);
    upg_arena_clear(&scratch);
    return status;
}

upg_status upg_gguf_read_stop_ids(struct upg_gguf *file, size_t n_vocab, upg_tokens *ids,
                                  upg_error *err)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    upg_status status = UPG_OK;

    for (size_t i = 0; i < sizeof keys / sizeof *keys && status == UPG_OK; i++) {
        bool known = !upg_gguf_find_entry(file, keys[i]);
        size_t id = 0;
        int32_t stop;

        if (!known)
            status = upg_gguf_get_size(file, keys[i], 0, n_vocab - 1, &id, err);
        stop = (int32_t)id;
        for (size_t k = 0; k < ids->n; k++)
            known |= ids->ids[k] == stop;
        if (status == UPG_OK && !known)
            status = upg_tokens_append(ids, &stop, 1, err);
    }
    return status;
}
