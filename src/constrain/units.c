/* units.c -- units are kept once; sequences and choices are simplified when they are made. */
#include "constrain/units.h"

#include "constrain/grow.h"

#include <string.h>

static upg_unit fail_unit(struct upg_units *u, upg_status why)
{
    if (u->failed == UPG_OK)
        u->failed = why;
    return UPG_UNIT_NOTHING;
}

static upg_unit add_unit(struct upg_units *u, uint32_t hash, struct upg_unit_node node)
{
    struct upg_unit_node *nodes;

    if (u->n >= u->max_units)
        return fail_unit(u, UPG_ERR_UNSUPPORTED);
    nodes = upg_grow(u->nodes, &u->capacity, u->n + 1, sizeof *nodes);
    if (!nodes)
        return fail_unit(u, UPG_ERR_MEMORY);
    u->nodes = nodes;
    if (!upg_id_table_add(&u->table, hash, (uint32_t)u->n))
        return fail_unit(u, UPG_ERR_MEMORY);
    nodes[u->n] = node;
    return (upg_unit)u->n++;
}

upg_unit upg_unit_make(struct upg_units *u, enum upg_unit_kind kind, uint32_t a, uint32_t b,
                       uint32_t c, uint32_t d)
{
    const struct upg_unit_node node = {kind, a, b, c, d};
    const uint32_t words[] = {kind, a, b, c, d}, hash = upg_id_hash(words, 5);
    size_t cursor = SIZE_MAX;
    uint32_t id;

    while ((id = upg_id_table_next(&u->table, hash, &cursor)) != UPG_NO_ID)
        if (memcmp(&u->nodes[id], &node, sizeof node) == 0)
            return id;
    return add_unit(u, hash, node);
}

upg_status upg_units_init(struct upg_units *u, size_t max_units, upg_error *err)
{
    *u = (struct upg_units){.max_units = max_units};
    upg_unit_make(u, UPG_UNIT_KIND_END, 0, 0, 0, 0);
    upg_unit_make(u, UPG_UNIT_KIND_EMPTY, 0, 0, 0, 0);
    upg_unit_make(u, UPG_UNIT_KIND_NOTHING, 0, 0, 0, 0);
    if (u->failed != UPG_OK) {
        upg_units_clear(u);
        return upg_fail(err, UPG_ERR_MEMORY, "out of memory: a grammar");
    }
    return UPG_OK;
}

upg_status upg_units_copy(struct upg_units *copy, const struct upg_units *u, upg_error *err)
{
    *copy = (struct upg_units){.max_units = u->max_units};
    copy->nodes = malloc(u->n * sizeof *u->nodes + 1);
    copy->lists = malloc(u->n_lists * sizeof *u->lists + 1);
    if (!copy->nodes || !copy->lists || !upg_id_table_copy(&copy->table, &u->table)) {
        upg_units_clear(copy);
        return upg_fail(err, UPG_ERR_MEMORY, "out of memory: a copy of a grammar");
    }
    memcpy(copy->nodes, u->nodes, u->n * sizeof *u->nodes);
    if (u->n_lists)
        memcpy(copy->lists, u->lists, u->n_lists * sizeof *u->lists);
    copy->n = copy->capacity = u->n;
    copy->n_lists = copy->list_capacity = u->n_lists;
    return UPG_OK;
}

void upg_units_clear(struct upg_units *u)
{
    free(u->nodes);
    free(u->lists);
    upg_id_table_clear(&u->table);
    *u = (struct upg_units){0};
}

size_t upg_units_n_bytes(const struct upg_units *u)
{
    return u->n * (sizeof *u->nodes + 4 * sizeof *u->table.slots) + u->n_lists * sizeof *u->lists;
}

upg_unit upg_unit_expr(struct upg_units *u, upg_expr e)
{
    if (e == UPG_EXPR_NONE)
        return UPG_UNIT_NOTHING;
    if (e == UPG_EXPR_EPSILON)
        return UPG_UNIT_EMPTY;
    return upg_unit_make(u, UPG_UNIT_KIND_EXPR, e, 0, 0, 0);
}

