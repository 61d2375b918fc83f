/* expand.c -- from units to the lexemes that may begin now. */
#include "constrain/automaton.h"
#include "constrain/grow.h"
#include "constrain/json_text.h"

#include <string.h>

static void fail_expansion(struct upg_automaton *a, upg_status why)
{
    if (a->failed == UPG_OK)
        a->failed = why;
}

/* Put a cell on the list of those to be expanded, once an expansion. */
static void visit(struct upg_automaton *a, upg_cell cell)
{
    upg_cell *work;

    if (cell == UPG_NO_ID)
        return;
    if (cell >= a->n_marks) {
        uint32_t *marks = upg_grow(a->marks, &a->mark_capacity, (size_t)cell + 1, sizeof *marks);
        if (!marks) {
            fail_expansion(a, UPG_ERR_MEMORY);
            return;
        }
        a->marks = marks;
        memset(marks + a->n_marks, 0, (a->mark_capacity - a->n_marks) * sizeof *marks);
        a->n_marks = a->mark_capacity;
    }
    if (a->marks[cell] == a->n_expansions)
        return;
    work = upg_grow(a->work, &a->work_capacity, a->n_work + 1, sizeof *work);
    if (!work) {
        fail_expansion(a, UPG_ERR_MEMORY);
        return;
    }
    a->work = work;
    a->marks[cell] = a->n_expansions;
    work[a->n_work++] = cell;
}

upg_cell upg_cell_push(struct upg_automaton *a, upg_unit unit, upg_cell next)
{
    if (next == UPG_NO_ID || unit == UPG_UNIT_EMPTY)
        return next;
    return upg_cell_make(a, unit, next);
}

upg_cell upg_cell_push_expr(struct upg_automaton *a, upg_expr e, upg_cell next)
{
    return upg_cell_push(a, upg_unit_expr(&a->units, e), next);
}

/* One of the times that a repetition's unit may come, then the others. */
upg_cell upg_cell_of_repeat(struct upg_automaton *a, struct upg_unit_node unit, upg_cell next)
{
    const uint32_t min = unit.b ? unit.b - 1 : 0;
    const uint32_t max = unit.c == UPG_EXPR_UNBOUNDED ? unit.c : unit.c - 1;

    if (max > 0)
        next = upg_cell_push(a, upg_unit_make(&a->units, UPG_UNIT_KIND_REPEAT, unit.a, min, max, 0),
                             next);
    return upg_cell_push(a, unit.a, next);
}

/* Member `index` of an object, then the rest of it. */
upg_cell upg_cell_of_member(struct upg_automaton *a, struct upg_unit_node unit, uint32_t index,
                            upg_cell next)
{
    const struct upg_object *object = &a->grammar->objects[unit.a];
    const upg_unit rest = upg_unit_make(&a->units, UPG_UNIT_KIND_OBJECT, unit.a, index + 1,
                                        upg_count_up(unit.c, object->min, object->max), unit.d);

    return upg_cell_push_expr(
        a, object->members[index].name[unit.c > 0],
        upg_cell_push(a, object->members[index].value, upg_cell_push(a, rest, next)));
}

/* Behind a free member's name: its value, then the rest of the object. */
upg_cell upg_cell_of_value(struct upg_automaton *a, struct upg_unit_node unit, upg_cell next)
{
    const struct upg_object *object = &a->grammar->objects[unit.a];
    const upg_unit rest = upg_unit_make(&a->units, UPG_UNIT_KIND_OBJECT, unit.a, object->n_members,
                                        upg_count_up(unit.c, object->min, object->max), unit.d);

    return upg_cell_push_expr(
        a, a->grammar->marks.colon,
        upg_cell_push(a, object->classes[unit.b].value, upg_cell_push(a, rest, next)));
}

