/* pattern.h -- ECMAScript patterns (ECMA-262, section 22.2, with the u flag) as expressions.
 *
 * Not regular, and refused: back-references, look-behind, word boundaries.  Look-ahead is regular:
 * it is an intersection with what follows, so it works wherever it is not repeated. */
#ifndef UPG_CONSTRAIN_PATTERN_H
#define UPG_CONSTRAIN_PATTERN_H

#include "constrain/expression.h"

/* Texts in UTF-8 that the pattern matches as a whole.  ^ and $ are allowed where they change
 * nothing.  `where` begins messages. */
upg_status upg_pattern_whole(struct upg_exprs *x, const char *where, const char *text, size_t n,
                             upg_expr *e, upg_error *err);

/* JSON strings, in all spellings and with both quotes, in which the pattern matches somewhere.  The
 * expression is to be intersected with that of any string, unless *is_exact: then it has nothing
 * but strings already. */
upg_status upg_pattern_search(struct upg_exprs *x, const char *where, const char *text, size_t n,
                              upg_expr *e, bool *is_exact, upg_error *err);

#endif