/* A unit with a list.  Lists are not looked for: builders make few that are equal. */
static upg_unit make_list(struct upg_units *u, enum upg_unit_kind kind, const upg_unit *list,
                          size_t n)
{
    upg_unit *lists = upg_grow(u->lists, &u->list_capacity, u->n_lists + n, sizeof *lists);

    if (!lists)
        return fail_unit(u, UPG_ERR_MEMORY);
    u->lists = lists;
    memcpy(lists + u->n_lists, list, n * sizeof *list);
    u->n_lists += n;
    if (u->n_lists > 8 * u->max_units)
        return fail_unit(u, UPG_ERR_UNSUPPORTED);
    return upg_unit_make(u, kind, (uint32_t)(u->n_lists - n), (uint32_t)n, 0, 0);
}

static bool is_expr(const struct upg_units *u, upg_unit unit)
{
    return u->nodes[unit].kind == UPG_UNIT_KIND_EXPR;
}

upg_unit upg_unit_sequence(struct upg_units *u, struct upg_exprs *x, const upg_unit *list, size_t n,
                           bool merge)
{
    upg_unit *kept = malloc(n * sizeof *kept + 1), sequence;
    size_t n_kept = 0;

    if (!kept)
        return fail_unit(u, UPG_ERR_MEMORY);
    for (size_t i = 0; i < n; i++) {
        if (list[i] == UPG_UNIT_NOTHING) {
            free(kept);
            return UPG_UNIT_NOTHING;
        }
        if (list[i] == UPG_UNIT_EMPTY)
            continue;
        if (merge && n_kept > 0 && is_expr(u, list[i]) && is_expr(u, kept[n_kept - 1]))
            kept[n_kept - 1] = upg_unit_expr(
                u, upg_expr_concat(x, u->nodes[kept[n_kept - 1]].a, u->nodes[list[i]].a));
        else
            kept[n_kept++] = list[i];
    }
    if (n_kept == 0)
        sequence = UPG_UNIT_EMPTY;
    else if (n_kept == 1)
        sequence = kept[0];
    else
        sequence = make_list(u, UPG_UNIT_KIND_SEQUENCE, kept, n_kept);
    free(kept);
    return sequence;
}

upg_unit upg_unit_choice(struct upg_units *u, struct upg_exprs *x, const upg_unit *list, size_t n,
                         bool merge)
{
    upg_unit *kept = malloc(n * sizeof *kept + 1), choice;
    upg_expr *exprs = malloc(n * sizeof *exprs + 1);
    size_t n_kept = 0, n_exprs = 0;
    bool has_empty = false;

    if (!kept || !exprs) {
        free(kept);
        free(exprs);
        return fail_unit(u, UPG_ERR_MEMORY);
    }
    for (size_t i = 0; i < n; i++) {
        bool is_known = list[i] == UPG_UNIT_NOTHING;

        for (size_t k = 0; k < n_kept && !is_known; k++)
            is_known = kept[k] == list[i];
        if (is_known)
            continue;
        if (merge && is_expr(u, list[i]))
            exprs[n_exprs++] = u->nodes[list[i]].a;
        else if (merge && list[i] == UPG_UNIT_EMPTY)
            has_empty = true;
        else
            kept[n_kept++] = list[i];
    }
    if (n_exprs > 0 && has_empty)
        kept[n_kept++] = upg_unit_expr(u, upg_expr_optional(x, upg_expr_or(x, exprs, n_exprs)));
    else if (n_exprs > 0)
        kept[n_kept++] = upg_unit_expr(u, upg_expr_or(x, exprs, n_exprs));
    else if (has_empty)
        kept[n_kept++] = UPG_UNIT_EMPTY;
    if (n_kept == 0)
        choice = UPG_UNIT_NOTHING;
    else if (n_kept == 1)
        choice = kept[0];
    else
        choice = make_list(u, UPG_UNIT_KIND_CHOICE, kept, n_kept);
    free(kept);
    free(exprs);
    return choice;
}

upg_unit upg_unit_repeat(struct upg_units *u, struct upg_exprs *x, upg_unit unit, uint32_t min,
                         uint32_t max, bool merge)
{
    if (unit == UPG_UNIT_NOTHING)
        return min == 0 ? UPG_UNIT_EMPTY : UPG_UNIT_NOTHING;
    if (unit == UPG_UNIT_EMPTY || max == 0)
        return UPG_UNIT_EMPTY;
    if (merge && is_expr(u, unit))
        return upg_unit_expr(u, upg_expr_repeat(x, u->nodes[unit].a, min, max));
    if (min == 1 && max == 1)
        return unit;
    return upg_unit_make(u, UPG_UNIT_KIND_REPEAT, unit, min, max, 0);
}
