/* pack.c -- the compact form of a tokenizer; docs/format-tokenizer.md describes the bytes.
 *
 * Most tokens need no text: a token that a merge makes is the two others joined.  So the form is
 * little more than the list of merges as pairs of ids. */
#include "base/size.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static const char magic[8] = {'U', 'P', 'G', 'T', 'O', 'K', '0', '1'};

enum { NO_ID = -1, FLAG_IGNORE_MERGES = 1, N_FIELDS = 6 };

#define NO_NUMBER UINT32_MAX

/* ---- Writing ---- */

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

/* The result of merge i is first + i for all of them: NO_NUMBER if that does not hold. */
static uint32_t first_result(const upg_tokenizer *tokenizer)
{
    for (size_t i = 0; i < tokenizer->n_merges; i++)
        if ((size_t)tokenizer->merges[i].result != (size_t)tokenizer->merges[0].result + i)
            return NO_NUMBER;
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
    const uint32_t fields[N_FIELDS] = {
        (uint32_t)tokenizer->n_ids,   (uint32_t)tokenizer->n_merges,   (uint32_t)n_literals,
        (uint32_t)tokenizer->added.n, (uint32_t)tokenizer->unknown_id, first};

    put(writer, magic, sizeof magic);
    for (size_t i = 0; i < N_FIELDS; i++)
        put_number(writer, fields[i], 4);
    put_number(writer, (uint32_t)writer->id_bytes, 1);
    put_number(writer, tokenizer->ignore_merges ? FLAG_IGNORE_MERGES : 0, 1);
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
        if (first == NO_NUMBER)
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

/* ---- Reading ---- */

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
    const uint8_t *found = take(reader, sizeof magic);
    uint32_t *const fields[N_FIELDS] = {&header->n_ids,      &header->n_merges,
                                        &header->n_literals, &header->n_added,
                                        &header->unknown_id, &header->first_result};
    size_t n_entries;

    if (!found || memcmp(found, magic, sizeof magic) != 0)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: tokenizer: is not in the packed form, or in one of a later version",
                        reader->where);
    for (size_t i = 0; i < N_FIELDS; i++)
        *fields[i] = take_number(reader, 4);
    reader->id_bytes = take_number(reader, 1);
    header->flags = (uint8_t)take_number(reader, 1);
    header->pattern = take_text(reader);
    header->chat = take_text(reader);
    header->system = take_text(reader);
    if (reader->is_short)
        return fail_short(reader, err);

    n_entries = (size_t)header->n_merges + header->n_literals + header->n_added;
    if (reader->id_bytes < 2 || reader->id_bytes > 4 || header->flags & ~FLAG_IGNORE_MERGES)
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
        const uint32_t result = header->first_result == NO_NUMBER
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

    tokenizer->ignore_merges = header->flags & FLAG_IGNORE_MERGES;
    if (header->unknown_id != NO_NUMBER && header->unknown_id >= header->n_ids)
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
