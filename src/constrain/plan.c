/* plan.c -- how many tokens are missing to the end of a text?
 *
 * The *plan* of a cell is one of the shortest texts with which all that it stands for comes to its
 * end, byte by byte: each cell on the way leads to the next.  It depends on the cell alone, so what
 * is left of a plan is a plan, and the fewest tokens that spell it are found from its end.
 *
 * Tokens may be fewer for a longer text; a plan is not the best of all, but one that is there. */
#include "constrain/automaton.h"
#include "constrain/grow.h"

/* Cells of plans beyond this are not looked at: a byte counts as a token there. */
enum { MAX_PLAN = 8192 };

enum { NO_BYTE = 256 };

/* The least byte that brings a state nearer to its end; NO_BYTE if none is known to. */
static unsigned nearest_byte(struct upg_automaton *a, upg_state state, uint32_t distance)
{
    upg_state last = UPG_STATE_DEAD;

    if (!upg_state_fill(&a->states, state))
        return NO_BYTE;
    for (unsigned byte = 0; byte < 256; byte++) {
        const upg_state to = a->states.rows[a->states.infos[state].row][byte];

        if (to == UPG_STATE_DEAD || to == last)
            continue;
        if (upg_expr_known_length(&a->states, a->states.infos[to].expr) < distance)
            return byte;
        last = to;
    }
    return NO_BYTE;
}

/* One byte of a lexeme, or behind it. */
static upg_cell plan_lexeme(struct upg_automaton *a, struct upg_cell_node node,
                            struct upg_unit_node unit, unsigned *byte)
{
    const uint32_t distance = upg_expr_shortest(&a->states, a->states.infos[unit.a].expr);
    upg_state to;

    if (distance == 0)
        return node.next;
    if (distance >= UPG_FAR)
        return UPG_NO_ID;
    *byte = nearest_byte(a, unit.a, distance);
    if (*byte == NO_BYTE)
        return UPG_NO_ID;
    to = upg_state_step(&a->states, unit.a, *byte);
    return upg_cell_make(a,
                         upg_unit_make(&a->units, (enum upg_unit_kind)unit.kind, to,
                                       unit.kind == UPG_UNIT_KIND_NAME ? UPG_NO_ID : 0, 0, 0),
                         node.next);
}

static upg_cell plan_object(struct upg_automaton *a, struct upg_unit_node unit, upg_cell next)
{
    const struct upg_rest rest = upg_object_rest(a, unit);

    if (rest.first == UPG_REST_UNKNOWN)
        return UPG_NO_ID;
    if (rest.first == UPG_REST_END)
        return upg_cell_push_expr(a, a->grammar->marks.end[0], next);
    return upg_cell_of_member(a, unit, rest.first, next);
}

static upg_cell plan_array(struct upg_automaton *a, struct upg_unit_node unit, upg_cell next)
{
    const struct upg_array *array = &a->grammar->arrays[unit.a];
    const struct upg_rest rest = upg_array_rest(a, unit);
    uint32_t n_found = unit.c;

    if (rest.first == UPG_REST_END)
        return upg_cell_push_expr(a, a->grammar->marks.end[1], next);
    if (rest.first == array->found && unit.b >= array->n_prefix)
        n_found = upg_count_up(unit.c, array->min_found, array->max_found);
    return upg_cell_of_item(a, unit, rest.first, n_found, next);
}

/* The next cell of the plan, *byte in front of it; UPG_NO_ID at the end, or if the plan is not
 * known. */
static upg_cell plan_cell(struct upg_automaton *a, upg_cell cell, unsigned *byte)
{
    const struct upg_cell_node node = a->cells[cell];
    const struct upg_unit_node unit = a->units.nodes[node.unit];
    upg_cell next = node.next;

    *byte = NO_BYTE;
    switch ((enum upg_unit_kind)unit.kind) {
    case UPG_UNIT_KIND_END:
    case UPG_UNIT_KIND_NOTHING: return UPG_NO_ID;
    case UPG_UNIT_KIND_EMPTY: return next;
    case UPG_UNIT_KIND_EXPR:
        return upg_cell_make(a,
                             upg_unit_make(&a->units, UPG_UNIT_KIND_STATE,
                                           upg_state_of(&a->states, unit.a), 0, 0, 0),
                             next);
    case UPG_UNIT_KIND_SEQUENCE:
        for (uint32_t i = unit.b; i-- > 0;)
            next = upg_cell_push(a, a->units.lists[unit.a + i], next);
        return next;
    case UPG_UNIT_KIND_CHOICE: return upg_cell_push(a, a->grammar->nearest[node.unit], next);
    case UPG_UNIT_KIND_REPEAT: return unit.b > 0 ? upg_cell_of_repeat(a, unit, next) : next;
    case UPG_UNIT_KIND_RULE: return upg_cell_push(a, a->grammar->rules[unit.a], next);
    case UPG_UNIT_KIND_OBJECT: return plan_object(a, unit, next);
    case UPG_UNIT_KIND_VALUE: return upg_cell_of_value(a, unit, next);
    case UPG_UNIT_KIND_ARRAY: return plan_array(a, unit, next);
    case UPG_UNIT_KIND_STATE:
    case UPG_UNIT_KIND_NAME: return plan_lexeme(a, node, unit, byte);
    }
    return UPG_NO_ID;
}

