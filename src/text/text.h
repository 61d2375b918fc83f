/* text.h -- making tokenizers; the public functions on them are in upg.h.
 *
 * A tokenizer comes from tokenizer.json, from the arrays of a GGUF file, or from the compact form
 * that a .upg file carries.  All three end in the same object.  The pre-tokenizer's pattern is
 * data: a pattern (or the name of one) that upg does not know is refused by name, because a wrong
 * one gives text that still looks right. */
#ifndef UPG_TEXT_TEXT_H
#define UPG_TEXT_TEXT_H

#include "base/arena.h"
#include "base/buffer.h"

#include <stdbool.h>

/* `where` is the file's name for messages in all of these. */

/* json[n]: the text of tokenizer.json.  config_json[n_config]: the text of tokenizer_config.json,
 * which has the chat template (a string, or a list with one named "default") and may be NULL.
 * template_text, if not NULL, overrides it (chat_template.jinja files).  Without any template, the
 * control tokens of the Phi-4 family decide. */
upg_status upg_tokenizer_from_json(upg_tokenizer **tokenizer, const char *where, const char *json,
                                   size_t n, const char *config_json, size_t n_config,
                                   const char *template_text, size_t n_template, upg_error *err);

/* One string of a GGUF array; not zero-terminated. */
struct upg_text_span {
    const char *text;
    size_t n;
};

/* The tokenizer.ggml.* arrays of a GGUF file, borrowed for the call. */
struct upg_tokenizer_arrays {
    const char *model; /* tokenizer.ggml.model, must be "gpt2" */
    const char *pre;   /* tokenizer.ggml.pre: "dbrx", "llama-bpe", "gpt-4o", "smollm", ... */
    const struct upg_text_span
        *tokens;          /* [n_tokens] byte-level alphabet for type 1, literal for 3 and 4 */
    const int32_t *types; /* [n_tokens] 1 normal, 3 control, 4 user-defined, 5 unused, 6 byte */
    size_t n_tokens;
    const struct upg_text_span *merges; /* [n_merges] "left right" */
    size_t n_merges;
    struct upg_text_span chat_template; /* text NULL: none */
};

upg_status upg_tokenizer_from_arrays(upg_tokenizer **tokenizer, const char *where,
                                     const struct upg_tokenizer_arrays *arrays, upg_error *err);

/* The other way: n_tokens entries, at least upg_tokenizer_n_ids(), with unused tokens where there is
 * none.  Borrows from the tokenizer and the arena.  UPG_ERR_UNSUPPORTED if GGUF has no name for the
 * pre-tokenizer. */
upg_status upg_tokenizer_to_arrays(const upg_tokenizer *tokenizer, size_t n_tokens,
                                   struct upg_arena *arena, struct upg_tokenizer_arrays *arrays,
                                   upg_error *err);

/* The compact form (docs/format-tokenizer.md): pattern, tokens, merges, added tokens with flags,
 * template. */
upg_status upg_tokenizer_pack(const upg_tokenizer *tokenizer, struct upg_buffer *out,
                              upg_error *err);
upg_status upg_tokenizer_unpack(upg_tokenizer **tokenizer, const char *where, const uint8_t *bytes,
                                size_t n, upg_error *err);

/* Write tokenizer.json / tokenizer_config.json text that Hugging Face tokenizers read back to the
 * same ids. */
upg_status upg_tokenizer_to_json(const upg_tokenizer *tokenizer, struct upg_buffer *tokenizer_json,
                                 struct upg_buffer *tokenizer_config_json, upg_error *err);

/* What GGUF export needs: the pre-tokenizer's GGUF name; NULL if it has none. */
const char *upg_tokenizer_pre_name(const upg_tokenizer *tokenizer);

/* Id of the added token that is exactly this text; -1 if there is none. */
int32_t upg_tokenizer_find_special(const upg_tokenizer *tokenizer, const char *text);

/* Name of the chat template ("phi-4", "phi-4-first-release", "phi-4-reasoning", "phi-4-mini",
 * "phi-4-mini-reasoning", "chatml"); NULL if the model has none or one that upg does not know. */
const char *upg_tokenizer_template_name(const upg_tokenizer *tokenizer);

/* Use the template of this name instead of the file's; before the tokenizer is shared.
 * UPG_ERR_ARGUMENT if there is no such name or the vocabulary lacks its control tokens. */
upg_status upg_tokenizer_choose_template(upg_tokenizer *tokenizer, const char *name,
                                         upg_error *err);

/* Append the ids that end a turn or a text by the template and the vocabulary (at most 8). */
upg_status upg_tokenizer_stop_ids(const upg_tokenizer *tokenizer, upg_tokens *ids, upg_error *err);

#endif
