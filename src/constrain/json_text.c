/* json_text.c -- RFC 8259, section 7, in the spellings of upg_char_set_json(). */
#include "constrain/json_text.h"

#include "base/utf8.h"
#include "constrain/char_set.h"

#include <stdlib.h>
#include <string.h>

static upg_expr spell_char(struct upg_exprs *x, uint32_t c)
{
    struct upg_char_range range = {c, c};
    const struct upg_char_set set = {.ranges = &range, .n = 1};

    return upg_char_set_json(x, &set);
}

upg_expr upg_json_any_char(struct upg_exprs *x)
{
    struct upg_char_range range = {0, UPG_MAX_CHAR};
    const struct upg_char_set set = {.ranges = &range, .n = 1};

    return upg_char_set_json(x, &set);
}

/* From the last character to the first, so that each concatenation is one new node. */
static upg_expr spell_chars(struct upg_exprs *x, const uint32_t *chars, size_t n)
{
    upg_expr e = UPG_EXPR_EPSILON;

    while (n > 0)
        e = upg_expr_concat(x, spell_char(x, chars[--n]), e);
    return e;
}

upg_expr upg_json_spell(struct upg_exprs *x, const char *text, size_t n)
{
    uint32_t *chars = malloc(n * sizeof *chars + 1);
    size_t n_chars = 0;
    upg_expr e;

    if (!chars) {
        x->failed = UPG_ERR_MEMORY;
        return UPG_EXPR_NONE;
    }
    for (size_t i = 0, length; i < n && (length = upg_utf8_next(text + i, n - i, &chars[n_chars]));
         i += length)
        n_chars++;
    e = spell_chars(x, chars, n_chars);
    free(chars);
    return e;
}

static uint32_t read_hex(const char *digits)
{
    uint32_t value = 0;

    for (size_t i = 0; i < 4; i++) {
        const char d = digits[i];
        value = value << 4 | (uint32_t)(d <= '9' ? d - '0' : (d | 0x20) - 'a' + 10);
    }
    return value;
}

/* One character of a text that is known to be spelled correctly; returns its bytes. */
static size_t read_spelled(const char *spelled, size_t n, uint32_t *c)
{
    static const char characters[] = "\"\\/\b\f\n\r\t", letters[] = "\"\\/bfnrt";
    const char *letter;

    if (spelled[0] != '\\')
        return upg_utf8_next(spelled, n, c);
    letter = strchr(letters, spelled[1]);
    if (letter) {
        *c = (unsigned char)characters[letter - letters];
        return 2;
    }
    *c = read_hex(spelled + 2);
    if (*c < 0xD800 || *c > 0xDFFF)
        return 6;
    *c = 0x10000 + ((*c - 0xD800) << 10) + (read_hex(spelled + 8) - 0xDC00);
    return 12;
}

upg_expr upg_json_respell(struct upg_exprs *x, const char *spelled, size_t n)
{
    uint32_t *chars = malloc(n * sizeof *chars + 1);
    size_t n_chars = 0;
    upg_expr e;

    if (!chars) {
        x->failed = UPG_ERR_MEMORY;
        return UPG_EXPR_NONE;
    }
    for (size_t i = 0; i < n;)
        i += read_spelled(spelled + i, n - i, &chars[n_chars++]);
    e = spell_chars(x, chars, n_chars);
    free(chars);
    return e;
}
