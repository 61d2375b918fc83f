/* char_set.c -- ranges of characters become ranges of bytes.
 *
 * A range of numbers that are written with the same number of digits is a union of a few
 * products of digit ranges: those that share the first digit of the lower end, those between,
 * and those that share the first digit of the upper end.  UTF-8 bytes, hexadecimal digits and
 * surrogates all are digits in this sense. */
#include "constrain/char_set.h"

#include "base/utf8.h"
#include "constrain/grow.h"

#include <assert.h>
#include <string.h>
#include <utf8proc.h>

enum { FIRST_SURROGATE = 0xD800, LAST_SURROGATE = 0xDFFF };

void upg_char_set_clear(struct upg_char_set *set)
{
    free(set->ranges);
    *set = (struct upg_char_set){0};
}

bool upg_char_set_add(struct upg_char_set *set, uint32_t first, uint32_t last)
{
    struct upg_char_range *ranges =
        upg_grow(set->ranges, &set->capacity, set->n + 1, sizeof *ranges);

    if (!ranges)
        return false;
    set->ranges = ranges;
    ranges[set->n++] = (struct upg_char_range){first, last};
    return true;
}

bool upg_char_set_add_all(struct upg_char_set *set, const struct upg_char_set *more)
{
    bool added = true;

    for (size_t i = 0; i < more->n && added; i++)
        added = upg_char_set_add(set, more->ranges[i].first, more->ranges[i].last);
    return added;
}

static int compare_ranges(const void *p, const void *q)
{
    const struct upg_char_range *a = p, *b = q;

    return a->first < b->first ? -1 : a->first > b->first;
}

void upg_char_set_sort(struct upg_char_set *set)
{
    size_t n = 0;

    if (set->n > 1)
        qsort(set->ranges, set->n, sizeof *set->ranges, compare_ranges);
    for (size_t i = 0; i < set->n; i++) {
        const struct upg_char_range range = set->ranges[i];

        if (n > 0 && range.first <= set->ranges[n - 1].last + 1) {
            if (range.last > set->ranges[n - 1].last)
                set->ranges[n - 1].last = range.last;
        } else {
            set->ranges[n++] = range;
        }
    }
    set->n = n;
}

bool upg_char_set_invert(struct upg_char_set *set)
{
    struct upg_char_set inverse = {0};
    uint32_t next = 0;
    bool added = true;

    upg_char_set_sort(set);
    for (size_t i = 0; i < set->n && added; i++) {
        if (set->ranges[i].first > next)
            added = upg_char_set_add(&inverse, next, set->ranges[i].first - 1);
        next = set->ranges[i].last + 1;
    }
    if (added && next <= UPG_MAX_CHAR)
        added = upg_char_set_add(&inverse, next, UPG_MAX_CHAR);
    if (!added) {
        upg_char_set_clear(&inverse);
        return false;
    }
    upg_char_set_clear(set);
    *set = inverse;
    return true;
}

/* A bit for each general category whose name begins with name[n]. */
static uint32_t category_bits(const char *name, size_t n)
{
    static const char names[][3] = {"Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd",
                                    "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
                                    "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co"};
    uint32_t bits = 0;

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(names[i], name, n) == 0)
            bits |= 1u << i; /* the order is that of utf8proc_category_t */
    return bits;
}

bool upg_char_set_add_category(struct upg_char_set *set, const char *name, size_t n, bool *known)
{
    const uint32_t bits = category_bits(name, n);
    const size_t begin = set->n;
    bool added = true;

    *known = bits != 0;
    for (uint32_t c = 0; c <= UPG_MAX_CHAR && added && bits; c++) {
        if (!(bits >> utf8proc_category((utf8proc_int32_t)c) & 1))
            continue;
        if (set->n > begin && set->ranges[set->n - 1].last + 1 == c)
            set->ranges[set->n - 1].last = c;
        else
            added = upg_char_set_add(set, c, c);
    }
    return added;
}

/* How a number is written: digits of min .. max (for the first digit they are not used), each as an
 * expression of a range of digits. */