/* An item of an array with which n_found are found, then the rest of it. */
upg_cell upg_cell_of_item(struct upg_automaton *a, struct upg_unit_node unit, upg_unit item,
                          uint32_t n_found, upg_cell next)
{
    const struct upg_array *array = &a->grammar->arrays[unit.a];
    const struct upg_json_marks *marks = &a->grammar->marks;
    const uint32_t min = array->min > array->n_prefix ? array->min : array->n_prefix;
    const upg_unit rest = upg_unit_make(&a->units, UPG_UNIT_KIND_ARRAY, unit.a,
                                        upg_count_up(unit.b, min, array->max), n_found, 0);

    return upg_cell_push_expr(a, unit.b > 0 ? marks->comma : marks->space,
                              upg_cell_push(a, item, upg_cell_push(a, rest, next)));
}

/* A cell that may be part of the place. */
static void found(struct upg_automaton *a, upg_cell cell)
{
    upg_cell *seen = upg_grow(a->seen, &a->seen_capacity, a->n_seen + 1, sizeof *seen);

    if (!seen) {
        fail_expansion(a, UPG_ERR_MEMORY);
        return;
    }
    a->seen = seen;
    if (a->n_seen == UPG_PLACE_MAX_CELLS)
        fail_expansion(a, UPG_ERR_UNSUPPORTED);
    else
        seen[a->n_seen++] = cell;
}

static void begin_lexeme(struct upg_automaton *a, upg_expr e, upg_cell next)
{
    const upg_state state = upg_state_of(&a->states, e);
    const uint8_t flags = upg_state_flags(&a->states, state);

    if (state == UPG_STATE_DEAD)
        return;
    if (!(flags & UPG_STATE_FINAL)) {
        const upg_cell cell =
            upg_cell_make(a, upg_unit_make(&a->units, UPG_UNIT_KIND_STATE, state, 0, 0, 0), next);
        if (cell != UPG_NO_ID)
            found(a, cell);
    }
    if (flags & UPG_STATE_ACCEPTS)
        visit(a, next);
}

static void expand_list(struct upg_automaton *a, struct upg_unit_node unit, upg_cell next)
{
    if (unit.kind == UPG_UNIT_KIND_CHOICE) {
        for (uint32_t i = 0; i < unit.b; i++) {
            const upg_unit choice = a->units.lists[unit.a + i];
            if (upg_unit_is_productive(a->grammar, choice))
                visit(a, upg_cell_push(a, choice, next));
        }
        return;
    }
    for (uint32_t i = unit.b; i-- > 0;)
        next = upg_cell_push(a, a->units.lists[unit.a + i], next);
    visit(a, next);
}

static void expand_repeat(struct upg_automaton *a, struct upg_unit_node unit, upg_cell next)
{
    if (unit.b == 0)
        visit(a, next);
    if (upg_unit_is_productive(a->grammar, unit.a))
        visit(a, upg_cell_of_repeat(a, unit, next));
}

/* How many names are used: names are operands of a union. */
static size_t n_used(const struct upg_automaton *a, upg_expr used)
{
    const struct upg_expr_node *node = upg_expr_get(&a->states.exprs, used);

    if (used == UPG_EXPR_NONE)
        return 0;
    return node->kind == UPG_EXPR_KIND_OR ? node->b : 1;
}

