/* check.c -- what can be said of a grammar before any text.
 *
 * A unit is productive if some text can come of it; expanding leaves out the others, so that no
 * text runs into a dead end.  A rule that begins with itself and then wants more would be
 * expanded without end; such grammars are refused. */
#include "constrain/grammar.h"
#include "constrain/grow.h"
#include "constrain/states.h"

#include <string.h>

enum { MAX_PASSES = 2000, MAX_LEFT_STEPS = 20000000 };

static bool all_productive(const struct upg_grammar *g, const upg_unit *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!g->productive[list[i]])
            return false;
    return true;
}

static bool any_productive(const struct upg_grammar *g, const upg_unit *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (g->productive[list[i]])
            return true;
    return false;
}

static bool object_is_productive(const struct upg_grammar *g, const struct upg_object *object)
{
    uint32_t n_required = 0, n_possible = 0;
    bool has_free = false;

    for (uint32_t i = 0; i < object->n_members; i++) {
        const bool possible = g->productive[object->members[i].value];

        if (object->members[i].required && !possible)
            return false;
        n_required += object->members[i].required;
        n_possible += possible;
    }
    for (uint32_t i = 0; i < object->n_classes; i++)
        has_free |= g->productive[object->classes[i].value] != 0;
    return n_required <= object->max && (has_free || n_possible >= object->min) &&
           object->min <= object->max;
}

static bool array_is_productive(const struct upg_grammar *g, const struct upg_array *array)
{
    const uint32_t n_first = array->min < array->n_prefix ? array->min : array->n_prefix;
    const uint32_t room =
        array->max - (array->n_prefix < array->max ? array->n_prefix : array->max);

    if (array->min > array->max || !all_productive(g, array->prefix, n_first))
        return false;
    if (array->min_found > 0 && (!g->productive[array->found] || array->min_found > room ||
                                 !all_productive(g, array->prefix, array->n_prefix)))
        return false;
    return array->min <= array->n_prefix || array->min_found >= array->min - array->n_prefix ||
           g->productive[array->item] || g->productive[array->found];
}

static bool unit_is_productive(const struct upg_grammar *g, const struct upg_unit_node *unit)
{
    switch ((enum upg_unit_kind)unit->kind) {
    case UPG_UNIT_KIND_NOTHING: return false;
    case UPG_UNIT_KIND_SEQUENCE: return all_productive(g, g->units.lists + unit->a, unit->b);
    case UPG_UNIT_KIND_CHOICE: return any_productive(g, g->units.lists + unit->a, unit->b);
    case UPG_UNIT_KIND_REPEAT: return unit->b == 0 || g->productive[unit->a];
    case UPG_UNIT_KIND_RULE: return g->productive[g->rules[unit->a]];
    case UPG_UNIT_KIND_OBJECT: return object_is_productive(g, &g->objects[unit->a]);
    case UPG_UNIT_KIND_ARRAY: return array_is_productive(g, &g->arrays[unit->a]);
    default: return true; /* expressions were looked at before */
    }
}

/* Expressions that have a text, by a search. */
static upg_status find_productive_exprs(struct upg_grammar *g, upg_error *err)
{
    struct upg_states states = {.exprs = g->exprs};
    upg_status status;

    for (size_t i = 0; i < g->units.n && states.exprs.failed == UPG_OK; i++)
        if (g->units.nodes[i].kind == UPG_UNIT_KIND_EXPR)
            g->productive[i] = upg_expr_has_text(&states, g->units.nodes[i].a);
    for (size_t i = 0; i < g->n_objects; i++)
        for (uint32_t k = 0; k < g->objects[i].n_classes && states.exprs.failed == UPG_OK; k++)
            if (!upg_expr_has_text(&states, g->objects[i].classes[k].name))
                g->objects[i].classes[k].value = UPG_UNIT_NOTHING;
    status = upg_exprs_check(&states.exprs, "the grammar", err);
    g->exprs = states.exprs; /* the search made new ones */
    states.exprs = (struct upg_exprs){0};
    upg_states_clear(&states);
    return status;
}

