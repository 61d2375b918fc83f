/* gbnf.c -- grammars in the notation of llama.cpp.
 *
 *     root  ::= "{" pair ("," pair)* "}"      # a comment
 *     pair  ::= [a-z]+ ":" ("x" | "y"){2,4}
 *
 * Literals and classes have the escapes \n \r \t \\ \" \[ \] \xHH \uHHHH \UHHHHHHHH, a dot is any
 * character, and <[123]> or <|name|> is a control token by its id or text.  A rule ends with its
 * line, unless the line ends with ::= or |, or inside parentheses.
 *
 * Rules are built into each other as long as they are not recursive: what is regular then
 * becomes one expression. */
#include "base/utf8.h"
#include "constrain/char_set.h"
#include "constrain/grammar.h"
#include "constrain/grow.h"

#include <stdio.h>
#include <string.h>

enum { MAX_NESTING = 100, MAX_RULE_DEPTH = 500, MAX_COUNT = 1 << 30 };

/* A rule is read once, when it is first used: it refers to others by name. */
struct rule {
    const char *name;    /* [n_name] in the text */
    size_t n_name, body; /* where the body begins */
    enum { RULE_WAITING, RULE_OPEN, RULE_DONE } state;
    bool is_recursive; /* it was used while it was open */
    upg_unit unit;
};

struct parser {
    struct upg_grammar *g;
    struct rule *rules; /* [n_rules], the same numbers as in the grammar */
    size_t n_rules, rule_capacity;
    struct upg_id_table names;
    const char *text;
    size_t n, at;
    unsigned nesting, rule_depth;
    upg_error *err;
    upg_status status;
};

/* Units being collected for a sequence or a choice. */
struct unit_list {
    upg_unit *units;
    size_t n, capacity;
};

static upg_unit fail_at(struct parser *p, upg_status status, const char *what)
{
    size_t line = 1;

    for (size_t i = 0; i < p->at && i < p->n; i++)
        line += p->text[i] == '\n';
    if (p->status == UPG_OK)
        p->status = upg_fail(p->err, status, "grammar: line %zu: %s", line, what);
    return UPG_UNIT_NOTHING;
}

static bool append(struct parser *p, struct unit_list *list, upg_unit unit)
{
    upg_unit *units = upg_grow(list->units, &list->capacity, list->n + 1, sizeof *units);

    if (!units) {
        fail_at(p, UPG_ERR_MEMORY, "out of memory");
        return false;
    }
    list->units = units;
    units[list->n++] = unit;
    return true;
}

static char peek(const struct parser *p)
{
    return p->at < p->n && p->status == UPG_OK ? p->text[p->at] : '\0';
}

static bool at_end(const struct parser *p)
{
    return p->at >= p->n || p->status != UPG_OK;
}

static bool take(struct parser *p, const char *expected)
{
    const size_t n = strlen(expected);

    if (p->status != UPG_OK || p->n - p->at < n || memcmp(p->text + p->at, expected, n) != 0)
        return false;
    p->at += n;
    return true;
}

/* Spaces and comments, and line ends too if they do not end the rule. */
static void pass_space(struct parser *p, bool line_ends)
{
    while (!at_end(p)) {
        const char c = p->text[p->at];

        if (c == '#')
            while (!at_end(p) && p->text[p->at] != '\n')
                p->at++;
        else if (c == ' ' || c == '\t' || c == '\r' || (c == '\n' && line_ends))
            p->at++;
        else
            return;
    }
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static size_t name_length(const struct parser *p)
{
    size_t n = 0;

    while (p->at + n < p->n && is_name_char(p->text[p->at + n]))
        n++;
    return n;
}

static uint32_t hash_name(const char *name, size_t n)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    return hash;
}

static struct rule *find_rule(const struct parser *p, const char *name, size_t n)
{
    size_t cursor = SIZE_MAX;
    uint32_t id;

    while ((id = upg_id_table_next(&p->names, hash_name(name, n), &cursor)) != UPG_NO_ID)
        if (p->rules[id].n_name == n && memcmp(p->rules[id].name, name, n) == 0)
            return &p->rules[id];
    return NULL;
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
        else
            fail_at(p, UPG_ERR_FORMAT, "hexadecimal digits are missing");
    }
    return value;
}

