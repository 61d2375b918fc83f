/* encode.c -- text to ids.
 *
 * Added tokens are cut out first, what is between them is cut by the pattern into pre-tokens, and
 * each pre-token is merged.  Most pre-tokens of a text have occurred in it before: a table of
 * recent ones says where, and their ids are copied from the output made so far.
 *
 * The pattern sees valid UTF-8 only.  Bytes that are not part of a character end the text for it
 * and become the tokens of single bytes. */
#include "base/utf8.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { MIN_LOG2_RECENT = 6, MAX_LOG2_RECENT = 16, MAX_RECENT_IDS = 16 };

#define MAX_TEXT_BYTES ((size_t)1 << 31) /* positions in a pre-token have 32 bits */

/* A pre-token text[begin .. begin + n) that gave out->ids[first .. first + n_ids). */
struct recent {
    size_t begin, first;
    uint32_t n, n_ids; /* n 0: free */
};

struct encoder {
    const upg_tokenizer *tokenizer;
    const char *text;
    upg_tokens *out;
    struct recent *recent; /* [1 << log2_recent] */
    unsigned log2_recent;
    struct upg_merge_scratch scratch;
    pcre2_match_data *match;
    pcre2_match_context *limits;
};

static upg_status encoder_init(struct encoder *encoder, const upg_tokenizer *tokenizer,
                               const char *text, size_t n, upg_tokens *out, upg_error *err)
{
    *encoder = (struct encoder){.tokenizer = tokenizer, .text = text, .out = out};
    encoder->log2_recent = MIN_LOG2_RECENT;
    while (encoder->log2_recent < MAX_LOG2_RECENT && (size_t)1 << encoder->log2_recent < n / 8)
        encoder->log2_recent++;
    encoder->recent = calloc((size_t)1 << encoder->log2_recent, sizeof *encoder->recent);
    encoder->match = pcre2_match_data_create(1, NULL);
    encoder->limits = pcre2_match_context_create(NULL);
    if (!encoder->recent || !encoder->match || !encoder->limits)
        return upg_fail_memory(err, "the tokenizer",
                               sizeof *encoder->recent << encoder->log2_recent);
    /* All known patterns look at a character a bounded number of times, so a limit on steps would
     * only refuse long texts. */
    pcre2_set_match_limit(encoder->limits, UINT32_MAX);
    return UPG_OK;
}

static void encoder_clear(struct encoder *encoder)
{
    free(encoder->recent);
    pcre2_match_data_free(encoder->match);
    pcre2_match_context_free(encoder->limits);
    upg_merge_scratch_clear(&encoder->scratch);
}

/* Append the ids that are remembered for a pre-token. */
static upg_status repeat(struct encoder *encoder, const struct recent *recent, upg_error *err)
{
    int32_t ids[MAX_RECENT_IDS]; /* a copy: growing the list moves it */

    if (recent->n_ids == 0) /* bytes without a token: there may be no list yet */
        return UPG_OK;
    memcpy(ids, encoder->out->ids + recent->first, recent->n_ids * sizeof *ids);
    return upg_tokens_append(encoder->out, ids, recent->n_ids, err);
}

/* Append the ids of the pre-token text[begin .. begin + n). */
static upg_status encode_word(struct encoder *encoder, size_t begin, size_t n, upg_error *err)
{
    const upg_tokenizer *tokenizer = encoder->tokenizer;
    const char *bytes = encoder->text + begin;
    const size_t first = encoder->out->n;
    struct recent *recent = &encoder->recent[XXH3_64bits(bytes, n) >> (64 - encoder->log2_recent)];
    upg_status status = UPG_OK;
    int32_t id = -1;

    if (recent->n == n && memcmp(encoder->text + recent->begin, bytes, n) == 0)
        return repeat(encoder, recent, err);
    if (tokenizer->ignore_merges)
        id = upg_token_index_find(&tokenizer->index, tokenizer, bytes, n);
    if (id >= 0)
        status = upg_tokens_append(encoder->out, &id, 1, err);
    else
        status = upg_merge_bytes(&tokenizer->pairs, tokenizer->byte_ids, bytes, n,
                                 &encoder->scratch, encoder->out, err);
    if (status == UPG_OK && encoder->out->n - first <= MAX_RECENT_IDS)
        *recent = (struct recent){.begin = begin,
                                  .first = first,
                                  .n = (uint32_t)n,
                                  .n_ids = (uint32_t)(encoder->out->n - first)};
    return status;
}

/* Length of the pre-token at text[at .. n), which is valid UTF-8; the pattern has one for every
 * text. */