static void expand_free_member(struct upg_automaton *a, struct upg_unit_node unit, uint32_t index,
                               upg_cell next)
{
    const struct upg_object *object = &a->grammar->objects[unit.a];
    const struct upg_json_marks *marks = &a->grammar->marks;
    const upg_expr quote = marks->quote[unit.c > 0];
    upg_expr name = object->classes[index].name;
    upg_state state;
    upg_cell cell;

    if (!upg_unit_is_productive(a->grammar, object->classes[index].value))
        return;
    cell = upg_cell_push(
        a, upg_unit_make(&a->units, UPG_UNIT_KIND_VALUE, unit.a, index, unit.c, unit.d), next);
    if (unit.d == UPG_EXPR_ALL) { /* not known which names are used: up to the quote, no further */
        visit(a, upg_cell_push_expr(a, quote, upg_cell_push_expr(a, marks->barrier, cell)));
        return;
    }
    if (n_used(a, unit.d) >= UPG_OBJECT_MAX_FREE)
        return;
    if (unit.d != UPG_EXPR_NONE)
        name = upg_expr_and2(&a->states.exprs, name, upg_expr_not(&a->states.exprs, unit.d));
    state = upg_state_of(&a->states, name);
    if (state == UPG_STATE_DEAD)
        return;
    cell = upg_cell_push(a, upg_unit_make(&a->units, UPG_UNIT_KIND_NAME, state, UPG_NO_ID, 0, 0),
                         cell);
    visit(a, upg_cell_push_expr(a, quote, cell));
}

static bool has_free_members(const struct upg_automaton *a, const struct upg_object *object)
{
    for (uint32_t i = 0; i < object->n_classes; i++)
        if (upg_unit_is_productive(a->grammar, object->classes[i].value))
            return true;
    return false;
}

/* What may come in an object that has unit.c members, when those before member unit.b are
 * decided. */
static void expand_object(struct upg_automaton *a, struct upg_unit_node unit, upg_cell next)
{
    const struct upg_object *object = &a->grammar->objects[unit.a];
    const bool has_free = has_free_members(a, object);
    uint32_t n_required = 0, n_possible = 0, i;

    for (i = unit.b; i < object->n_members; i++) {
        n_required += object->members[i].required;
        n_possible += upg_unit_is_productive(a->grammar, object->members[i].value);
    }
    for (i = unit.b; i < object->n_members; i++) {
        const struct upg_member *member = &object->members[i];
        const bool possible = upg_unit_is_productive(a->grammar, member->value);

        n_possible -= possible;
        n_required -= member->required;
        if (possible && unit.c + 1 + n_required <= object->max &&
            (has_free || unit.c + 1 + n_possible >= object->min))
            visit(a, upg_cell_of_member(a, unit, i, next));
        if (member->required)
            return;
    }
    for (i = 0; i < object->n_classes && unit.c < object->max; i++)
        expand_free_member(a, unit, i, next);
    if (unit.c >= object->min)
        visit(a, upg_cell_push_expr(a, a->grammar->marks.end[0], next));
}

static void expand_item(struct upg_automaton *a, struct upg_unit_node unit, upg_unit item,
                        uint32_t n_found, upg_cell next)
{
    if (upg_unit_is_productive(a->grammar, item))
        visit(a, upg_cell_of_item(a, unit, item, n_found, next));
}

static void expand_array(struct upg_automaton *a, struct upg_unit_node unit, upg_cell next)
{
    const struct upg_array *array = &a->grammar->arrays[unit.a];
    const upg_unit item = unit.b < array->n_prefix ? array->prefix[unit.b] : array->item;
    const uint32_t room = array->max - unit.b; /* items that may still come */

    if (unit.b >= array->min && unit.c >= array->min_found)
        visit(a, upg_cell_push_expr(a, a->grammar->marks.end[1], next));
    if (room == 0)
        return;
    if (array->found == UPG_UNIT_NOTHING) {
        expand_item(a, unit, item, 0, next);
        return;
    }
    if (unit.c >= array->min_found || room > array->min_found - unit.c)
        expand_item(a, unit, item, unit.c, next);
    if (unit.b >= array->n_prefix && unit.c < array->max_found)
        expand_item(a, unit, array->found, upg_count_up(unit.c, array->min_found, array->max_found),
                    next);
}