/* A character of a literal or class, escapes resolved. */
static uint32_t take_char(struct parser *p)
{
    uint32_t c = 0;
    size_t length;

    if (take(p, "\\")) {
        const char letter = peek(p);

        p->at++;
        switch (letter) {
        case 'n': return '\n';
        case 'r': return '\r';
        case 't': return '\t';
        case 'x': c = take_hex(p, 2); break;
        case 'u': c = take_hex(p, 4); break;
        case 'U': c = take_hex(p, 8); break;
        case '\\':
        case '"':
        case '[':
        case ']':
        case '-':
        case '^': return (unsigned char)letter;
        default: fail_at(p, UPG_ERR_FORMAT, "there is no such escape");
        }
        if (c > UPG_MAX_CHAR || (c >= 0xD800 && c <= 0xDFFF))
            fail_at(p, UPG_ERR_FORMAT, "an escape is no character");
        return c;
    }
    length = at_end(p) ? 0 : upg_utf8_next(p->text + p->at, p->n - p->at, &c);
    if (length == 0)
        fail_at(p, UPG_ERR_FORMAT, "a literal or class does not end, or is not UTF-8");
    p->at += length;
    return c;
}

static upg_unit take_literal(struct parser *p)
{
    struct upg_exprs *x = &p->g->exprs;
    upg_expr e = UPG_EXPR_EPSILON, part = UPG_EXPR_EPSILON;
    char bytes[64];
    size_t n = 0;

    while (p->status == UPG_OK && peek(p) != '"') {
        const uint32_t c = take_char(p);

        if (p->status == UPG_OK)
            n += upg_utf8_put(bytes + n, c);
        if (n > sizeof bytes - 4 || peek(p) == '"') {
            part = upg_expr_text(x, bytes, n);
            e = upg_expr_concat(x, e, part);
            n = 0;
        }
    }
    p->at++;
    return upg_unit_expr(&p->g->units, e);
}

static upg_unit take_class(struct parser *p)
{
    const bool invert = take(p, "^");
    struct upg_char_set set = {0};
    upg_unit unit;
    bool added = true;

    while (p->status == UPG_OK && peek(p) != ']' && added) {
        const uint32_t first = take_char(p);
        uint32_t last = first;

        if (peek(p) == '-' && p->at + 1 < p->n && p->text[p->at + 1] != ']') {
            p->at++;
            last = take_char(p);
        }
        if (last < first)
            fail_at(p, UPG_ERR_FORMAT, "a range ends before it begins");
        added = upg_char_set_add(&set, first, last);
    }
    p->at++;
    if (added && invert)
        added = upg_char_set_invert(&set);
    if (!added)
        fail_at(p, UPG_ERR_MEMORY, "out of memory");
    upg_char_set_sort(&set);
    unit = upg_unit_expr(&p->g->units, upg_char_set_utf8(&p->g->exprs, &set));
    upg_char_set_clear(&set);
    return unit;
}

/* The control token of this text, or of <[id]>; -1 if there is none. */
static int32_t find_control(const struct upg_vocabulary *v, const char *text, size_t n)
{
    int32_t id = 0;

    if (n < 5 || text[1] != '[' || text[n - 2] != ']')
        return upg_vocabulary_find_control(v, text, n);
    for (size_t i = 2; i < n - 2; i++) {
        if (text[i] < '0' || text[i] > '9' || id > 9999999)
            return -1;
        id = 10 * id + (text[i] - '0');
    }
    for (size_t i = 0; i < v->n_control; i++)
        if (v->control[i].id == id)
            return id;
    return -1;
}

/* Behind <: the text or [id] of a control token, and >. */
static upg_unit take_control(struct parser *p)
{
    const struct upg_vocabulary *v = p->g->vocabulary;
    const char *begin = p->text + p->at - 1;
    const char *end = memchr(begin, '>', p->n - p->at + 1);
    const int32_t id = end ? find_control(v, begin, (size_t)(end - begin) + 1) : -1;
    char mark[16];
    int n;

    if (!end)
        return fail_at(p, UPG_ERR_FORMAT, "> is missing");
    if (id < 0)
        return fail_at(p, UPG_ERR_UNSUPPORTED, "the model has no such control token");
    if (upg_vocabulary_is_stop(v, id))
        return fail_at(p, UPG_ERR_UNSUPPORTED, "this token ends an answer: it cannot be inside");
    p->at = (size_t)(end - p->text) + 1;
    n = snprintf(mark, sizeof mark, "%c%d%c", UPG_TOKEN_MARK, (int)id, UPG_TOKEN_MARK_END);
    return upg_unit_expr(&p->g->units, upg_expr_text(&p->g->exprs, mark, (size_t)n));
}

static upg_unit take_choice(struct parser *p);
static upg_unit build_rule(struct parser *p, struct rule *rule);

