/* char_set.h -- sets of Unicode characters, and the bytes that they are written with. */
#ifndef UPG_CONSTRAIN_CHAR_SET_H
#define UPG_CONSTRAIN_CHAR_SET_H

#include "constrain/expression.h"

#define UPG_MAX_CHAR 0x10FFFFu

struct upg_char_range {
    uint32_t first, last; /* both in it */
};

/* Start from {0}.  Surrogates (U+D800 .. U+DFFF) are no characters: they are never written. */
struct upg_char_set {
    struct upg_char_range *ranges; /* [n] owned; after upg_char_set_sort() in order and apart */
    size_t n, capacity;
};

void upg_char_set_clear(struct upg_char_set *set);
bool upg_char_set_add(struct upg_char_set *set, uint32_t first, uint32_t last); /* false: memory */
bool upg_char_set_add_all(struct upg_char_set *set, const struct upg_char_set *more);
void upg_char_set_sort(struct upg_char_set *set);
bool upg_char_set_invert(struct upg_char_set *set);

/* Add the characters of a general category: a name like "L" or "Lu" of n letters.  *known tells
 * whether there is such a category. */
bool upg_char_set_add_category(struct upg_char_set *set, const char *name, size_t n, bool *known);

/* One character of a sorted set in UTF-8. */
upg_expr upg_char_set_utf8(struct upg_exprs *x, const struct upg_char_set *set);

/* One character of a sorted set inside a JSON string: as it is, by a short escape, or by \u
 * escapes, in pairs where there must be two.  Printable ASCII is never written by \u: nothing
 * sensible does so, and a model that may will. */
upg_expr upg_char_set_json(struct upg_exprs *x, const struct upg_char_set *set);

#endif
