/* pattern.c -- from a parsed pattern to an expression.
 *
 * Each node is made with what follows it, its continuation: then $ and look-ahead, which have no
 * text of their own, are intersections with the continuation.  In a JSON string the quotes are part
 * of the text, and no character is written as a bare quote: so ^ is the opening quote, and $ the
 * closing one.  A search may begin in front of the opening quote, where only ^ finds anything, or
 * behind it. */
#include "constrain/pattern.h"

#include "constrain/grow.h"
#include "constrain/json_text.h"
#include "constrain/pattern_tree.h"

struct maker {
    struct upg_exprs *x;
    const struct upg_pattern_tree *tree;
    bool in_json;
    const char *where;
    upg_error *err;
    upg_status status;
};

static upg_expr quote(struct maker *m)
{
    return upg_expr_text(m->x, "\"", 1);
}

static upg_expr make_set(struct maker *m, const struct upg_pattern_node *node)
{
    return m->in_json ? upg_char_set_json(m->x, &node->set) : upg_char_set_utf8(m->x, &node->set);
}

static upg_expr make(struct maker *m, uint32_t index, upg_expr rest, bool at_start);

/* Children from `index` on; recursion goes to the end first, where the continuation is. */
static upg_expr make_sequence(struct maker *m, uint32_t index, upg_expr rest, bool at_start)
{
    uint32_t *parts = NULL;
    size_t n = 0, capacity = 0;

    for (; index != UPG_NO_ID; index = m->tree->nodes[index].next) {
        uint32_t *grown = upg_grow(parts, &capacity, n + 1, sizeof *parts);

        if (!grown) {
            free(parts);
            m->x->failed = UPG_ERR_MEMORY;
            return UPG_EXPR_NONE;
        }
        parts = grown;
        parts[n++] = index;
    }
    while (n > 0) {
        n--;
        rest = make(m, parts[n], rest, at_start && n == 0);
    }
    free(parts);
    return rest;
}

static upg_expr make_choice(struct maker *m, uint32_t index, upg_expr rest, bool at_start)
{
    upg_expr *list = NULL, e;
    size_t n = 0, capacity = 0;

    for (; index != UPG_NO_ID; index = m->tree->nodes[index].next) {
        upg_expr *grown = upg_grow(list, &capacity, n + 1, sizeof *list);

        if (!grown) {
            free(list);
            m->x->failed = UPG_ERR_MEMORY;
            return UPG_EXPR_NONE;
        }
        list = grown;
        list[n++] = make(m, index, rest, at_start);
    }
    e = upg_expr_or(m->x, list, n);
    free(list);
    return e;
}

static upg_expr make_start(struct maker *m, upg_expr rest, bool at_start)
{
    if (m->in_json) { /* something follows the opening quote, unlike the closing one */
        if (upg_expr_is_nullable(m->x, rest))
            rest = upg_expr_and2(
                m->x, rest,
                upg_expr_concat(m->x, upg_expr_range(m->x, 0, UINT8_MAX), UPG_EXPR_ALL));
        return upg_expr_concat(m->x, quote(m), rest);
    }
    if (!at_start && m->status == UPG_OK)
        m->status = upg_fail(m->err, UPG_ERR_UNSUPPORTED,
                             "%s: ^ can only be at the beginning of the pattern", m->where);
    return rest;
}

static upg_expr make_ahead(struct maker *m, const struct upg_pattern_node *node, upg_expr rest)
{
    const upg_expr seen = make(m, node->child, UPG_EXPR_ALL, false);

    return upg_expr_and2(m->x, node->kind == UPG_PATTERN_AHEAD ? seen : upg_expr_not(m->x, seen),
                         rest);
}