static upg_status fail_intricate(upg_error *err)
{
    return upg_fail(err, UPG_ERR_UNSUPPORTED,
                    "the grammar's rules refer to each other in too many ways; simplify it");
}

static upg_status find_productive(struct upg_grammar *g, upg_error *err)
{
    const upg_status status = find_productive_exprs(g, err);
    bool changed = true;

    if (status != UPG_OK)
        return status;
    for (size_t pass = 0; changed; pass++) {
        changed = false;
        if (pass == MAX_PASSES)
            return fail_intricate(err);
        for (size_t i = 0; i < g->units.n; i++)
            if (!g->productive[i] && g->units.nodes[i].kind != UPG_UNIT_KIND_EXPR &&
                unit_is_productive(g, &g->units.nodes[i])) {
                g->productive[i] = 1;
                changed = true;
            }
    }
    return UPG_OK;
}

static bool unit_is_nullable(const struct upg_grammar *g, const uint8_t *nullable,
                             const struct upg_unit_node *unit)
{
    switch ((enum upg_unit_kind)unit->kind) {
    case UPG_UNIT_KIND_EMPTY: return true;
    case UPG_UNIT_KIND_EXPR: return upg_expr_is_nullable(&g->exprs, unit->a);
    case UPG_UNIT_KIND_SEQUENCE:
        for (uint32_t i = 0; i < unit->b; i++)
            if (!nullable[g->units.lists[unit->a + i]])
                return false;
        return true;
    case UPG_UNIT_KIND_CHOICE:
        for (uint32_t i = 0; i < unit->b; i++)
            if (nullable[g->units.lists[unit->a + i]])
                return true;
        return false;
    case UPG_UNIT_KIND_REPEAT: return unit->b == 0 || nullable[unit->a];
    case UPG_UNIT_KIND_RULE: return nullable[g->rules[unit->a]];
    default: return false;
    }
}

static upg_status find_nullable(const struct upg_grammar *g, uint8_t *nullable, upg_error *err)
{
    bool changed = true;

    for (size_t pass = 0; changed; pass++) {
        changed = false;
        if (pass == MAX_PASSES)
            return fail_intricate(err);
        for (size_t i = 0; i < g->units.n; i++)
            if (!nullable[i] && unit_is_nullable(g, nullable, &g->units.nodes[i])) {
                nullable[i] = 1;
                changed = true;
            }
    }
    return UPG_OK;
}

/* Rule `from` may begin with rule `to`; something follows it then if `grows`. */
struct left_edge {
    uint32_t to;
    bool grows;
};

struct left_graph {
    const struct upg_grammar *g;
    uint8_t *nullable;       /* [units.n] */
    struct left_edge *edges; /* [n] those of rule r are first[r] .. first[r + 1] */
    uint32_t *first;         /* [n_rules + 1] */
    size_t n, capacity;
    bool failed;
};

static void add_left_edges(struct left_graph *graph, upg_unit unit, bool grows)
{
    const struct upg_unit_node *node = &graph->g->units.nodes[unit];
    const upg_unit *lists = graph->g->units.lists;
    struct left_edge *edges;

    switch ((enum upg_unit_kind)node->kind) {
    case UPG_UNIT_KIND_SEQUENCE:
        for (uint32_t i = 0; i < node->b; i++) {
            add_left_edges(graph, lists[node->a + i], grows || i + 1 < node->b);
            if (!graph->nullable[lists[node->a + i]])
                return;
        }
        return;
    case UPG_UNIT_KIND_CHOICE:
        for (uint32_t i = 0; i < node->b; i++)
            add_left_edges(graph, lists[node->a + i], grows);
        return;
    case UPG_UNIT_KIND_REPEAT: add_left_edges(graph, node->a, grows || node->c > 1); return;
    case UPG_UNIT_KIND_RULE:
        edges = upg_grow(graph->edges, &graph->capacity, graph->n + 1, sizeof *edges);
        if (!edges) {
            graph->failed = true;
            return;
        }
        graph->edges = edges;
        edges[graph->n++] = (struct left_edge){node->a, grows};
        return;
    default: return;
    }
}

/* Does rule `start` lead back to itself and grow?  seen[2 r + grew] is start + 1 once that was
 * reached. */
