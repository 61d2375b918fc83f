/* distance.c -- how many bytes are missing to the end of a text?
 *
 * The distance of a unit is the length of its shortest text, found for all units of a grammar at
 * once: parts from below give wholes, until nothing changes any more (Knuth 1977, "A generalization
 * of Dijkstra's algorithm"). A stack needs what its units need one after the other.
 *
 * Objects and arrays need what is required of them, and the cheapest of what else is missing.  The
 * names of further free members are not looked for: the count of short names says how long the
 * next one that is not used may have to be. */
#include "constrain/automaton.h"
#include "constrain/grow.h"

#include <string.h>

enum { MAX_PASSES = 200 };

/* Work for finding lengths while a grammar is measured: 70 ms. */
enum { SEARCH_WORK = 1000000 };

/* Members that are not required by name, but by their number; if more are missing, the distance is
 * not known. */
enum { MAX_MORE = 32 };

/* Names up to this length are counted, in a lexeme of so many states. */
enum { MAX_NAME = 24, MAX_NAME_STATES = 64 };

/* Where the numbers come from. */
struct ruler {
    const struct upg_grammar *g;
    struct upg_states *states;
    const uint32_t *distances; /* [g->units.n] */
};

/* A member that an object lacks; those with equal costs in the order of `index`. */
struct lack {
    uint32_t cost, index;
};

static uint32_t times(uint32_t n, uint32_t distance)
{
    const uint64_t product = (uint64_t)n * distance;

    return product < UPG_FAR ? (uint32_t)product : UPG_FAR;
}

static uint32_t of_expr(const struct ruler *r, upg_expr e)
{
    return upg_expr_shortest(r->states, e);
}