struct writing {
    unsigned min, max;
    upg_expr (*range)(struct upg_exprs *x, unsigned first, unsigned last);
};

static upg_expr any_digits(struct upg_exprs *x, const struct writing *w, size_t n)
{
    return upg_expr_repeat(x, w->range(x, w->min, w->max), (uint32_t)n, (uint32_t)n);
}

static bool all_are(const unsigned *digits, size_t n, unsigned value)
{
    for (size_t i = 0; i < n; i++)
        if (digits[i] != value)
            return false;
    return true;
}

/* The numbers low[n] .. high[n], n >= 1. */
static upg_expr write_range(struct upg_exprs *x, const struct writing *w, const unsigned *low,
                            const unsigned *high, size_t n)
{
    unsigned first = low[0], last = high[0], min[4], max[4];
    upg_expr parts[3] = {UPG_EXPR_NONE, UPG_EXPR_NONE, UPG_EXPR_NONE};

    if (n == 1)
        return w->range(x, first, last);
    if (first == last)
        return upg_expr_concat(x, w->range(x, first, first),
                               write_range(x, w, low + 1, high + 1, n - 1));
    for (size_t i = 0; i < n; i++) {
        min[i] = w->min;
        max[i] = w->max;
    }
    if (!all_are(low + 1, n - 1, w->min)) {
        parts[0] =
            upg_expr_concat(x, w->range(x, first, first), write_range(x, w, low + 1, max, n - 1));
        first++;
    }
    if (!all_are(high + 1, n - 1, w->max)) {
        parts[1] =
            upg_expr_concat(x, w->range(x, last, last), write_range(x, w, min, high + 1, n - 1));
        last--;
    }
    if (first <= last)
        parts[2] = upg_expr_concat(x, w->range(x, first, last), any_digits(x, w, n - 1));
    return upg_expr_or(x, parts, 3);
}

static const struct writing continuation_bytes = {0x80, 0xBF, upg_expr_range};

/* Characters first .. last, which take the same number of bytes. */
static upg_expr utf8_range(struct upg_exprs *x, uint32_t first, uint32_t last)
{
    unsigned low[4], high[4];
    char bytes[4];
    const size_t n = upg_utf8_put(bytes, first);

    for (size_t i = 0; i < n; i++)
        low[i] = (unsigned char)bytes[i];
    const size_t n_last = upg_utf8_put(bytes, last);
    assert(n >= 1 && n == n_last);
    for (size_t i = 0; i < n_last; i++)
        high[i] = (unsigned char)bytes[i];
    return write_range(x, &continuation_bytes, low, high, n);
}

/* One hexadecimal digit. */
static upg_expr hex_range(struct upg_exprs *x, unsigned first, unsigned last)
{
    static const char digits[2][17] = {"0123456789abcdef", "0123456789ABCDEF"};
    struct upg_byte_set set = {{0}};

    for (unsigned d = first; d <= last; d++)
        for (size_t i = 0; i < 2; i++)
            upg_byte_set_add(&set, (unsigned char)digits[i][d], (unsigned char)digits[i][d]);
    return upg_expr_set(x, &set);
}

static const struct writing hex_digits = {0, 15, hex_range};

/* \uXXXX of the code units first .. last. */
static upg_expr escape_range(struct upg_exprs *x, unsigned first, unsigned last)
{
    unsigned low[4], high[4];

    for (unsigned i = 0; i < 4; i++) {
        low[i] = first >> (12 - 4 * i) & 15;
        high[i] = last >> (12 - 4 * i) & 15;
    }
    return upg_expr_concat(x, upg_expr_text(x, "\\u", 2),
                           write_range(x, &hex_digits, low, high, 4));
}

static const struct writing surrogates = {0xDC00, 0xDFFF, escape_range};

