/* added.h -- added tokens: text that stands for one id and is cut out before anything else.
 *
 * Control tokens like <|im_end|> are added tokens.  Matching is leftmost, then longest. */
#ifndef UPG_TEXT_ADDED_H
#define UPG_TEXT_ADDED_H

#include "base/error.h"

#include <stdbool.h>

enum {
    UPG_ADDED_SPECIAL = 1,   /* left out when special tokens are skipped in decoding */
    UPG_ADDED_LSTRIP = 2,    /* a match swallows the white space in front of it */
    UPG_ADDED_RSTRIP = 4,    /* and behind it */
    UPG_ADDED_NORMALIZED = 8 /* kept for writing files; without a normalizer it means nothing */
};

struct upg_added {
    const char *text; /* [n] bytes, n >= 1 */
    size_t n;
    int32_t id;
    uint8_t flags; /* UPG_ADDED_* */
};

/* Sorted by bytes, so that tokens that begin alike are neighbours. */
struct upg_added_set {
    struct upg_added *tokens; /* [n] owned by the tokenizer's arena */
    size_t n;
    uint32_t first[257]; /* tokens[first[b] .. first[b + 1]) begin with byte b */
};

/* Sort, index, and refuse a text that is there twice. */
upg_status upg_added_set_init(struct upg_added_set *set, const char *where, upg_error *err);

struct upg_added_match {
    size_t begin, end; /* of the token itself, without stripped white space */
    const struct upg_added *token;
};

/* First match in text[from .. n); false if there is none. */
bool upg_added_next(const struct upg_added_set *set, const char *text, size_t from, size_t n,
                    struct upg_added_match *match);

/* The token that is exactly this text; NULL if there is none. */
const struct upg_added *upg_added_find(const struct upg_added_set *set, const char *text, size_t n);

/* Length of the white space (Unicode White_Space) that text[n] begins or ends with, bytes. */
size_t upg_leading_space(const char *text, size_t n);
size_t upg_trailing_space(const char *text, size_t n);

#endif