static bool grows_on_the_left(const struct left_graph *graph, uint32_t start, uint32_t *seen,
                              uint32_t *queue, size_t *n_steps)
{
    size_t head = 0, tail = 0;

    queue[tail++] = 2 * start;
    while (head < tail) {
        const uint32_t at = queue[head++], rule = at / 2;

        for (uint32_t i = graph->first[rule]; i < graph->first[rule + 1]; i++) {
            const struct left_edge edge = graph->edges[i];
            const uint32_t next = 2 * edge.to + ((at & 1) || edge.grows);

            ++*n_steps;
            if (next == 2 * start + 1)
                return true;
            if (seen[next] != start + 1) {
                seen[next] = start + 1;
                queue[tail++] = next;
            }
        }
    }
    return false;
}

static upg_status search_left_recursion(struct left_graph *graph,
                                        const char *(*name)(const void *context, uint32_t rule),
                                        const void *context, upg_error *err)
{
    const size_t n_rules = graph->g->n_rules;
    uint32_t *seen = calloc(2 * n_rules + 2, sizeof *seen);
    uint32_t *queue = calloc(2 * n_rules + 2, sizeof *queue);
    upg_status status = UPG_OK;
    size_t n_steps = 0;

    if (!seen || !queue)
        status = upg_fail(err, UPG_ERR_MEMORY, "out of memory: checking a grammar");
    for (uint32_t r = 0; r < n_rules && status == UPG_OK; r++) {
        if (grows_on_the_left(graph, r, seen, queue, &n_steps))
            status = upg_fail(err, UPG_ERR_UNSUPPORTED,
                              "%s begins with itself (left recursion); put what repeats behind, as "
                              "in: list ::= item (\",\" item)*",
                              name(context, r));
        else if (n_steps > MAX_LEFT_STEPS)
            status = fail_intricate(err);
    }
    free(seen);
    free(queue);
    return status;
}

static upg_status check_left_recursion(struct upg_grammar *g,
                                       const char *(*name)(const void *context, uint32_t rule),
                                       const void *context, upg_error *err)
{
    struct left_graph graph = {.g = g};
    upg_status status;

    graph.nullable = calloc(g->units.n, 1);
    graph.first = calloc(g->n_rules + 1, sizeof *graph.first);
    if (!graph.nullable || !graph.first)
        status = upg_fail(err, UPG_ERR_MEMORY, "out of memory: checking a grammar");
    else
        status = find_nullable(g, graph.nullable, err);
    for (size_t r = 0; r < g->n_rules && status == UPG_OK; r++) {
        graph.first[r] = (uint32_t)graph.n;
        add_left_edges(&graph, g->rules[r], false);
        graph.first[r + 1] = (uint32_t)graph.n;
        if (graph.failed)
            status = upg_fail(err, UPG_ERR_MEMORY, "out of memory: checking a grammar");
    }
    if (status == UPG_OK)
        status = search_left_recursion(&graph, name, context, err);
    free(graph.nullable);
    free(graph.first);
    free(graph.edges);
    return status;
}

upg_status upg_grammar_check(struct upg_grammar *g,
                             const char *(*name)(const void *context, uint32_t rule),
                             const void *context, upg_error *err)
{
    upg_status status = upg_exprs_check(&g->exprs, "the grammar", err);

    if (status != UPG_OK)
        return status;
    if (g->units.failed == UPG_ERR_MEMORY)
        return upg_fail(err, UPG_ERR_MEMORY, "out of memory: a grammar");
    if (g->units.failed != UPG_OK)
        return upg_fail(err, UPG_ERR_UNSUPPORTED, "the grammar is too large: simplify it");
    g->productive = calloc(g->units.n, 1);
    if (!g->productive)
        return upg_fail_memory(err, "a grammar", g->units.n);
    status = find_productive(g, err);
    if (status == UPG_OK && !g->productive[g->root])
        status = upg_fail(err, UPG_ERR_UNSUPPORTED,
                          "no text can have this form: what it asks for contradicts itself");
    if (status == UPG_OK)
        status = check_left_recursion(g, name, context, err);
    return status;
}