/* Pairs of \uXXXX of the characters first .. last, all beyond U+FFFF. */
static upg_expr pair_range(struct upg_exprs *x, uint32_t first, uint32_t last)
{
    const unsigned low[2] = {0xD800 + ((first - 0x10000) >> 10), 0xDC00 + (first & 0x3FF)};
    const unsigned high[2] = {0xD800 + ((last - 0x10000) >> 10), 0xDC00 + (last & 0x3FF)};

    return write_range(x, &surrogates, low, high, 2);
}

/* Parts of the set between the bounds, written by `write`. */
static upg_expr write_part(struct upg_exprs *x, const struct upg_char_set *set, uint32_t first,
                           uint32_t last,
                           upg_expr (*write)(struct upg_exprs *x, uint32_t first, uint32_t last))
{
    upg_expr *list = malloc(set->n * sizeof *list + 1), e;
    size_t n = 0;

    if (!list) {
        x->failed = UPG_ERR_MEMORY;
        return UPG_EXPR_NONE;
    }
    for (size_t i = 0; i < set->n; i++) {
        const uint32_t low = set->ranges[i].first > first ? set->ranges[i].first : first;
        const uint32_t high = set->ranges[i].last < last ? set->ranges[i].last : last;

        if (low <= high)
            list[n++] = write(x, low, high);
    }
    e = upg_expr_or(x, list, n);
    free(list);
    return e;
}

upg_expr upg_char_set_utf8(struct upg_exprs *x, const struct upg_char_set *set)
{
    const upg_expr parts[] = {
        write_part(x, set, 0, 0x7F, utf8_range),
        write_part(x, set, 0x80, 0x7FF, utf8_range),
        write_part(x, set, 0x800, FIRST_SURROGATE - 1, utf8_range),
        write_part(x, set, LAST_SURROGATE + 1, 0xFFFF, utf8_range),
        write_part(x, set, 0x10000, UPG_MAX_CHAR, utf8_range),
    };

    return upg_expr_or(x, parts, sizeof parts / sizeof *parts);
}

static upg_expr escape_range_32(struct upg_exprs *x, uint32_t first, uint32_t last)
{
    return escape_range(x, first, last);
}

/* The short escapes of the set's characters. */
static upg_expr short_escapes(struct upg_exprs *x, const struct upg_char_set *set)
{
    static const char characters[] = "\"\\/\b\f\n\r\t", letters[] = "\"\\/bfnrt";
    struct upg_byte_set bytes = {{0}};

    for (size_t k = 0; k < sizeof letters - 1; k++)
        for (size_t i = 0; i < set->n; i++)
            if (set->ranges[i].first <= (unsigned char)characters[k] &&
                set->ranges[i].last >= (unsigned char)characters[k])
                upg_byte_set_add(&bytes, (unsigned char)letters[k], (unsigned char)letters[k]);
    return upg_expr_concat(x, upg_expr_text(x, "\\", 1), upg_expr_set(x, &bytes));
}

upg_expr upg_char_set_json(struct upg_exprs *x, const struct upg_char_set *set)
{
    const upg_expr parts[] = {
        write_part(x, set, 0x20, '"' - 1, utf8_range), /* as it is: not controls, " and \ */
        write_part(x, set, '"' + 1, '\\' - 1, utf8_range),
        write_part(x, set, '\\' + 1, 0x7F, utf8_range),
        write_part(x, set, 0x80, 0x7FF, utf8_range),
        write_part(x, set, 0x800, FIRST_SURROGATE - 1, utf8_range),
        write_part(x, set, LAST_SURROGATE + 1, 0xFFFF, utf8_range),
        write_part(x, set, 0x10000, UPG_MAX_CHAR, utf8_range),
        short_escapes(x, set),
        write_part(x, set, 0, 0x1F, escape_range_32),
        write_part(x, set, 0x7F, FIRST_SURROGATE - 1, escape_range_32),
        write_part(x, set, LAST_SURROGATE + 1, 0xFFFF, escape_range_32),
        write_part(x, set, 0x10000, UPG_MAX_CHAR, pair_range),
    };

    return upg_expr_or(x, parts, sizeof parts / sizeof *parts);
}
