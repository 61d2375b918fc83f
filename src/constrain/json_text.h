/* json_text.h -- texts inside JSON strings, in all spellings that upg_char_set_json() has. */
#ifndef UPG_CONSTRAIN_JSON_TEXT_H
#define UPG_CONSTRAIN_JSON_TEXT_H

#include "constrain/expression.h"

/* All spellings of the UTF-8 text[n], without quotes. */
upg_expr upg_json_spell(struct upg_exprs *x, const char *text, size_t n);

/* The same of a text that is itself spelled as in a JSON string, without quotes. */
upg_expr upg_json_respell(struct upg_exprs *x, const char *spelled, size_t n);

/* All spellings of any one character. */
upg_expr upg_json_any_char(struct upg_exprs *x);

#endif
