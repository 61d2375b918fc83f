/* unpack.c -- reading the compact form of a tokenizer; docs/format-tokenizer.md describes the
 * bytes.
 *
 * The bytes come from strangers: counts are compared with the bytes that are there before anything
 * is allocated by them, and ids with the tokens read so far before they are used. */
#include "text/pack_format.h"
#include "text/tokenizer.h"

#include <string.h>

struct reader {
    const char *where;
    const uint8_t *bytes;
    size_t n, at;
    size_t id_bytes;
    bool is_short; /* a read went beyond the end; it and all later ones gave zeros */
};

static const uint8_t *take(struct reader *reader, size_t n)
{
    if (reader->is_short || reader->n - reader->at < n) {
        reader->is_short = true;
        return NULL;
    }
    reader->at += n;
    return reader->bytes + reader->at - n;
}

static uint32_t take_number(struct reader *reader, size_t n)
{
    const uint8_t *bytes = take(reader, n);
    uint32_t value = 0;

    for (size_t i = 0; bytes && i < n; i++)
        value |= (uint32_t)bytes[i] << 8 * i;
    return value;
}

static struct upg_text_span take_text(struct reader *reader)
{
    const size_t n = take_number(reader, 2);
    const char *text = (const char *)take(reader, n);

    return (struct upg_text_span){text, text ? n : 0};
}

/* What the header says. */
struct header {
    uint32_t n_ids, n_merges, n_literals, n_added, unknown_id, first_result;
    uint8_t flags;
    struct upg_text_span pattern, chat, system;
};

static upg_status fail_short(const struct reader *reader, upg_error *err)
{
    return upg_fail(err, UPG_ERR_FORMAT, "%s: tokenizer: ends too early, after %zu bytes",
                    reader->where, reader->n);
}

/* Every list has at least a few bytes an entry, so a count that the bytes cannot hold is refused
 * before anything is allocated by it. */
static upg_status read_header(struct reader *reader, struct header *header, upg_error *err)
{
    const uint8_t *found = take(reader, UPG_PACK_MAGIC_BYTES);
    uint32_t *const fields[UPG_PACK_N_FIELDS] = {&header->n_ids,      &header->n_merges,
                                                 &header->n_literals, &header->n_added,
                                                 &header->unknown_id, &header->first_result};
    size_t n_entries;

    if (!found || memcmp(found, UPG_PACK_MAGIC, UPG_PACK_MAGIC_BYTES) != 0)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: tokenizer: is not in the packed form, or in one of a later version",
                        reader->where);
    for (size_t i = 0; i < UPG_PACK_N_FIELDS; i++)
        *fields[i] = take_number(reader, 4);
    reader->id_bytes = take_number(reader, 1);
    header->flags = (uint8_t)take_number(reader, 1);
    header->pattern = take_text(reader);
    header->chat = take_text(reader);
    header->system = take_text(reader);
    if (reader->is_short)
        return fail_short(reader, err);

    n_entries = (size_t)header->n_merges + header->n_literals + header->n_added;
    if (reader->id_bytes < 2 || reader->id_bytes > 4 || header->flags & ~UPG_PACK_IGNORE_MERGES)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: tokenizer: ids of %zu bytes, flags %u",
                        reader->where, reader->id_bytes, header->flags);
    if (n_entries > (reader->n - reader->at) / (2 * reader->id_bytes) || header->n_ids == 0 ||
        header->n_ids > UPG_MAX_IDS || header->n_ids > 2 * n_entries + 1024)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: tokenizer: claims %u ids and %zu entries, the file gives %zu bytes",
                        reader->where, header->n_ids, n_entries, reader->n - reader->at);
    return UPG_OK;
}

/* A name as C string; longer ones are none that is known. */
static const char *name_of(struct upg_text_span text, char name[32])
{
    const size_t n = text.n < 31 ? text.n : 31;

    memcpy(name, text.n ? text.text : "", n);
    name[n] = '\0';
    return name;
}

static upg_status read_names(upg_tokenizer *tokenizer, const struct reader *reader,
                             const struct header *header, upg_error *err)
{
    char name[32];

    tokenizer->pattern = upg_pattern_find(name_of(header->pattern, name));
    if (!tokenizer->pattern)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: tokenizer: pre-tokenizer \"%s\" is none that this version knows",
                        reader->where, name);
    tokenizer->chat.kind = upg_chat_find(name_of(header->chat, name));
    if (header->chat.n > 0 && tokenizer->chat.kind == UPG_CHAT_NONE)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: tokenizer: chat template \"%s\" is none that this version knows",
                        reader->where, name);
    if (header->system.n == 0)
        return UPG_OK;
    if (memchr(header->system.text, '\0', header->system.n))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: tokenizer: system text: has a zero byte",
                        reader->where);
    tokenizer->chat.system = strndup(header->system.text, header->system.n);
    return tokenizer->chat.system ? UPG_OK
                                  : upg_fail_memory(err, "the chat template", header->system.n);
}

static upg_status read_texts(upg_tokenizer *tokenizer, struct reader *reader, size_t n_literals,
                             upg_error *err)
{
    const uint32_t no_id = (uint32_t)((UINT64_C(1) << 8 * reader->id_bytes) - 1);
    upg_status status = UPG_OK;

    for (unsigned byte = 0; byte < 256 && status == UPG_OK; byte++) {
        const char text = (char)byte;
        const uint32_t id = take_number(reader, reader->id_bytes);
        if (reader->is_short)
            return fail_short(reader, err);
        if (id != no_id)
            status = upg_tokenizer_set_token(tokenizer, reader->where, id, &text, 1, err);
    }
    for (size_t i = 0; i < n_literals && status == UPG_OK; i++) {
        const uint32_t id = take_number(reader, reader->id_bytes);
        const struct upg_text_span text = take_text(reader);
        if (reader->is_short)
            return fail_short(reader, err);
        status = upg_tokenizer_set_token(tokenizer, reader->where, id, text.text, text.n, err);
    }
    return status;
}