static upg_status match_word(struct encoder *encoder, size_t begin, size_t at, size_t end,
                             size_t *n_word, upg_error *err)
{
    const PCRE2_SPTR subject = (PCRE2_SPTR)encoder->text + begin;
    const pcre2_code *regex = encoder->tokenizer->regex;
    int code = pcre2_match(regex, subject, end - begin, at - begin, PCRE2_NO_UTF_CHECK,
                           encoder->match, encoder->limits);

    if (code == PCRE2_ERROR_JIT_STACKLIMIT)
        code = pcre2_match(regex, subject, end - begin, at - begin,
                           PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, encoder->match, encoder->limits);
    if (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAPLIMIT)
        return upg_fail_memory(err, "matching the pre-tokenizer's pattern", end - at);
    if (code < 0)
        return upg_fail(err, UPG_ERR_INTERNAL, "pattern %s: PCRE2 error %d at byte %zu of the text",
                        encoder->tokenizer->pattern->name, code, at);
    *n_word = pcre2_get_ovector_pointer(encoder->match)[1] - (at - begin);
    return UPG_OK;
}

/* End of the valid UTF-8 that begins at text[begin]. */
static size_t valid_end(const char *text, size_t begin, size_t end)
{
    size_t i = begin;

    for (;;) {
        uint64_t eight;
        size_t length;
        while (end - i >= 8) {
            memcpy(&eight, text + i, 8);
            if (eight & 0x8080808080808080u)
                break;
            i += 8;
        }
        length = upg_utf8_next(text + i, end - i, NULL);
        if (length == 0)
            return i;
        i += length;
    }
}

/* Append the ids of text[begin .. end), in which no added token is looked for. */
static upg_status encode_plain(struct encoder *encoder, size_t begin, size_t end, upg_error *err)
{
    upg_status status = UPG_OK;

    while (begin < end && status == UPG_OK) {
        const size_t stop = valid_end(encoder->text, begin, end);
        size_t n_word = 0;

        for (size_t at = begin; at < stop && status == UPG_OK; at += n_word) {
            status = match_word(encoder, begin, at, stop, &n_word, err);
            if (status == UPG_OK)
                status = encode_word(encoder, at, n_word, err);
        }
        begin = stop;
        if (begin < end && status == UPG_OK) {
            const unsigned char byte = (unsigned char)encoder->text[begin++];
            const int32_t id = encoder->tokenizer->byte_ids[byte];
            status = upg_tokens_append(encoder->out, &id, id >= 0, err);
        }
    }
    return status;
}

/* Added tokens swallow white space as their flags say, but none that an earlier one has taken. */
static upg_status encode_with_added(struct encoder *encoder, size_t n, upg_error *err)
{
    const struct upg_added_set *added = &encoder->tokenizer->added;
    struct upg_added_match match;
    size_t begin = 0; /* of the text that is not encoded yet */
    upg_status status = UPG_OK;

    for (size_t at = 0; status == UPG_OK && upg_added_next(added, encoder->text, at, n, &match);
         at = match.end) {
        size_t stop = match.begin, after = match.end;

        if (match.token->flags & UPG_ADDED_LSTRIP && stop > begin)
            stop -= upg_trailing_space(encoder->text + begin, stop - begin);
        if (match.token->flags & UPG_ADDED_RSTRIP)
            after += upg_leading_space(encoder->text + after, n - after);
        if (stop > begin)
            status = encode_plain(encoder, begin, stop, err);
        if (status == UPG_OK)
            status = upg_tokens_append(encoder->out, &match.token->id, 1, err);
        begin = after;
    }
    return status == UPG_OK && begin < n ? encode_plain(encoder, begin, n, err) : status;
}

upg_status upg_tokenize(const upg_tokenizer *tokenizer, const char *text, size_t n_bytes, int flags,
                        upg_tokens *tokens, upg_error *err)
{
    const size_t n_before = tokens->n;
    struct encoder encoder;
    upg_status status;

    if (flags & ~UPG_TEXT_PARSE_SPECIAL)
        return upg_fail(err, UPG_ERR_ARGUMENT, "upg_tokenize: flags: %d is not known", flags);
    if (n_bytes > MAX_TEXT_BYTES)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "the text has %zu bytes; at most %zu are tokenized at once", n_bytes,
                        MAX_TEXT_BYTES);
    status = encoder_init(&encoder, tokenizer, text, n_bytes, tokens, err);
    if (status == UPG_OK && flags & UPG_TEXT_PARSE_SPECIAL)
        status = encode_with_added(&encoder, n_bytes, err);
    else if (status == UPG_OK)
        status = encode_plain(&encoder, 0, n_bytes, err);
    encoder_clear(&encoder);
    if (status != UPG_OK)
        tokens->n = n_before;
    return status;
}
