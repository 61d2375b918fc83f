/* pattern.c -- the table of patterns.
 *
 * The expressions are those of tiktoken (cl100k_base, o200k_base) and of GPT-2's encoder, as they
 * stand in published tokenizer.json files.  In them \s is the Unicode property White_Space. PCRE2's
 * own \s also takes U+180E, so the expressions for PCRE2 spell the property out. */
#include "text/pattern.h"

#include <string.h>

#define SPACE                                                                                      \
    "\\x{09}-\\x{0D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}"  \
    "\\x{205F}\\x{3000}"
#define SPACES_PCRE "[" SPACE "]*[\\r\\n]+|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"
#define SUFFIX "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"

#define CL100K_WORDS SUFFIX "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
#define O200K_WORDS                                                                                \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" SUFFIX "?|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER \
    "*" SUFFIX "?|\\p{N}{1,3}|"
#define GPT2_WORDS "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+|"

static const struct upg_pattern patterns[] = {
    {"cl100k", UPG_PATTERN_SPLIT,
     CL100K_WORDS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", "dbrx",
     CL100K_WORDS " ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n]*|" SPACES_PCRE},
    {"o200k", UPG_PATTERN_SPLIT,
     O200K_WORDS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", "gpt-4o",
     O200K_WORDS " ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES_PCRE},
    {"gpt-2", UPG_PATTERN_BYTE_LEVEL, NULL, "gpt-2",
     GPT2_WORDS " ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"},
    /* Digits stand alone and end the piece before them, so spaces in front of a digit stay whole as
     * they do at the end of a text. */
    {"smollm", UPG_PATTERN_DIGITS_BYTE_LEVEL, NULL, "smollm",
     GPT2_WORDS "\\p{N}| ?[^" SPACE "\\p{L}\\p{N}]+|[" SPACE "]+(?![^" SPACE "\\p{N}])|[" SPACE
                "]+"},
};

enum { N_PATTERNS = sizeof patterns / sizeof patterns[0] };

/* All that is read.  tiktoken's present cl100k, with possessive quantifiers, is not here: it keeps
 * a newline and the spaces after it together at the end of a text. */
static const struct {
    const char *name, *regex;
} spellings[] = {
    {"cl100k", CL100K_WORDS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
    {"o200k", O200K_WORDS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
    {"gpt-2", GPT2_WORDS " ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"},
    {"gpt-2",
     "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s"},
};

enum { N_SPELLINGS = sizeof spellings / sizeof spellings[0] };

const struct upg_pattern *upg_pattern_find(const char *name)
{
    for (size_t i = 0; i < N_PATTERNS; i++)
        if (strcmp(patterns[i].name, name) == 0)
            return &patterns[i];
    return NULL;
}

const struct upg_pattern *upg_pattern_of_form(enum upg_pattern_form form)
{
    for (size_t i = 0; i < N_PATTERNS; i++)
        if (patterns[i].form == form)
            return &patterns[i];
    return NULL;
}

const char *upg_pattern_spelling(size_t i, const struct upg_pattern **pattern)
{
    if (i >= N_SPELLINGS)
        return NULL;
    *pattern = upg_pattern_find(spellings[i].name);
    return spellings[i].regex;
}

const struct upg_pattern *upg_pattern_of_regex(const char *regex, size_t n)
{
    for (size_t i = 0; i < N_SPELLINGS; i++)
        if (strlen(spellings[i].regex) == n && memcmp(spellings[i].regex, regex, n) == 0)
            return upg_pattern_find(spellings[i].name);
    return NULL;
}

const struct upg_pattern *upg_pattern_of_gguf(const char *pre, bool *ignore_merges)
{
    *ignore_merges = strcmp(pre, "llama-bpe") == 0;
    if (*ignore_merges)
        return upg_pattern_find("cl100k");
    for (size_t i = 0; i < N_PATTERNS; i++)
        if (strcmp(patterns[i].gguf_name, pre) == 0)
            return &patterns[i];
    return NULL;
}
