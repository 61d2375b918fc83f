/* token_index.c -- tokens by their bytes, and merges as files spell them. */
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { MAX_PROBES = 512 }; /* random keys in a half full table: runs under 60 */

static size_t index_slot(const struct upg_token_index *index, const char *bytes, size_t n)
{
    return (size_t)(XXH3_64bits(bytes, n) >> (64 - index->log2_slots));
}

/* The slot that holds the token of these bytes, or the free one where it belongs. */
static int32_t *find_slot(const struct upg_token_index *index, const upg_tokenizer *tokenizer,
                          const char *bytes, size_t n)
{
    const size_t mask = ((size_t)1 << index->log2_slots) - 1;

    for (size_t i = index_slot(index, bytes, n);; i = (i + 1) & mask) {
        const int32_t id = index->slots[i];
        if (id < 0 ||
            (tokenizer->tokens[id].n == n && memcmp(tokenizer->tokens[id].bytes, bytes, n) == 0))
            return &index->slots[i];
    }
}

/* Enter a token; the lowest id of equal bytes stays.  false if it ends far from where it belongs. */
static bool add(struct upg_token_index *index, const upg_tokenizer *tokenizer, size_t id)
{
    const struct upg_token *token = &tokenizer->tokens[id];
    const size_t mask = ((size_t)1 << index->log2_slots) - 1;
    int32_t *slot = find_slot(index, tokenizer, token->bytes, token->n);
    const size_t place = (size_t)(slot - index->slots);

    if (*slot < 0)
        *slot = (int32_t)id;
    return ((place - index_slot(index, token->bytes, token->n)) & mask) <= MAX_PROBES;
}

upg_status upg_token_index_init(struct upg_token_index *index, const upg_tokenizer *tokenizer,
                                const char *where, upg_error *err)
{
    size_t n_bytes;

    index->log2_slots = 4;
    while (((size_t)1 << index->log2_slots) / 2 < tokenizer->n_ids)
        index->log2_slots++;
    n_bytes = sizeof *index->slots << index->log2_slots;
    index->slots = malloc(n_bytes);
    if (!index->slots)
        return upg_fail_memory(err, "the index of tokens", n_bytes);
    memset(index->slots, 0xFF, n_bytes);
    for (size_t id = 0; id < tokenizer->n_ids; id++)
        if (tokenizer->tokens[id].kind & UPG_TOKEN_BASE && !add(index, tokenizer, id))
            return upg_fail(err, UPG_ERR_FORMAT,
                            "%s: vocabulary: more than %d tokens share a place in the table; no "
                            "training gives such tokens",
                            where, MAX_PROBES);
    return UPG_OK;
}

void upg_token_index_clear(struct upg_token_index *index)
{
    free(index->slots);
    index->slots = NULL;
}

int32_t upg_token_index_find(const struct upg_token_index *index, const upg_tokenizer *tokenizer,
                             const char *bytes, size_t n)
{
    return *find_slot(index, tokenizer, bytes, n);
}

upg_status upg_tokenizer_set_spelled(upg_tokenizer *tokenizer, const char *where, size_t id,
                                     const char *text, size_t n, upg_error *err)
{
    char bytes[2 * UPG_MAX_TOKEN_BYTES]; /* a character of the alphabet has at most two bytes */
    size_t n_bytes;

    if (n <= sizeof bytes && upg_bytes_from_spelling(text, n, bytes, &n_bytes))
        return upg_tokenizer_set_token(tokenizer, where, id, bytes, n_bytes, err);
    return upg_tokenizer_set_token(tokenizer, where, id, text, n, err);
}

bool upg_merge_of_spellings(const struct upg_token_index *index, const upg_tokenizer *tokenizer,
                            struct upg_text_span left, struct upg_text_span right,
                            struct upg_merge *merge)
{
    char bytes[4 * UPG_MAX_TOKEN_BYTES];
    size_t n_left, n_right;

    if (left.n > sizeof bytes / 2 || right.n > sizeof bytes / 2 ||
        !upg_bytes_from_spelling(left.text, left.n, bytes, &n_left) ||
        !upg_bytes_from_spelling(right.text, right.n, bytes + n_left, &n_right))
        return false;
    merge->left = upg_token_index_find(index, tokenizer, bytes, n_left);
    merge->right = upg_token_index_find(index, tokenizer, bytes + n_left, n_right);
    merge->result = upg_token_index_find(index, tokenizer, bytes, n_left + n_right);
    return merge->left >= 0 && merge->right >= 0 && merge->result >= 0;
}

bool upg_merge_of_text(const struct upg_token_index *index, const upg_tokenizer *tokenizer,
                       struct upg_text_span text, struct upg_merge *merge)
{
    const char *space = text.n > 0 ? memchr(text.text, ' ', text.n) : NULL;
    struct upg_text_span left, right;

    if (!space)
        return false;
    left = (struct upg_text_span){text.text, (size_t)(space - text.text)};
    right = (struct upg_text_span){space + 1, text.n - left.n - 1};
    return upg_merge_of_spellings(index, tokenizer, left, right, merge);
}