static upg_cell next_of_plan(struct upg_automaton *a, upg_cell cell)
{
    if (!a->cells[cell].is_planned) {
        unsigned byte;
        const upg_cell next = plan_cell(a, cell, &byte);

        a->cells[cell].plan = next;
        a->cells[cell].plan_byte = (uint16_t)byte;
        a->cells[cell].is_planned = true;
    }
    return a->cells[cell].plan;
}

/* The cell behind the next byte of the plan and the tree's node for that byte below *node; UPG_NO_ID
 * where no token goes on so. */
static upg_cell follow_plan(struct upg_automaton *a, upg_cell cell, uint32_t *node)
{
    const struct upg_vocabulary *v = a->grammar->vocabulary;

    while (cell != UPG_NO_ID) {
        const upg_cell next = next_of_plan(a, cell);
        const unsigned byte = a->cells[cell].plan_byte;

        cell = next;
        if (byte == NO_BYTE || cell == UPG_NO_ID)
            continue;
        *node = upg_vocabulary_child(v, *node, (uint8_t)byte);
        return *node != 0 ? cell : UPG_NO_ID;
    }
    return UPG_NO_ID;
}

/* Tokens from a cell on when those of all cells behind it on the plan are known. */
static uint32_t count_tokens(struct upg_automaton *a, upg_cell cell)
{
    const struct upg_vocabulary *v = a->grammar->vocabulary;
    uint32_t best = UPG_FAR;

    if (a->cells[cell].plan_byte == NO_BYTE)
        return a->cells[a->cells[cell].plan].n_tokens;
    for (size_t tree = 0; tree < UPG_N_TREES; tree++) {
        uint32_t node = v->trees[tree].root;

        for (upg_cell at = cell; (at = follow_plan(a, at, &node)) != UPG_NO_ID;)
            if (v->nodes[node].token >= 0 && a->cells[at].n_tokens < best)
                best = a->cells[at].n_tokens + 1;
    }
    return best;
}

uint32_t upg_cell_n_tokens(struct upg_automaton *a, upg_cell cell)
{
    upg_cell *path = NULL;
    size_t n = 0, capacity = 0;

    while (a->cells[cell].n_tokens == UPG_NO_ID) {
        upg_cell *grown = upg_grow(path, &capacity, n + 1, sizeof *grown);

        if (!grown) {
            free(path);
            a->failed = UPG_ERR_MEMORY;
            return UPG_FAR;
        }
        path = grown;
        path[n++] = cell;
        if (n == MAX_PLAN || next_of_plan(a, cell) == UPG_NO_ID)
            break;
        cell = a->cells[cell].plan;
    }
    if (n > 0 && (n == MAX_PLAN || a->cells[path[n - 1]].plan == UPG_NO_ID)) {
        n--;
        a->cells[path[n]].n_tokens = upg_cell_distance(a, path[n]);
    }
    while (n-- > 0 && a->failed == UPG_OK)
        a->cells[path[n]].n_tokens = count_tokens(a, path[n]);
    cell = path ? path[0] : cell;
    free(path);
    return a->cells[cell].n_tokens;
}

void upg_plan_mask(struct upg_automaton *a, upg_cell cell, size_t limit, uint32_t *bits)
{
    const struct upg_vocabulary *v = a->grammar->vocabulary;

    for (size_t tree = 0; tree < UPG_N_TREES; tree++) {
        uint32_t node = v->trees[tree].root;

        for (upg_cell at = cell; (at = follow_plan(a, at, &node)) != UPG_NO_ID;) {
            const int32_t token = v->nodes[node].token;
            if (token >= 0 && upg_cell_n_tokens(a, at) <= limit)
                bits[token / 32] |= 1u << (token % 32);
        }
    }
}

size_t upg_place_n_tokens(struct upg_automaton *a, upg_place place)
{
    const struct upg_place_node node = a->places[place];
    uint32_t best = UPG_FAR;

    a->states.search_work_left = UPG_MASK_SEARCH_WORK;
    for (uint32_t i = 0; i < node.n && a->failed == UPG_OK; i++) {
        const uint32_t n_tokens = upg_cell_n_tokens(a, a->place_cells[node.first + i]);
        best = n_tokens < best ? n_tokens : best;
    }
    return best < UPG_FAR ? best : SIZE_MAX;
}
