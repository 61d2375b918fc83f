/* added.c -- matching added tokens in a sorted list.
 *
 * Reading on from a position narrows the range of tokens that still agree; the last one that was
 * whole is the longest.  The first byte is looked up directly, so text without such bytes costs one
 * load a byte. */
#include "text/added.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *left, const void *right)
{
    const struct upg_added *a = left, *b = right;
    const int order = memcmp(a->text, b->text, a->n < b->n ? a->n : b->n);

    return order != 0 ? order : (a->n > b->n) - (a->n < b->n);
}

upg_status upg_added_set_init(struct upg_added_set *set, const char *where, upg_error *err)
{
    if (set->n > 0)
        qsort(set->tokens, set->n, sizeof *set->tokens, compare);
    memset(set->first, 0, sizeof set->first);
    for (size_t i = 0; i < set->n; i++) {
        const struct upg_added *token = &set->tokens[i];
        if (i > 0 && compare(token - 1, token) == 0)
            return upg_fail(err, UPG_ERR_FORMAT, "%s: added_tokens: \"%.*s\" is there twice", where,
                            (int)(token->n < 100 ? token->n : 100), token->text);
        set->first[(unsigned char)token->text[0] + 1]++;
    }
    for (size_t b = 0; b < 256; b++)
        set->first[b + 1] += set->first[b];
    return UPG_OK;
}

/* First of tokens[low .. high), which agree before `depth` and go beyond it, whose byte there is at
 * least `byte`. */
static size_t first_at_least(const struct upg_added *tokens, size_t low, size_t high, size_t depth,
                             unsigned byte)
{
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if ((unsigned char)tokens[middle].text[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token that text[n] begins with; NULL if there is none. */
static const struct upg_added *match_here(const struct upg_added_set *set, const char *text,
                                          size_t n)
{
    unsigned byte = (unsigned char)text[0];
    size_t low = set->first[byte], high = set->first[byte + 1];
    const struct upg_added *longest = NULL;

    /* Invariant: tokens[low .. high) are those that begin with text[0 .. depth). */
    for (size_t depth = 1; low < high; depth++) {
        if (set->tokens[low].n == depth)
            longest = &set->tokens[low++];
        if (depth == n)
            break;
        byte = (unsigned char)text[depth];
        low = first_at_least(set->tokens, low, high, depth, byte);
        high = first_at_least(set->tokens, low, high, depth, byte + 1);
    }
    return longest;
}

bool upg_added_next(const struct upg_added_set *set, const char *text, size_t from, size_t n,
                    struct upg_added_match *match)
{
    for (size_t i = from; i < n; i++) {
        const unsigned char byte = (unsigned char)text[i];
        if (set->first[byte] == set->first[byte + 1])
            continue;
        match->token = match_here(set, text + i, n - i);
        if (match->token) {
            match->begin = i;
            match->end = i + match->token->n;
            return true;
        }
    }
    return false;
}

const struct upg_added *upg_added_find(const struct upg_added_set *set, const char *text, size_t n)
{
    const struct upg_added key = {.text = text, .n = n};

    if (n == 0 || set->n == 0)
        return NULL;
    return bsearch(&key, set->tokens, set->n, sizeof *set->tokens, compare);
}

/* The Unicode property White_Space. */
static bool is_space(uint32_t code)
{
    return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

size_t upg_leading_space(const char *text, size_t n)
{
    size_t i = 0, length;
    uint32_t code;

    while ((length = upg_utf8_next(text + i, n - i, &code)) > 0 && is_space(code))
        i += length;
    return i;
}

size_t upg_trailing_space(const char *text, size_t n)
{
    size_t end = n;

    while (end > 0) {
        size_t begin = end - 1;
        uint32_t code;
        while (begin > 0 && end - begin < 4 && ((unsigned char)text[begin] & 0xC0) == 0x80)
            begin--;
        if (upg_utf8_next(text + begin, end - begin, &code) != end - begin || !is_space(code))
            break;
        end = begin;
    }
    return n - end;
}