static int compare_lacks(const void *p, const void *q)
{
    const struct lack *a = p, *b = q;

    if (a->cost != b->cost)
        return a->cost < b->cost ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* counts[i]: beginnings of names, without escapes, that lead to states[i]. */
struct name_counts {
    upg_state states[MAX_NAME_STATES];
    uint32_t counts[MAX_NAME_STATES];
    size_t n;
};

static void count_name(struct name_counts *names, upg_state state, uint32_t count)
{
    size_t i = 0;

    while (i < names->n && names->states[i] != state)
        i++;
    if (i == MAX_NAME_STATES)
        return; /* fewer names than there are: they seem longer */
    if (i == names->n) {
        names->states[names->n++] = state;
        names->counts[i] = 0;
    }
    names->counts[i] += count;
    if (names->counts[i] > UPG_OBJECT_MAX_FREE)
        names->counts[i] = UPG_OBJECT_MAX_FREE + 1;
}

/* If n names of the class are used, some other one has at most this many bytes, its quote
 * included.  A name without escapes has one spelling. */
static uint32_t name_length(const struct ruler *r, upg_expr class_name, uint32_t n)
{
    struct name_counts now = {.n = 0}, next;
    uint32_t n_names = 0;

    count_name(&now, upg_state_of(r->states, class_name), 1);
    for (uint32_t length = 1; length <= MAX_NAME; length++, now = next) {
        next.n = 0;
        for (size_t i = 0; i < now.n; i++)
            for (unsigned byte = 0; byte < 256; byte++) {
                const upg_state to =
                    byte == '\\' ? UPG_STATE_DEAD : upg_state_step(r->states, now.states[i], byte);
                if (to == UPG_STATE_DEAD)
                    continue;
                if (r->states->infos[to].flags & UPG_STATE_ACCEPTS)
                    n_names += now.counts[i];
                else
                    count_name(&next, to, now.counts[i]);
            }
        if (n_names > n)
            return length;
    }
    return UPG_FAR;
}

/* A free member of the cheapest class when n names are used, with its comma. */
static uint32_t of_free_member(const struct ruler *r, const struct upg_object *object, uint32_t n)
{
    const struct upg_json_marks *marks = &r->g->marks;
    uint32_t best = UPG_FAR;

    for (uint32_t i = 0; i < object->n_classes; i++) {
        const uint32_t value = r->distances[object->classes[i].value];
        uint32_t cost;

        if (value >= best)
            continue;
        cost = upg_far_sum(value, name_length(r, object->classes[i].name, n));
        cost = upg_far_sum(cost, of_expr(r, marks->quote[1]) + of_expr(r, marks->colon));
        best = cost < best ? cost : best;
    }
    return best;
}

/* The shortest that may be left of an object: all that is required, and the cheapest of what else
 * is missing. */
static struct upg_rest rest_of_object(const struct ruler *r, struct upg_unit_node unit)
{
    const struct upg_object *object = &r->g->objects[unit.a];
    const struct upg_json_marks *marks = &r->g->marks;
    const uint32_t n_left = object->n_members - unit.b;
    struct upg_rest rest = {of_expr(r, marks->end[0]), UPG_REST_END};
    uint32_t n_here = unit.c, n_lacks = 0, n_more;
    struct lack *lacks;

    for (uint32_t i = unit.b; i < object->n_members; i++)
        n_here += object->members[i].required;
    n_more = object->min > n_here ? object->min - n_here : 0;
    if (n_more > MAX_MORE)
        return (struct upg_rest){UPG_FAR, UPG_REST_UNKNOWN};
    lacks = malloc((n_left + n_more + 1) * sizeof *lacks);
    if (!lacks) {
        r->states->exprs.failed = UPG_ERR_MEMORY;
        return (struct upg_rest){UPG_FAR, UPG_REST_UNKNOWN};
    }
    for (uint32_t i = unit.b; i < object->n_members; i++) {
        const struct upg_member *member = &object->members[i];
        const uint32_t cost =
            member->required || n_more > 0
                ? upg_far_sum(of_expr(r, member->name[1]), r->distances[member->value])
                : 0;

        if (member->required) {
            rest.distance = upg_far_sum(rest.distance, cost);
            rest.first = i < rest.first ? i : rest.first;
        } else if (n_more > 0) {
            lacks[n_lacks++] = (struct lack){cost, i};
        }
    }
    for (uint32_t i = 0; i < n_more; i++)
        lacks[n_lacks++] = (struct lack){of_free_member(r, object, unit.c + i), UPG_REST_UNKNOWN};
    qsort(lacks, n_lacks, sizeof *lacks, compare_lacks);
    for (uint32_t i = 0; i < n_more; i++) {
        rest.distance = upg_far_sum(rest.distance, lacks[i].cost);
        rest.first = lacks[i].index < rest.first ? lacks[i].index : rest.first;
    }
    free(lacks);
    if (unit.c == 0 && rest.first != UPG_REST_END && rest.distance < UPG_FAR)
        rest.distance -= of_expr(r, marks->comma) - of_expr(r, marks->space);
    return rest;
}

/* The shortest that may be left of an array. */
static struct upg_rest rest_of_array(const struct ruler *r, struct upg_unit_node unit)
{
    const struct upg_array *array = &r->g->arrays[unit.a];
    const struct upg_json_marks *marks = &r->g->marks;
    const uint32_t n_first = unit.b < array->n_prefix ? array->n_prefix - unit.b : 0;
    const uint32_t n_found = unit.c < array->min_found ? array->min_found - unit.c : 0;
    uint32_t n = unit.b < array->min ? array->min - unit.b : 0, n_others, items = 0;
    uint32_t between = of_expr(r, marks->comma);
    struct upg_rest rest = {of_expr(r, marks->end[1]), UPG_REST_END};

    if (n_found > 0 && n < n_first + n_found)
        n = n_first + n_found;
    if (n == 0)
        return rest;
    for (uint32_t i = 0; i < n_first && i < n; i++)
        items = upg_far_sum(items, r->distances[array->prefix[unit.b + i]]);
    n_others = n > n_first ? n - n_first - n_found : 0;
    items = upg_far_sum(items, times(n_found, r->distances[array->found]));
    if (r->distances[array->item] < UPG_FAR || array->found == UPG_UNIT_NOTHING)
        items = upg_far_sum(items, times(n_others, r->distances[array->item]));
    else
        items = upg_far_sum(items, times(n_others, r->distances[array->found]));
    rest.distance = upg_far_sum(upg_far_sum(rest.distance, items), times(n, between));
    if (unit.b == 0 && rest.distance < UPG_FAR)
        rest.distance -= between - of_expr(r, marks->space);
    if (n_first > 0)
        rest.first = array->prefix[unit.b];
    else if (n_found > 0 || r->distances[array->item] >= UPG_FAR)
        rest.first = array->found;
    else
        rest.first = array->item;
    return rest;
}

static uint32_t of_sequence(const struct ruler *r, const struct upg_units *units,
                            struct upg_unit_node unit)
{
    uint32_t distance = 0;

    for (uint32_t i = 0; i < unit.b; i++)
        distance = upg_far_sum(distance, r->distances[units->lists[unit.a + i]]);
    return distance;
}

static upg_unit nearest(const struct ruler *r, const struct upg_units *units,
                        struct upg_unit_node choice)
{
    upg_unit best = UPG_UNIT_NOTHING;

    for (uint32_t i = 0; i < choice.b; i++)
        if (r->distances[units->lists[choice.a + i]] < r->distances[best])
            best = units->lists[choice.a + i];
    return best;
}

static uint32_t of_unit(const struct ruler *r, const struct upg_units *units, upg_unit number)
{
    struct upg_unit_node unit = units->nodes[number];
    uint32_t distance;

    switch ((enum upg_unit_kind)unit.kind) {
    case UPG_UNIT_KIND_END:
    case UPG_UNIT_KIND_EMPTY: return 0;
    case UPG_UNIT_KIND_NOTHING: return UPG_FAR;
    case UPG_UNIT_KIND_EXPR: return of_expr(r, unit.a);
    case UPG_UNIT_KIND_SEQUENCE: return of_sequence(r, units, unit);
    case UPG_UNIT_KIND_CHOICE: return r->distances[nearest(r, units, unit)];
    case UPG_UNIT_KIND_REPEAT: return times(unit.b, r->distances[unit.a]);
    case UPG_UNIT_KIND_RULE: return r->distances[r->g->rules[unit.a]];
    case UPG_UNIT_KIND_OBJECT: return rest_of_object(r, unit).distance;
    case UPG_UNIT_KIND_ARRAY: return rest_of_array(r, unit).distance;
    case UPG_UNIT_KIND_STATE:
    case UPG_UNIT_KIND_NAME: return of_expr(r, r->states->infos[unit.a].expr);
    case UPG_UNIT_KIND_VALUE:
        distance = upg_far_sum(of_expr(r, r->g->marks.colon),
                               r->distances[r->g->objects[unit.a].classes[unit.b].value]);
        unit.b = r->g->objects[unit.a].n_members;
        unit.c = upg_count_up(unit.c, r->g->objects[unit.a].min, r->g->objects[unit.a].max);
        return upg_far_sum(distance, rest_of_object(r, unit).distance);
    }
    return UPG_FAR;
}

/* Forwards and backwards in turn: parts are mostly made before wholes, rules in any order.  What a
 * choice became nearer by was known before, so that following nearest units comes to an end. */
static void measure_units(const struct ruler *r, uint32_t *distances, upg_unit *nearest_units)
{
    const struct upg_units *units = &r->g->units;
    bool changed = true;

    for (size_t pass = 0; changed && pass < MAX_PASSES; pass++) {
        changed = false;
        for (size_t i = 0; i < units->n && r->states->exprs.failed == UPG_OK; i++) {
            const upg_unit unit = (upg_unit)(pass % 2 == 0 ? i : units->n - 1 - i);
            uint32_t distance;

            if (pass > 0 && units->nodes[unit].kind == UPG_UNIT_KIND_EXPR)
                continue;
            distance = of_unit(r, units, unit);
            if (distance >= distances[unit])
                continue;
            changed = true;
            distances[unit] = distance;
            if (units->nodes[unit].kind == UPG_UNIT_KIND_CHOICE)
                nearest_units[unit] = nearest(r, units, units->nodes[unit]);
        }
    }
}

upg_status upg_grammar_measure(struct upg_grammar *g, upg_error *err)
{
    struct upg_states states = {.exprs = g->exprs, .search_work_left = SEARCH_WORK};
    upg_status status;

    g->distances = malloc(g->units.n * sizeof *g->distances);
    g->nearest = malloc(g->units.n * sizeof *g->nearest);
    if (!g->distances || !g->nearest)
        return upg_fail_memory(err, "a grammar", g->units.n * sizeof *g->distances);
    for (size_t i = 0; i < g->units.n; i++) {
        g->distances[i] = UPG_FAR;
        g->nearest[i] = UPG_UNIT_NOTHING;
    }
    measure_units(&(struct ruler){g, &states, g->distances}, g->distances, g->nearest);
    status = upg_exprs_check(&states.exprs, "the grammar", err);
    g->exprs = states.exprs; /* the searches made new ones */
    upg_exprs_forget(&g->exprs);
    g->lengths = states.lengths;
    g->n_lengths = states.n_lengths;
    states.exprs = (struct upg_exprs){0};
    states.lengths = NULL;
    upg_states_clear(&states);
    return status;
}

static struct ruler ruler_of(struct upg_automaton *a)
{
    return (struct ruler){a->grammar, &a->states, a->grammar->distances};
}

uint32_t upg_unit_distance(struct upg_automaton *a, upg_unit unit)
{
    const enum upg_unit_kind kind = (enum upg_unit_kind)a->units.nodes[unit].kind;
    const bool is_kept =
        kind == UPG_UNIT_KIND_OBJECT || kind == UPG_UNIT_KIND_ARRAY || kind == UPG_UNIT_KIND_VALUE;
    const struct ruler ruler = ruler_of(a);
    uint32_t *kept;

    if (unit < a->grammar->units.n)
        return a->grammar->distances[unit];
    if (!is_kept)
        return of_unit(&ruler, &a->units, unit);
    if (unit >= a->n_unit_distances) {
        kept =
            upg_grow(a->unit_distances, &a->unit_distance_capacity, (size_t)unit + 1, sizeof *kept);
        if (!kept) {
            a->failed = UPG_ERR_MEMORY;
            return UPG_FAR;
        }
        a->unit_distances = kept;
        for (; a->n_unit_distances < a->unit_distance_capacity; a->n_unit_distances++)
            kept[a->n_unit_distances] = UPG_NO_ID;
    }
    if (a->unit_distances[unit] == UPG_NO_ID)
        a->unit_distances[unit] = of_unit(&ruler, &a->units, unit);
    return a->unit_distances[unit];
}

uint32_t upg_cell_distance(struct upg_automaton *a, upg_cell cell)
{
    const struct upg_cell_node node = a->cells[cell];

    if (node.distance != UPG_NO_ID)
        return node.distance;
    return upg_far_sum(upg_unit_distance(a, node.unit), upg_cell_distance(a, node.next));
}

uint32_t upg_place_distance(struct upg_automaton *a, upg_place place)
{
    const struct upg_place_node node = a->places[place];
    uint32_t best = UPG_FAR;

    if (node.distance != UPG_NO_ID)
        return node.distance;
    for (uint32_t i = 0; i < node.n; i++) {
        const uint32_t distance = upg_cell_distance(a, a->place_cells[node.first + i]);
        best = distance < best ? distance : best;
    }
    if (best < UPG_FAR)
        a->places[place].distance = best;
    return best;
}

struct upg_rest upg_object_rest(struct upg_automaton *a, struct upg_unit_node unit)
{
    const struct ruler ruler = ruler_of(a);

    return rest_of_object(&ruler, unit);
}

struct upg_rest upg_array_rest(struct upg_automaton *a, struct upg_unit_node unit)
{
    const struct ruler ruler = ruler_of(a);

    return rest_of_array(&ruler, unit);
}
