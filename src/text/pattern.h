/* pattern.h -- the pre-tokenizer patterns that upg knows.
 *
 * Before BPE a text is cut into pre-tokens by a regular expression; merges never cross a cut.
 * Files name the expression or spell it out.  Both are looked up here, and what is not found is
 * refused: another pattern gives text that still looks right and numbers that are a little wrong.
 */
#ifndef UPG_TEXT_PATTERN_H
#define UPG_TEXT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* How tokenizer.json expresses a pattern. */
enum upg_pattern_form {
    UPG_PATTERN_SPLIT,            /* Split(regex), ByteLevel(use_regex false) */
    UPG_PATTERN_BYTE_LEVEL,       /* ByteLevel(use_regex true): GPT-2's expression is built in */
    UPG_PATTERN_DIGITS_BYTE_LEVEL /* Digits(individual_digits true), ByteLevel(use_regex true) */
};

struct upg_pattern {
    const char *name; /* upg's own, in packed files and messages */
    enum upg_pattern_form form;
    const char *regex;     /* as tokenizer.json spells it; NULL unless the form is SPLIT */
    const char *gguf_name; /* tokenizer.ggml.pre */
    const char *pcre;      /* the same for PCRE2 with UTF and UCP */
};

/* Each returns NULL if there is none. */
const struct upg_pattern *upg_pattern_find(const char *name);
const struct upg_pattern *upg_pattern_of_form(enum upg_pattern_form form);

/* regex[n]: any spelling that is known to cut every text alike. */
const struct upg_pattern *upg_pattern_of_regex(const char *regex, size_t n);

/* *ignore_merges: files of this name look a whole pre-token up before they merge. */
const struct upg_pattern *upg_pattern_of_gguf(const char *pre, bool *ignore_merges);

/* Every spelling that upg_pattern_of_regex() knows; NULL from i = their number on. */
const char *upg_pattern_spelling(size_t i, const struct upg_pattern **pattern);

#endif