static upg_unit take_reference(struct parser *p)
{
    const size_t n = name_length(p);
    struct rule *rule = find_rule(p, p->text + p->at, n);

    if (!rule) {
        if (p->status == UPG_OK)
            p->status = upg_fail(p->err, UPG_ERR_FORMAT, "grammar: there is no rule '%.*s'",
                                 (int)(n < 200 ? n : 200), p->text + p->at);
        return UPG_UNIT_NOTHING;
    }
    p->at += n;
    return build_rule(p, rule);
}

static upg_unit take_atom(struct parser *p)
{
    struct upg_char_range all = {0, UPG_MAX_CHAR};
    const struct upg_char_set any = {.ranges = &all, .n = 1};
    upg_unit unit;

    if (take(p, "\""))
        return take_literal(p);
    if (take(p, "["))
        return take_class(p);
    if (take(p, "<"))
        return take_control(p);
    if (take(p, "."))
        return upg_unit_expr(&p->g->units, upg_char_set_utf8(&p->g->exprs, &any));
    if (is_name_char(peek(p)))
        return take_reference(p);
    if (!take(p, "("))
        return fail_at(p, UPG_ERR_FORMAT, "a literal, class, rule or group is expected");
    if (p->nesting == MAX_NESTING)
        return fail_at(p, UPG_ERR_UNSUPPORTED, "groups nest too deeply");
    p->nesting++;
    unit = take_choice(p);
    p->nesting--;
    pass_space(p, true);
    if (p->status == UPG_OK && !take(p, ")"))
        return fail_at(p, UPG_ERR_FORMAT, ") is missing");
    return unit;
}

static bool take_count(struct parser *p, uint32_t *count)
{
    uint64_t value = 0;
    bool has_digits = false;

    pass_space(p, false);
    for (; peek(p) >= '0' && peek(p) <= '9'; p->at++, has_digits = true) {
        value = value * 10 + (uint64_t)(peek(p) - '0');
        if (value > MAX_COUNT)
            value = MAX_COUNT;
    }
    pass_space(p, false);
    *count = (uint32_t)value;
    return has_digits;
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
    if (!take(p, "{"))
        return false;
    if (!take_count(p, min))
        fail_at(p, UPG_ERR_FORMAT, "a repetition needs a number");
    *max = *min;
    if (take(p, ",") && !take_count(p, max))
        *max = UPG_EXPR_UNBOUNDED;
    if (!take(p, "}") || *max < *min)
        fail_at(p, UPG_ERR_FORMAT, "a repetition is {n}, {n,} or {n,m} with n up to m");
    return true;
}

static upg_unit take_repeat(struct parser *p)
{
    upg_unit unit = take_atom(p);
    uint32_t min, max;

    pass_space(p, p->nesting > 0);
    while (p->status == UPG_OK && take_quantifier(p, &min, &max)) {
        unit = upg_unit_repeat(&p->g->units, &p->g->exprs, unit, min, max, true);
        pass_space(p, p->nesting > 0);
    }
    return unit;
}

static upg_unit take_sequence(struct parser *p)
{
    struct unit_list list = {0};
    upg_unit unit = UPG_UNIT_NOTHING;

    pass_space(p, true); /* behind ::= | and ( */
    while (!at_end(p) && peek(p) != '|' && peek(p) != ')' && peek(p) != '\n')
        if (!append(p, &list, take_repeat(p)))
            break;
    if (p->status == UPG_OK)
        unit = upg_unit_sequence(&p->g->units, &p->g->exprs, list.units, list.n, true);
    free(list.units);
    return unit;
}

static upg_unit take_choice(struct parser *p)
{
    struct unit_list list = {0};
    upg_unit unit = UPG_UNIT_NOTHING;

    do {
        if (!append(p, &list, take_sequence(p)))
            break;
        pass_space(p, p->nesting > 0);
    } while (take(p, "|"));
    if (p->status == UPG_OK)
        unit = upg_unit_choice(&p->g->units, &p->g->exprs, list.units, list.n, true);
    free(list.units);
    return unit;
}