static upg_expr make(struct maker *m, uint32_t index, upg_expr rest, bool at_start)
{
    const struct upg_pattern_node *node = &m->tree->nodes[index];

    switch (node->kind) {
    case UPG_PATTERN_SET: return upg_expr_concat(m->x, make_set(m, node), rest);
    case UPG_PATTERN_SEQUENCE: return make_sequence(m, node->child, rest, at_start);
    case UPG_PATTERN_CHOICE:
        if (!node->zero_width) /* the choice need not be made with its continuation */
            return upg_expr_concat(m->x, make_choice(m, node->child, UPG_EXPR_EPSILON, false),
                                   rest);
        return make_choice(m, node->child, rest, at_start);
    case UPG_PATTERN_REPEAT:
        return upg_expr_concat(m->x,
                               upg_expr_repeat(m->x, make(m, node->child, UPG_EXPR_EPSILON, false),
                                               node->min, node->max),
                               rest);
    case UPG_PATTERN_START: return make_start(m, rest, at_start);
    case UPG_PATTERN_END:
        return upg_expr_and2(m->x, m->in_json ? quote(m) : UPG_EXPR_EPSILON, rest);
    case UPG_PATTERN_AHEAD:
    case UPG_PATTERN_NOT_AHEAD: return make_ahead(m, node, rest);
    }
    return rest;
}

/* Is the pattern one sequence ^ ... $ without other anchors and look-ahead?  A choice or
 * sequence of one is looked into. */
static bool is_anchored(const struct upg_pattern_tree *tree)
{
    uint32_t index = tree->root, last = UPG_NO_ID;

    while (tree->nodes[index].kind == UPG_PATTERN_CHOICE ||
           (tree->nodes[index].kind == UPG_PATTERN_SEQUENCE &&
            tree->nodes[index].child != UPG_NO_ID &&
            tree->nodes[tree->nodes[index].child].next == UPG_NO_ID)) {
        index = tree->nodes[index].child;
        if (tree->nodes[index].next != UPG_NO_ID)
            return false;
    }
    if (tree->nodes[index].kind != UPG_PATTERN_SEQUENCE)
        return false;
    index = tree->nodes[index].child;
    if (index == UPG_NO_ID || tree->nodes[index].kind != UPG_PATTERN_START)
        return false;
    for (index = tree->nodes[index].next; index != UPG_NO_ID; index = tree->nodes[index].next) {
        if (last != UPG_NO_ID && tree->nodes[last].zero_width)
            return false;
        last = index;
    }
    return last != UPG_NO_ID && tree->nodes[last].kind == UPG_PATTERN_END;
}

upg_status upg_pattern_whole(struct upg_exprs *x, const char *where, const char *text, size_t n,
                             upg_expr *e, upg_error *err)
{
    struct upg_pattern_tree tree = {0};
    struct maker m = {.x = x, .tree = &tree, .where = where, .err = err};
    upg_status status = upg_pattern_parse(&tree, where, text, n, err);

    if (status == UPG_OK) {
        *e = make(&m, tree.root, UPG_EXPR_EPSILON, true);
        status = m.status;
    }
    if (status == UPG_OK)
        status = upg_exprs_check(x, where, err);
    upg_pattern_tree_clear(&tree);
    return status;
}

upg_status upg_pattern_search(struct upg_exprs *x, const char *where, const char *text, size_t n,
                              upg_expr *e, bool *is_exact, upg_error *err)
{
    struct upg_pattern_tree tree = {0};
    struct maker m = {.x = x, .tree = &tree, .in_json = true, .where = where, .err = err};
    upg_status status = upg_pattern_parse(&tree, where, text, n, err);

    if (status == UPG_OK) {
        *is_exact = is_anchored(&tree);
        *e = make(&m, tree.root, UPG_EXPR_ALL, true);
        if (!*is_exact)
            *e = upg_expr_concat(
                x,
                upg_expr_optional(x, upg_expr_concat(x, quote(&m),
                                                     upg_expr_repeat(x, upg_json_any_char(x), 0,
                                                                     UPG_EXPR_UNBOUNDED))),
                *e);
        status = upg_exprs_check(x, where, err);
    }
    upg_pattern_tree_clear(&tree);
    return status;
}
