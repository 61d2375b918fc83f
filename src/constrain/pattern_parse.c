/* pattern_parse.c -- a parser by recursive descent: choice, sequence, repetition, atom. */
#include "base/utf8.h"
#include "constrain/grow.h"
#include "constrain/pattern_tree.h"

#include <string.h>

enum { MAX_NESTING = 200, MAX_COUNT = 1 << 30 };

struct parser {
    struct upg_pattern_tree *tree;
    const char *where, *text;
    size_t n, at;
    unsigned nesting;
    upg_error *err;
    upg_status status; /* of the first failure */
};

static uint32_t fail_at(struct parser *p, upg_status status, const char *what)
{
    size_t n = p->n < 200 ? p->n : 200; /* shown, up to a whole character */

    while (n < p->n && n > 0 && ((unsigned char)p->text[n] & 0xC0) == 0x80)
        n--;
    if (p->status == UPG_OK)
        p->status = upg_fail(p->err, status, "%s: at byte %zu of '%.*s': %s", p->where, p->at,
                             (int)n, p->text, what);
    return UPG_NO_ID;
}

static uint32_t fail_parse_memory(struct parser *p)
{
    return fail_at(p, UPG_ERR_MEMORY, "out of memory");
}

static uint32_t add_node(struct parser *p, enum upg_pattern_kind kind)
{
    struct upg_pattern_tree *tree = p->tree;
    struct upg_pattern_node *nodes =
        upg_grow(tree->nodes, &tree->capacity, tree->n + 1, sizeof *nodes);

    if (!nodes)
        return fail_parse_memory(p);
    tree->nodes = nodes;
    nodes[tree->n] = (struct upg_pattern_node){.kind = kind,
                                               .child = UPG_NO_ID,
                                               .next = UPG_NO_ID,
                                               .zero_width = kind >= UPG_PATTERN_START};
    return (uint32_t)tree->n++;
}

static bool at_end(const struct parser *p)
{
    return p->at >= p->n || p->status != UPG_OK;
}

static char peek(const struct parser *p)
{
    return at_end(p) ? '\0' : p->text[p->at];
}

static bool take(struct parser *p, const char *expected)
{
    const size_t n = strlen(expected);

    if (p->status != UPG_OK || p->n - p->at < n || memcmp(p->text + p->at, expected, n) != 0)
        return false;
    p->at += n;
    return true;
}

/* The next character of the pattern. */
static uint32_t take_char(struct parser *p)
{
    uint32_t c = 0;
    const size_t length = at_end(p) ? 0 : upg_utf8_next(p->text + p->at, p->n - p->at, &c);

    if (length == 0)
        fail_at(p, UPG_ERR_FORMAT, "a character is missing or not UTF-8");
    p->at += length;
    return c;
}