static void expand_cell(struct upg_automaton *a, upg_cell cell)
{
    const struct upg_cell_node node = a->cells[cell];
    const struct upg_unit_node unit = a->units.nodes[node.unit];

    switch ((enum upg_unit_kind)unit.kind) {
    case UPG_UNIT_KIND_NOTHING: break;
    case UPG_UNIT_KIND_END:
    case UPG_UNIT_KIND_STATE:
    case UPG_UNIT_KIND_NAME: found(a, cell); break;
    case UPG_UNIT_KIND_EMPTY: visit(a, node.next); break;
    case UPG_UNIT_KIND_EXPR: begin_lexeme(a, unit.a, node.next); break;
    case UPG_UNIT_KIND_SEQUENCE:
    case UPG_UNIT_KIND_CHOICE: expand_list(a, unit, node.next); break;
    case UPG_UNIT_KIND_REPEAT: expand_repeat(a, unit, node.next); break;
    case UPG_UNIT_KIND_RULE:
        visit(a, upg_cell_push(a, a->grammar->rules[unit.a], node.next));
        break;
    case UPG_UNIT_KIND_OBJECT: expand_object(a, unit, node.next); break;
    case UPG_UNIT_KIND_VALUE: visit(a, upg_cell_of_value(a, unit, node.next)); break;
    case UPG_UNIT_KIND_ARRAY: expand_array(a, unit, node.next); break;
    }
}

upg_place upg_cell_expand(struct upg_automaton *a, upg_cell cell)
{
    size_t n_steps = 0;

    a->n_expansions++;
    a->n_work = a->n_seen = 0;
    visit(a, cell);
    while (a->n_work > 0 && a->failed == UPG_OK) {
        if (++n_steps > UPG_EXPAND_MAX_STEPS)
            fail_expansion(a, UPG_ERR_UNSUPPORTED);
        expand_cell(a, a->work[--a->n_work]);
    }
    return a->failed == UPG_OK ? upg_place_make(a, a->seen, a->n_seen) : UPG_PLACE_DEAD;
}

/* The expression of all spellings of a name, the closing quote included, from its text. */
static upg_expr spellings(struct upg_automaton *a, uint32_t name)
{
    size_t n = 0, i;
    char *text;
    upg_expr e;

    for (uint32_t at = name; at != UPG_NO_ID; at = a->names[at].previous)
        n++;
    text = malloc(n + 1);
    if (!text) {
        fail_expansion(a, UPG_ERR_MEMORY);
        return UPG_EXPR_NONE;
    }
    i = n;
    for (uint32_t at = name; at != UPG_NO_ID; at = a->names[at].previous)
        text[--i] = (char)a->names[at].byte;
    e = upg_json_respell(&a->states.exprs, text, n - 1); /* without the quote */
    free(text);
    return upg_expr_concat(&a->states.exprs, e, upg_expr_text(&a->states.exprs, "\"", 1));
}

static upg_place behind_name(struct upg_automaton *a, upg_cell value, uint32_t name)
{
    const struct upg_cell_node node = a->cells[value];
    const struct upg_unit_node unit = a->units.nodes[node.unit];
    const upg_expr used = name == UPG_NO_ID || unit.d == UPG_EXPR_ALL
                              ? UPG_EXPR_ALL
                              : upg_expr_or2(&a->states.exprs, unit.d, spellings(a, name));

    return upg_cell_expand(a, upg_cell_push(a,
                                            upg_unit_make(&a->units, UPG_UNIT_KIND_VALUE, unit.a,
                                                          unit.b, unit.c, used),
                                            node.next));
}

upg_place upg_cell_behind(struct upg_automaton *a, upg_cell cell, uint32_t name)
{
    const struct upg_cell_node node = a->cells[cell];

    if (a->units.nodes[node.unit].kind == UPG_UNIT_KIND_NAME)
        return behind_name(a, node.next, name);
    if (a->cells[node.next].expanded == UPG_NO_ID) {
        const upg_place expanded = upg_cell_expand(a, node.next);
        a->cells[node.next].expanded = expanded;
    }
    return a->cells[node.next].expanded;
}