/* The unit of a rule: its body, or its number while that is not known yet. */
static upg_unit build_rule(struct parser *p, struct rule *rule)
{
    const size_t number = (size_t)(rule - p->rules), at = p->at;
    const unsigned nesting = p->nesting;

    if (rule->state == RULE_OPEN)
        rule->is_recursive = true;
    if (rule->state == RULE_OPEN || (rule->state == RULE_DONE && rule->is_recursive))
        return upg_unit_make(&p->g->units, UPG_UNIT_KIND_RULE, (uint32_t)number, 0, 0, 0);
    if (rule->state == RULE_DONE)
        return rule->unit;
    if (p->rule_depth == MAX_RULE_DEPTH)
        return fail_at(p, UPG_ERR_UNSUPPORTED, "rules use each other too deeply");
    p->rule_depth++;
    p->nesting = 0;
    rule->state = RULE_OPEN;
    p->at = rule->body;
    rule->unit = take_choice(p);
    if (!at_end(p) && peek(p) != '\n')
        fail_at(p, UPG_ERR_FORMAT, "a rule ends with something that is none");
    rule->state = RULE_DONE;
    p->g->rules[number] = rule->unit;
    p->rule_depth--;
    if (p->status == UPG_OK) {
        p->nesting = nesting;
        p->at = at;
    }
    if (rule->is_recursive)
        return upg_unit_make(&p->g->units, UPG_UNIT_KIND_RULE, (uint32_t)number, 0, 0, 0);
    return rule->unit;
}

static void pass_quoted(struct parser *p, char end)
{
    for (p->at++; !at_end(p) && p->text[p->at] != end; p->at++)
        if (p->text[p->at] == '\\')
            p->at++;
    p->at++;
}

/* To the end of a rule, without looking at what is in it. */
static void pass_body(struct parser *p)
{
    unsigned depth = 0;
    bool goes_on = true; /* a line end here would not end the rule */

    while (!at_end(p)) {
        const char c = p->text[p->at];

        if (c == '#') {
            pass_space(p, false);
            continue;
        }
        if (c == '\n' && depth == 0 && !goes_on)
            return;
        if (c == '"' || c == '[') {
            pass_quoted(p, c == '"' ? '"' : ']');
            goes_on = false;
            continue;
        }
        if (c == '(')
            depth++;
        if (c == ')' && depth > 0)
            depth--;
        if (c == '|')
            goes_on = true;
        else if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            goes_on = false;
        p->at++;
    }
}

static void add_rule(struct parser *p, const char *name, size_t n)
{
    struct rule *rules = upg_grow(p->rules, &p->rule_capacity, p->n_rules + 1, sizeof *rules);

    if (rules)
        p->rules = rules;
    if (!rules || !upg_id_table_add(&p->names, hash_name(name, n), (uint32_t)p->n_rules)) {
        fail_at(p, UPG_ERR_MEMORY, "out of memory");
        return;
    }
    if (upg_grammar_add_rule(p->g) == UPG_NO_ID) {
        const upg_status why = p->g->units.failed;
        fail_at(p, why, why == UPG_ERR_MEMORY ? "out of memory" : "there are too many rules");
        return;
    }
    rules[p->n_rules++] = (struct rule){.name = name, .n_name = n, .body = p->at};
}

/* The names of all rules and where their bodies begin. */
static void find_rules(struct parser *p)
{
    for (pass_space(p, true); !at_end(p); pass_space(p, true)) {
        const char *name = p->text + p->at;
        const size_t n = name_length(p);

        p->at += n;
        pass_space(p, false);
        if (n == 0 || !take(p, "::="))
            fail_at(p, UPG_ERR_FORMAT, "a rule begins with its name and ::=");
        else if (find_rule(p, name, n))
            fail_at(p, UPG_ERR_FORMAT, "a rule of this name was there before");
        else
            add_rule(p, name, n);
        pass_body(p);
    }
}

static const char *name_rule(const void *context, uint32_t rule)
{
    static _Thread_local char name[64];
    const struct parser *p = context;
    const size_t n = p->rules[rule].n_name;

    snprintf(name, sizeof name, "rule %.*s", (int)(n < 50 ? n : 50), p->rules[rule].name);
    return name;
}

upg_status upg_compile_gbnf(struct upg_grammar *g, const char *text, size_t n, upg_error *err)
{
    struct parser p = {.g = g, .text = text, .n = n, .err = err};
    struct rule *root;

    find_rules(&p);
    root = find_rule(&p, "root", 4);
    if (!root && p.status == UPG_OK)
        p.status = upg_fail(err, UPG_ERR_FORMAT, "grammar: there is no rule 'root'");
    if (p.status == UPG_OK)
        g->root = build_rule(&p, root);
    for (size_t i = 0; i < p.n_rules && p.status == UPG_OK; i++)
        build_rule(&p, &p.rules[i]); /* errors in rules that root does not use are errors */
    if (p.status == UPG_OK)
        p.status = upg_grammar_check(g, name_rule, &p, err);
    free(p.rules);
    upg_id_table_clear(&p.names);
    return p.status;
}
