/* pack.c -- writing the compact form of a tokenizer; docs/format-tokenizer.md describes the bytes.
 *
 * Most tokens need no text: a token that a merge makes is the two others joined.  So the form is
 * little more than the list of merges as pairs of ids. */
#include "text/pack_format.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { NO_ID = -1 };

struct writer {
    struct upg_buffer *out;
    size_t id_bytes;
    upg_status status; /* of the first write that failed; later ones do nothing */
    upg_error *err;
};

static void put(struct writer *writer, const void *bytes, size_t n)
{
    if (writer->status == UPG_OK)
        writer->status = upg_buffer_append(writer->out, bytes, n, writer->err);
}

/* n low bytes of value, the lowest first. */
static void put_number(struct writer *writer, uint32_t value, size_t n)
{
    unsigned char bytes[4];

    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(value >> 8 * i);
    put(writer, bytes, n);
}

static void put_id(struct writer *writer, int32_t id)
{
    put_number(writer, (uint32_t)id, writer->id_bytes); /* NO_ID: all bits set */
}

static void put_text(struct writer *writer, const char *text, size_t n)
{
    if (n > UINT16_MAX && writer->status == UPG_OK)
        writer->status = upg_fail(writer->err, UPG_ERR_UNSUPPORTED,
                                  "chat template: its system text of %zu bytes is longer than %d",
                                  n, UINT16_MAX);
    put_number(writer, (uint32_t)n, 2);
    put(writer, text, n);
}

/* The result of merge i is first + i for all of them: UPG_PACK_NO_NUMBER if that does not hold. */
static uint32_t first_result(const upg_tokenizer *tokenizer)
{
    for (size_t i = 0; i < tokenizer->n_merges; i++)
        if ((size_t)tokenizer->merges[i].result != (size_t)tokenizer->merges[0].result + i)
            return UPG_PACK_NO_NUMBER;
    return tokenizer->n_merges > 0 ? (uint32_t)tokenizer->merges[0].result : 0;
}

/* The token that is this byte and nothing else; NO_ID if there is none. */
static int32_t byte_token(const upg_tokenizer *tokenizer, size_t byte)
{
    const int32_t id = tokenizer->byte_ids[byte];
    const struct upg_token *token = &tokenizer->tokens[id >= 0 ? id : 0];

    return id >= 0 && token->n == 1 && (unsigned char)token->bytes[0] == byte ? id : NO_ID;
}

/* Mark the base tokens whose text must be written: those that no merge makes, or that a merge needs
 * before one makes them.  has_text [n_ids], zeroed.  Returns their number, or SIZE_MAX when out of
 * memory. */
static size_t find_literals(const upg_tokenizer *tokenizer, bool *has_text)
{
    bool *known = calloc(tokenizer->n_ids, sizeof *known);
    size_t n = 0;

    if (!known)
        return SIZE_MAX;
    for (size_t byte = 0; byte < 256; byte++)
        if (byte_token(tokenizer, byte) >= 0)
            known[byte_token(tokenizer, byte)] = true;
    for (size_t i = 0; i < tokenizer->n_merges; i++) {
        const struct upg_merge *merge = &tokenizer->merges[i];
        has_text[merge->left] |= !known[merge->left];
        has_text[merge->right] |= !known[merge->right];
        known[merge->left] = known[merge->right] = known[merge->result] = true;
    }
    for (size_t id = 0; id < tokenizer->n_ids; id++) {
        has_text[id] |= tokenizer->tokens[id].kind & UPG_TOKEN_BASE && !known[id];
        n += has_text[id];
    }
    free(known);
    return n;
}

static void put_tokenizer(struct writer *writer, const upg_tokenizer *tokenizer,
                          const bool *has_text, size_t n_literals)
{
    const uint32_t first = first_result(tokenizer);
    const char *name = upg_chat_name(tokenizer->chat.kind);
    const char *system = tokenizer->chat.system;
    const uint32_t fields[UPG_PACK_N_FIELDS] = {
        (uint32_t)tokenizer->n_ids,   (uint32_t)tokenizer->n_merges,   (uint32_t)n_literals,
        (uint32_t)tokenizer->added.n, (uint32_t)tokenizer->unknown_id, first};

    put(writer, UPG_PACK_MAGIC, UPG_PACK_MAGIC_BYTES);
    for (size_t i = 0; i < UPG_PACK_N_FIELDS; i++)
        put_number(writer, fields[i], 4);
    put_number(writer, (uint32_t)writer->id_bytes, 1);
    put_number(writer, tokenizer->ignore_merges ? UPG_PACK_IGNORE_MERGES : 0, 1);
    put_text(writer, tokenizer->pattern->name, strlen(tokenizer->pattern->name));
    put_text(writer, name, name ? strlen(name) : 0);
    put_text(writer, system, system ? strlen(system) : 0);

    for (size_t byte = 0; byte < 256; byte++)
        put_id(writer, byte_token(tokenizer, byte));
    for (size_t id = 0; id < tokenizer->n_ids; id++)
        if (has_text[id]) {
            put_id(writer, (int32_t)id);
            put_text(writer, tokenizer->tokens[id].bytes, tokenizer->tokens[id].n);
        }
    for (size_t i = 0; i < tokenizer->n_merges; i++) {
        put_id(writer, tokenizer->merges[i].left);
        put_id(writer, tokenizer->merges[i].right);
        if (first == UPG_PACK_NO_NUMBER)
            put_id(writer, tokenizer->merges[i].result);
    }
    for (size_t i = 0; i < tokenizer->added.n; i++) {
        const struct upg_added *added = &tokenizer->added.tokens[i];
        put_id(writer, added->id);
        put_number(writer, added->flags, 1);
        put_text(writer, added->text, added->n);
    }
}

upg_status upg_tokenizer_pack(const upg_tokenizer *tokenizer, struct upg_buffer *out,
                              upg_error *err)
{
    const size_t n_before = out->n;
    struct writer writer = {.out = out, .id_bytes = 2, .err = err};
    bool *has_text = calloc(tokenizer->n_ids, sizeof *has_text);
    size_t n_literals = has_text ? find_literals(tokenizer, has_text) : SIZE_MAX;

    if (n_literals == SIZE_MAX) {
        free(has_text);
        return upg_fail_memory(err, "packing the tokenizer", tokenizer->n_ids);
    }
    while (tokenizer->n_ids >> 8 * writer.id_bytes != 0)
        writer.id_bytes++;
    put_tokenizer(&writer, tokenizer, has_text, n_literals);
    free(has_text);
    if (writer.status != UPG_OK)
        out->n = n_before;
    return writer.status;
}