static uint32_t take_hex(struct parser *p, size_t n_digits)
{
    uint32_t value = 0;

    for (size_t i = 0; i < n_digits; i++, p->at++) {
        const char c = peek(p), lower = (char)(c | 0x20);

        if (c >= '0' && c <= '9')
            value = value * 16 + (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value * 16 + (uint32_t)(lower - 'a' + 10);
        else {
            fail_at(p, UPG_ERR_FORMAT, "hexadecimal digits are missing");
            return 0;
        }
    }
    return value;
}

/* Behind \u: XXXX, a pair of surrogates, or {X...}. */
static uint32_t take_unicode_escape(struct parser *p)
{
    uint32_t c = 0;

    if (take(p, "{")) {
        size_t n_digits = 0;

        while (n_digits < 7 && p->at + n_digits < p->n && p->text[p->at + n_digits] != '}')
            n_digits++;
        c = n_digits > 0 && n_digits < 7 ? take_hex(p, n_digits) : UPG_MAX_CHAR + 1;
        if (c > UPG_MAX_CHAR || !take(p, "}"))
            fail_at(p, UPG_ERR_FORMAT, "\\u{...} is no character");
        return c;
    }
    c = take_hex(p, 4);
    if (c >= 0xD800 && c <= 0xDBFF && take(p, "\\u")) {
        const uint32_t low = take_hex(p, 4);

        if (low < 0xDC00 || low > 0xDFFF)
            fail_at(p, UPG_ERR_FORMAT, "half a pair of surrogates");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    if (c >= 0xD800 && c <= 0xDFFF)
        fail_at(p, UPG_ERR_UNSUPPORTED, "half a pair of surrogates is no character");
    return c;
}

static void add_ranges(struct parser *p, struct upg_char_set *set,
                       const struct upg_char_range *ranges, size_t n, bool invert)
{
    struct upg_char_set part = {0};
    bool added = true;

    for (size_t i = 0; i < n && added; i++)
        added = upg_char_set_add(&part, ranges[i].first, ranges[i].last);
    if (added && invert)
        added = upg_char_set_invert(&part);
    if (!added || !upg_char_set_add_all(set, &part))
        fail_parse_memory(p);
    upg_char_set_clear(&part);
}

/* \d \w \s and their inverses; false if `letter` is none of them. */
static bool take_class_escape(struct parser *p, char letter, struct upg_char_set *set)
{
    static const struct upg_char_range digits[] = {{'0', '9'}};
    static const struct upg_char_range word[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    static const struct upg_char_range space[] = {
        {'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
        {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};

    switch (letter) {
    case 'd':
    case 'D': add_ranges(p, set, digits, 1, letter == 'D'); return true;
    case 'w':
    case 'W': add_ranges(p, set, word, 4, letter == 'W'); return true;
    case 's':
    case 'S': add_ranges(p, set, space, 10, letter == 'S'); return true;
    default: return false;
    }
}

/* Behind \p or \P: {Lu}, {L}, {Letter}, {gc=L}, {General_Category=Letter}. */
static void take_property(struct parser *p, bool invert, struct upg_char_set *set)
{
    static const char *const names[][2] = {{"Letter", "L"},
                                           {"Lowercase_Letter", "Ll"},
                                           {"Uppercase_Letter", "Lu"},
                                           {"Mark", "M"},
                                           {"Number", "N"},
                                           {"Decimal_Number", "Nd"},
                                           {"digit", "Nd"},
                                           {"Punctuation", "P"},
                                           {"punct", "P"},
                                           {"Symbol", "S"},
                                           {"Separator", "Z"},
                                           {"Space_Separator", "Zs"},
                                           {"Currency_Symbol", "Sc"},
                                           {"Math_Symbol", "Sm"},
                                           {"Control", "Cc"}};
    struct upg_char_set part = {0};
    const char *name, *end;
    size_t n;
    bool known = false;

    if (!take(p, "{") || !(end = memchr(p->text + p->at, '}', p->n - p->at))) {
        fail_at(p, UPG_ERR_FORMAT, "\\p needs {...}");
        return;
    }
    if (!take(p, "gc=") && !take(p, "General_Category="))
        take(p, "");
    name = p->text + p->at;
    n = (size_t)(end - name);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i][0]) == n && memcmp(names[i][0], name, n) == 0) {
            name = names[i][1];
            n = strlen(name);
            break;
        }
    if (n < 1 || n > 2 || !upg_char_set_add_category(&part, name, n, &known) || !known)
        fail_at(p, UPG_ERR_UNSUPPORTED,
                "only general categories are known after \\p, as in \\p{Lu}");
    p->at = (size_t)(end - p->text) + 1;
    if ((invert && !upg_char_set_invert(&part)) || !upg_char_set_add_all(set, &part))
        fail_parse_memory(p);
    upg_char_set_clear(&part);
}

/* An escape for one character, behind the backslash and `letter`. */
static uint32_t take_char_escape(struct parser *p, char letter)
{
    switch (letter) {
    case 't': return '\t';
    case 'n': return '\n';
    case 'v': return '\v';
    case 'f': return '\f';
    case 'r': return '\r';
    case '0':
        if (peek(p) >= '0' && peek(p) <= '9')
            fail_at(p, UPG_ERR_FORMAT, "octal escapes are not allowed");
        return 0;
    case 'x': return take_hex(p, 2);
    case 'u': return take_unicode_escape(p);
    case 'c':
        if ((peek(p) | 0x20) >= 'a' && (peek(p) | 0x20) <= 'z')
            return take_char(p) & 31;
        fail_at(p, UPG_ERR_FORMAT, "\\c needs a letter");
        return 0;
    default: break;
    }
    if ((letter >= '0' && letter <= '9') || (letter | 0x20) == 'k')
        fail_at(p, UPG_ERR_UNSUPPORTED, "back-references are not regular");
    else if (letter == 'b' || letter == 'B')
        fail_at(p, UPG_ERR_UNSUPPORTED, "word boundaries are not supported");
    else if ((unsigned char)letter >= 0x80 || ((letter | 0x20) >= 'a' && (letter | 0x20) <= 'z'))
        fail_at(p, UPG_ERR_FORMAT, "there is no such escape");
    return (unsigned char)letter;
}

/* Behind a backslash.  Fills the set, or gives one character: true.  *c is 0 when there is none. */
static bool take_escape(struct parser *p, struct upg_char_set *set, bool in_class, uint32_t *c)
{
    const char letter = peek(p);

    *c = 0;
    if (at_end(p)) {
        fail_at(p, UPG_ERR_FORMAT, "nothing follows the backslash");
        return true;
    }
    p->at++;
    if (take_class_escape(p, letter, set))
        return false;
    if (letter == 'p' || letter == 'P') {
        take_property(p, letter == 'P', set);
        return false;
    }
    *c = in_class && letter == 'b' ? '\b' : take_char_escape(p, letter);
    return true;
}

/* One end of a range in a class, or a class escape (false). */
static bool take_class_atom(struct parser *p, struct upg_char_set *set, uint32_t *c)
{
    if (take(p, "\\"))
        return take_escape(p, set, true, c);
    *c = take_char(p);
    return true;
}

/* Behind [. */
static uint32_t take_class(struct parser *p)
{
    const uint32_t node = add_node(p, UPG_PATTERN_SET);
    const bool invert = take(p, "^");
    struct upg_char_set set = {0};

    while (p->status == UPG_OK && peek(p) != ']') {
        uint32_t first, last;

        if (at_end(p)) {
            fail_at(p, UPG_ERR_FORMAT, "] is missing");
            break;
        }
        if (!take_class_atom(p, &set, &first))
            continue;
        last = first;
        if (p->at + 1 < p->n && peek(p) == '-' && p->text[p->at + 1] != ']') {
            p->at++;
            if (!take_class_atom(p, &set, &last) || last < first)
                fail_at(p, UPG_ERR_FORMAT, "a range ends before it begins");
        }
        if (!upg_char_set_add(&set, first, last))
            fail_parse_memory(p);
    }
    p->at++;
    if (invert && !upg_char_set_invert(&set))
        fail_parse_memory(p);
    upg_char_set_sort(&set);
    if (node == UPG_NO_ID)
        upg_char_set_clear(&set);
    else
        p->tree->nodes[node].set = set;
    return node;
}

static uint32_t take_choice(struct parser *p);

/* Behind (. */
static uint32_t take_group(struct parser *p)
{
    uint32_t node = UPG_NO_ID, inner;

    if (p->nesting == MAX_NESTING)
        return fail_at(p, UPG_ERR_UNSUPPORTED, "groups nest too deeply");
    if (take(p, "?<=") || take(p, "?<!"))
        return fail_at(p, UPG_ERR_UNSUPPORTED, "look-behind is not supported");
    if (take(p, "?<")) {
        while (!at_end(p) && peek(p) != '>' && peek(p) != ')')
            p->at++;
        if (!take(p, ">"))
            return fail_at(p, UPG_ERR_FORMAT, "a group's name does not end");
    } else if (take(p, "?=")) {
        node = add_node(p, UPG_PATTERN_AHEAD);
    } else if (take(p, "?!")) {
        node = add_node(p, UPG_PATTERN_NOT_AHEAD);
    } else if (!take(p, "?:") && peek(p) == '?') {
        return fail_at(p, UPG_ERR_UNSUPPORTED, "this kind of group is not supported");
    }
    p->nesting++;
    inner = take_choice(p);
    p->nesting--;
    if (p->status == UPG_OK && !take(p, ")"))
        return fail_at(p, UPG_ERR_FORMAT, ") is missing");
    if (p->status != UPG_OK || node == UPG_NO_ID)
        return inner;
    p->tree->nodes[node].child = inner;
    return node;
}

static uint32_t set_node(struct parser *p, uint32_t first, uint32_t last)
{
    const uint32_t node = add_node(p, UPG_PATTERN_SET);

    if (node != UPG_NO_ID && !upg_char_set_add(&p->tree->nodes[node].set, first, last))
        return fail_parse_memory(p);
    return node;
}

/* Behind a dot: any character but the ends of lines. */
static uint32_t dot_node(struct parser *p)
{
    static const struct upg_char_range line_ends[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
    const uint32_t node = add_node(p, UPG_PATTERN_SET);

    if (node != UPG_NO_ID)
        add_ranges(p, &p->tree->nodes[node].set, line_ends, 3, true);
    return node;
}

static uint32_t escape_node(struct parser *p)
{
    const uint32_t node = add_node(p, UPG_PATTERN_SET);
    struct upg_char_set set = {0};
    uint32_t c;

    if (take_escape(p, &set, false, &c) && !upg_char_set_add(&set, c, c))
        fail_parse_memory(p);
    upg_char_set_sort(&set);
    if (node == UPG_NO_ID)
        upg_char_set_clear(&set);
    else
        p->tree->nodes[node].set = set;
    return node;
}

static uint32_t take_atom(struct parser *p)
{
    uint32_t c;

    if (take(p, "("))
        return take_group(p);
    if (take(p, "["))
        return take_class(p);
    if (take(p, "."))
        return dot_node(p);
    if (take(p, "^"))
        return add_node(p, UPG_PATTERN_START);
    if (take(p, "$"))
        return add_node(p, UPG_PATTERN_END);
    if (take(p, "\\"))
        return escape_node(p);
    if (peek(p) == '*' || peek(p) == '+' || peek(p) == '?')
        return fail_at(p, UPG_ERR_FORMAT, "there is nothing to repeat");
    c = take_char(p);
    return p->status == UPG_OK ? set_node(p, c, c) : UPG_NO_ID;
}

/* Digits from *at on; false if there are none. */
static bool read_count(const struct parser *p, size_t *at, uint32_t *value)
{
    const size_t begin = *at;
    uint64_t count = 0;

    while (*at < p->n && p->text[*at] >= '0' && p->text[*at] <= '9') {
        count = count * 10 + (uint64_t)(p->text[(*at)++] - '0');
        if (count > MAX_COUNT)
            count = MAX_COUNT;
    }
    *value = (uint32_t)count;
    return *at > begin;
}

/* {n}, {n,} or {n,m}; anything else in braces is plain text. */
static bool take_braces(struct parser *p, uint32_t *min, uint32_t *max)
{
    size_t at = p->at + 1;

    if (peek(p) != '{' || !read_count(p, &at, min))
        return false;
    *max = *min;
    if (at < p->n && p->text[at] == ',') {
        at++;
        if (!read_count(p, &at, max))
            *max = UPG_EXPR_UNBOUNDED;
    }
    if (at >= p->n || p->text[at] != '}')
        return false;
    p->at = at + 1;
    if (*max < *min)
        fail_at(p, UPG_ERR_FORMAT, "a repetition ends before it begins");
    return true;
}

static bool take_quantifier(struct parser *p, uint32_t *min, uint32_t *max)
{
    *min = 0;
    *max = UPG_EXPR_UNBOUNDED;
    if (take(p, "*"))
        return true;
    if (take(p, "+")) {
        *min = 1;
        return true;
    }
    if (take(p, "?")) {
        *max = 1;
        return true;
    }
    return take_braces(p, min, max);
}

static uint32_t take_repeat(struct parser *p)
{
    uint32_t atom = take_atom(p), min, max;

    while (p->status == UPG_OK && take_quantifier(p, &min, &max)) {
        const uint32_t node = add_node(p, UPG_PATTERN_REPEAT);

        if (node == UPG_NO_ID)
            return node;
        take(p, "?"); /* lazy or greedy: the same texts match */
        if (peek(p) == '+' || peek(p) == '*' || peek(p) == '?')
            return fail_at(p, UPG_ERR_FORMAT, "a repetition is repeated");
        if (p->tree->nodes[atom].zero_width)
            return fail_at(p, UPG_ERR_UNSUPPORTED,
                           "anchors and look-ahead cannot be inside a repetition");
        p->tree->nodes[node].child = atom;
        p->tree->nodes[node].min = min;
        p->tree->nodes[node].max = max;
        atom = node;
    }
    return atom;
}

/* Append a child; *last is the one before it. */
static void append_child(struct upg_pattern_tree *tree, uint32_t parent, uint32_t *last,
                         uint32_t child)
{
    if (*last == UPG_NO_ID)
        tree->nodes[parent].child = child;
    else
        tree->nodes[*last].next = child;
    tree->nodes[parent].zero_width |= tree->nodes[child].zero_width;
    *last = child;
}

static uint32_t take_sequence(struct parser *p)
{
    const uint32_t sequence = add_node(p, UPG_PATTERN_SEQUENCE);
    uint32_t last = UPG_NO_ID;

    while (!at_end(p) && peek(p) != '|' && peek(p) != ')') {
        const uint32_t part = take_repeat(p);

        if (p->status != UPG_OK)
            return UPG_NO_ID;
        append_child(p->tree, sequence, &last, part);
    }
    return sequence;
}

static uint32_t take_choice(struct parser *p)
{
    const uint32_t choice = add_node(p, UPG_PATTERN_CHOICE);
    uint32_t last = UPG_NO_ID;

    do {
        const uint32_t sequence = take_sequence(p);

        if (p->status != UPG_OK)
            return UPG_NO_ID;
        append_child(p->tree, choice, &last, sequence);
    } while (take(p, "|"));
    return choice;
}

upg_status upg_pattern_parse(struct upg_pattern_tree *tree, const char *where, const char *text,
                             size_t n, upg_error *err)
{
    struct parser p = {.tree = tree, .where = where, .text = text, .n = n, .err = err};

    tree->root = take_choice(&p);
    if (p.status == UPG_OK && p.at < n)
        fail_at(&p, UPG_ERR_FORMAT, "( is missing");
    return p.status;
}

void upg_pattern_tree_clear(struct upg_pattern_tree *tree)
{
    for (size_t i = 0; i < tree->n; i++)
        upg_char_set_clear(&tree->nodes[i].set);
    free(tree->nodes);
    *tree = (struct upg_pattern_tree){0};
}