static bool is_known(const upg_tokenizer *tokenizer, uint32_t id)
{
    return id < tokenizer->n_ids && tokenizer->tokens[id].kind != 0;
}

static upg_status read_merges(upg_tokenizer *tokenizer, struct reader *reader,
                              const struct header *header, upg_error *err)
{
    upg_status status = UPG_OK;

    tokenizer->merges =
        upg_arena_alloc(&tokenizer->arena, header->n_merges, sizeof *tokenizer->merges);
    if (!tokenizer->merges)
        return upg_fail_memory(err, "the merges", header->n_merges);
    for (uint32_t i = 0; i < header->n_merges && status == UPG_OK; i++) {
        const uint32_t left = take_number(reader, reader->id_bytes);
        const uint32_t right = take_number(reader, reader->id_bytes);
        const uint32_t result = header->first_result == UPG_PACK_NO_NUMBER
                                    ? take_number(reader, reader->id_bytes)
                                    : header->first_result + i;
        char text[2 * UPG_MAX_TOKEN_BYTES];
        const struct upg_token *l, *r;

        if (reader->is_short)
            return fail_short(reader, err);
        if (!is_known(tokenizer, left) || !is_known(tokenizer, right) || result >= tokenizer->n_ids)
            return upg_fail(err, UPG_ERR_FORMAT,
                            "%s: tokenizer: merge %u: names a token that is not there",
                            reader->where, i);
        tokenizer->merges[i] = (struct upg_merge){(int32_t)left, (int32_t)right, (int32_t)result};
        if (is_known(tokenizer, result))
            continue; /* made before in another way; upg_tokenizer_finish() compares the texts */
        l = &tokenizer->tokens[left];
        r = &tokenizer->tokens[right];
        memcpy(text, l->bytes, l->n);
        memcpy(text + l->n, r->bytes, r->n);
        status = upg_tokenizer_set_token(tokenizer, reader->where, result, text, l->n + r->n, err);
    }
    tokenizer->n_merges = header->n_merges;
    return status;
}

static upg_status read_added(upg_tokenizer *tokenizer, struct reader *reader, size_t n,
                             upg_error *err)
{
    upg_status status = upg_tokenizer_reserve_added(tokenizer, n, err);

    for (size_t i = 0; i < n && status == UPG_OK; i++) {
        const uint32_t id = take_number(reader, reader->id_bytes);
        const uint8_t flags = (uint8_t)take_number(reader, 1);
        const struct upg_text_span text = take_text(reader);
        if (reader->is_short)
            return fail_short(reader, err);
        status =
            upg_tokenizer_set_added(tokenizer, reader->where, id, text.text, text.n, flags, err);
    }
    return status;
}

static upg_status read_tokenizer(upg_tokenizer *tokenizer, struct reader *reader,
                                 const struct header *header, upg_error *err)
{
    upg_status status = read_names(tokenizer, reader, header, err);

    tokenizer->ignore_merges = header->flags & UPG_PACK_IGNORE_MERGES;
    if (header->unknown_id != UPG_PACK_NO_NUMBER && header->unknown_id >= header->n_ids)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: tokenizer: unknown token: %u is no id",
                        reader->where, header->unknown_id);
    tokenizer->unknown_id = (int32_t)header->unknown_id;
    if (status == UPG_OK)
        status = read_texts(tokenizer, reader, header->n_literals, err);
    if (status == UPG_OK)
        status = read_merges(tokenizer, reader, header, err);
    if (status == UPG_OK)
        status = read_added(tokenizer, reader, header->n_added, err);
    if (status == UPG_OK && reader->at != reader->n)
        status = upg_fail(err, UPG_ERR_FORMAT, "%s: tokenizer: %zu bytes follow its end",
                          reader->where, reader->n - reader->at);
    if (status == UPG_OK)
        status = upg_tokenizer_finish(tokenizer, reader->where, err);
    if (status == UPG_OK && tokenizer->chat.kind != UPG_CHAT_NONE &&
        !upg_chat_has_tokens(tokenizer->chat.kind, &tokenizer->added))
        status = upg_fail(err, UPG_ERR_FORMAT,
                          "%s: tokenizer: chat template %s: its control tokens are not there",
                          reader->where, upg_chat_name(tokenizer->chat.kind));
    return status;
}

upg_status upg_tokenizer_unpack(upg_tokenizer **out, const char *where, const uint8_t *bytes,
                                size_t n, upg_error *err)
{
    struct reader reader = {.where = where, .bytes = bytes, .n = n};
    struct header header = {0};
    upg_tokenizer *tokenizer;
    upg_status status = read_header(&reader, &header, err);

    if (status != UPG_OK)
        return status;
    tokenizer = upg_tokenizer_new(header.n_ids);
    if (!tokenizer)
        return upg_fail_memory(err, "the vocabulary", header.n_ids);
    status = read_tokenizer(tokenizer, &reader, &header, err);
    if (status == UPG_OK)
        *out = tokenizer;
    else
        upg_tokenizer_free(tokenizer);
    return status;
}
