/* automaton.c -- cells and places, kept once; steps, remembered. */
#include "constrain/automaton.h"

#include "constrain/grow.h"
#include "constrain/heads.h"

#include <string.h>

static bool fail_automaton(struct upg_automaton *a, upg_status why)
{
    if (a->failed == UPG_OK)
        a->failed = why;
    return false;
}

/* The distance of a cell, unless it or the next one is inside a lexeme. */
static uint32_t frame_distance(struct upg_automaton *a, upg_unit unit, upg_cell next)
{
    const uint32_t kind = a->units.nodes[unit].kind;

    if (kind == UPG_UNIT_KIND_END)
        return 0;
    if (kind == UPG_UNIT_KIND_STATE || kind == UPG_UNIT_KIND_NAME ||
        a->cells[next].distance == UPG_NO_ID)
        return UPG_NO_ID;
    return upg_far_sum(upg_unit_distance(a, unit), a->cells[next].distance);
}

upg_cell upg_cell_make(struct upg_automaton *a, upg_unit unit, upg_cell next)
{
    const uint32_t words[] = {unit, next}, hash = upg_id_hash(words, 2);
    size_t cursor = SIZE_MAX;
    struct upg_cell_node *cells;
    uint32_t id;

    while ((id = upg_id_table_next(&a->cell_table, hash, &cursor)) != UPG_NO_ID)
        if (a->cells[id].unit == unit && a->cells[id].next == next)
            return id;
    cells = upg_grow(a->cells, &a->cell_capacity, a->n_cells + 1, sizeof *cells);
    if (cells)
        a->cells = cells;
    if (!cells || !upg_id_table_add(&a->cell_table, hash, (uint32_t)a->n_cells)) {
        fail_automaton(a, UPG_ERR_MEMORY);
        return UPG_NO_ID;
    }
    cells[a->n_cells] = (struct upg_cell_node){.unit = unit,
                                               .next = next,
                                               .expanded = UPG_NO_ID,
                                               .distance = frame_distance(a, unit, next),
                                               .n_tokens = UPG_NO_ID};
    return (upg_cell)a->n_cells++;
}

static int compare_cells(const void *p, const void *q)
{
    const upg_cell a = *(const upg_cell *)p, b = *(const upg_cell *)q;

    return a < b ? -1 : a > b;
}

upg_place upg_place_make(struct upg_automaton *a, upg_cell *cells, size_t n)
{
    uint32_t hash, id;
    size_t cursor = SIZE_MAX, n_kept = 0;
    struct upg_place_node *places;
    upg_cell *place_cells;

    if (n > 1)
        qsort(cells, n, sizeof *cells, compare_cells);
    for (size_t i = 0; i < n; i++)
        if (n_kept == 0 || cells[n_kept - 1] != cells[i])
            cells[n_kept++] = cells[i];
    hash = upg_id_hash(cells, n_kept);
    while ((id = upg_id_table_next(&a->place_table, hash, &cursor)) != UPG_NO_ID) {
        const struct upg_place_node *place = &a->places[id];

        if (place->n == n_kept &&
            (n_kept == 0 ||
             /* cppcheck-suppress nullPointer ; there are cells */
             memcmp(a->place_cells + place->first, cells, n_kept * sizeof *cells) == 0))
            return id;
    }
    places = upg_grow(a->places, &a->place_capacity, a->n_places + 1, sizeof *places);
    if (places)
        a->places = places;
    place_cells = upg_grow(a->place_cells, &a->place_cell_capacity, a->n_place_cells + n_kept,
                           sizeof *place_cells);
    if (place_cells)
        a->place_cells = place_cells;
    if (!places || !place_cells ||
        !upg_id_table_add(&a->place_table, hash, (uint32_t)a->n_places)) {
        fail_automaton(a, UPG_ERR_MEMORY);
        return UPG_PLACE_DEAD;
    }
    if (n_kept)
        memcpy(place_cells + a->n_place_cells, cells, n_kept * sizeof *cells);
    places[a->n_places] = (struct upg_place_node){
        .first = (uint32_t)a->n_place_cells, .n = (uint32_t)n_kept, .distance = UPG_NO_ID};
    a->n_place_cells += n_kept;
    return (upg_place)a->n_places++;
}

static uint32_t add_name_byte(struct upg_automaton *a, uint32_t previous, unsigned byte)
{
    const uint32_t words[] = {previous, byte}, hash = upg_id_hash(words, 2);
    size_t cursor = SIZE_MAX;
    struct upg_name_node *names;
    uint32_t id;

    while ((id = upg_id_table_next(&a->name_table, hash, &cursor)) != UPG_NO_ID)
        if (a->names[id].previous == previous && a->names[id].byte == byte)
            return id;
    names = upg_grow(a->names, &a->name_capacity, a->n_names + 1, sizeof *names);
    if (names)
        a->names = names;
    if (!names || !upg_id_table_add(&a->name_table, hash, (uint32_t)a->n_names)) {
        fail_automaton(a, UPG_ERR_MEMORY);
        return UPG_NO_ID;
    }
    names[a->n_names] = (struct upg_name_node){previous, byte};
    return (uint32_t)a->n_names++;
}

static bool add_made(struct upg_automaton *a, upg_cell cell)
{
    upg_cell *made = upg_grow(a->made, &a->made_capacity, a->n_made + 1, sizeof *made);

    if (!made)
        return fail_automaton(a, UPG_ERR_MEMORY);
    a->made = made;
    if (a->n_made == UPG_PLACE_MAX_CELLS)
        return fail_automaton(a, UPG_ERR_UNSUPPORTED);
    made[a->n_made++] = cell;
    return true;
}

/* Add what becomes of one cell behind a byte to the cells in a->made. */
static bool step_cell(struct upg_automaton *a, upg_cell cell, unsigned byte)
{
    const struct upg_cell_node node = a->cells[cell];
    struct upg_unit_node unit = a->units.nodes[node.unit];
    upg_state state;
    uint8_t flags;
    upg_cell moved;

    if (unit.kind == UPG_UNIT_KIND_END)
        return true;
    state = upg_state_step(&a->states, unit.a, byte);
    if (state == UPG_STATE_DEAD)
        return true;
    flags = upg_state_flags(&a->states, state);
    if (unit.kind == UPG_UNIT_KIND_NAME)
        unit.b = add_name_byte(a, unit.b, byte);
    moved = upg_cell_make(
        a, upg_unit_make(&a->units, (enum upg_unit_kind)unit.kind, state, unit.b, 0, 0), node.next);
    if (moved == UPG_NO_ID)
        return false;
    if (!(flags & UPG_STATE_FINAL) && !add_made(a, moved))
        return false;
    if (flags & UPG_STATE_ACCEPTS) {
        const upg_place behind = upg_cell_behind(a, moved, unit.b);

        for (uint32_t i = 0; i < a->places[behind].n; i++)
            if (!add_made(a, a->place_cells[a->places[behind].first + i]))
                return false;
    }
    return true;
}

static upg_place make_step(struct upg_automaton *a, upg_place place, unsigned byte)
{
    const struct upg_place_node node = a->places[place];

    a->n_made = 0;
    for (uint32_t i = 0; i < node.n; i++)
        if (!step_cell(a, a->place_cells[node.first + i], byte))
            return UPG_PLACE_DEAD;
    return upg_place_make(a, a->made, a->n_made);
}

static bool remember_step(struct upg_automaton *a, uint32_t hash, struct upg_step step)
{
    struct upg_step *steps = upg_grow(a->steps, &a->step_capacity, a->n_steps + 1, sizeof *steps);

    if (steps)
        a->steps = steps;
    if (!steps || !upg_id_table_add(&a->step_table, hash, (uint32_t)a->n_steps))
        return fail_automaton(a, UPG_ERR_MEMORY);
    steps[a->n_steps++] = step;
    return true;
}

upg_place upg_place_step(struct upg_automaton *a, upg_place place, unsigned byte)
{
    const uint32_t words[] = {place, byte}, hash = upg_id_hash(words, 2);
    size_t cursor = SIZE_MAX;
    uint32_t id;
    upg_place to;

    while ((id = upg_id_table_next(&a->step_table, hash, &cursor)) != UPG_NO_ID)
        if (a->steps[id].from == place && a->steps[id].byte == byte)
            return a->steps[id].to;
    to = make_step(a, place, byte);
    a->failed = upg_automaton_status(a);
    if (a->failed != UPG_OK || !remember_step(a, hash, (struct upg_step){place, to, byte}))
        return UPG_PLACE_DEAD;
    return to;
}

bool upg_place_may_end(const struct upg_automaton *a, upg_place place)
{
    const struct upg_place_node *node = &a->places[place];

    return node->n > 0 && a->place_cells[node->first] == UPG_CELL_END; /* cells are sorted */
}

bool upg_place_must_end(const struct upg_automaton *a, upg_place place)
{
    return upg_place_may_end(a, place) && a->places[place].n == 1;
}

size_t upg_automaton_n_bytes(const struct upg_automaton *a)
{
    const size_t slot = 4 * sizeof(struct upg_id_slot); /* at most four for each entry */

    return upg_states_n_bytes(&a->states) + upg_units_n_bytes(&a->units) +
           a->n_cells * (sizeof *a->cells + slot + sizeof *a->marks) +
           a->n_places * (sizeof *a->places + slot) + a->n_place_cells * sizeof *a->place_cells +
           a->n_unit_distances * sizeof *a->unit_distances +
           a->n_steps * (sizeof *a->steps + slot) + a->n_names * (sizeof *a->names + slot) +
           a->head_bytes;
}

upg_status upg_automaton_status(const struct upg_automaton *a)
{
    if (a->failed != UPG_OK)
        return a->failed;
    return a->states.exprs.failed != UPG_OK ? a->states.exprs.failed : a->units.failed;
}

upg_status upg_automaton_check(const struct upg_automaton *a, upg_error *err)
{
    const upg_status status = upg_automaton_status(a);
    const size_t n_bytes = upg_automaton_n_bytes(a);

    if (status == UPG_ERR_MEMORY)
        return upg_fail(err, UPG_ERR_MEMORY, "out of memory: following a text through a grammar");
    if (status != UPG_OK)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "the grammar can read this text in too many ways; make it less ambiguous");
    if (n_bytes > a->grammar->max_bytes)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "following this text through the grammar takes %zu bytes, the limit is %zu",
                        n_bytes, a->grammar->max_bytes);
    return UPG_OK;
}

void upg_automaton_free(struct upg_automaton *a)
{
    if (!a)
        return;
    upg_heads_clear(a);
    free(a->heads);
    free(a->head_of);
    free(a->walk_states);
    free(a->walk_places);
    free(a->found_ids);
    free(a->found_states);
    free(a->found_edges);
    free(a->unit_distances);
    free(a->work);
    free(a->seen);
    free(a->made);
    free(a->marks);
    free(a->cells);
    free(a->places);
    free(a->place_cells);
    free(a->steps);
    free(a->names);
    upg_id_table_clear(&a->cell_table);
    upg_id_table_clear(&a->place_table);
    upg_id_table_clear(&a->step_table);
    upg_id_table_clear(&a->name_table);
    upg_states_clear(&a->states);
    upg_units_clear(&a->units);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static upg_status copy_lengths(struct upg_states *states, const struct upg_grammar *g,
                               upg_error *err)
{
    const size_t n = g->n_lengths;

    states->lengths = malloc(n * sizeof *states->lengths + 1);
    if (!states->lengths)
        return upg_fail_memory(err, "an automaton", n * sizeof *states->lengths);
    if (n > 0)
        memcpy(states->lengths, g->lengths, n * sizeof *states->lengths);
    states->n_lengths = states->length_capacity = n;
    return UPG_OK;
}

upg_status upg_automaton_new(struct upg_automaton **automaton, struct upg_grammar *g,
                             upg_error *err)
{
    struct upg_automaton *a = calloc(1, sizeof *a);
    const size_t n_depths = g->vocabulary->max_depth + 1;
    upg_status status;

    if (!a)
        return upg_fail_memory(err, "an automaton", sizeof *a);
    if (pthread_mutex_init(&a->lock, NULL) != 0) {
        free(a);
        return upg_fail(err, UPG_ERR_MEMORY, "out of memory: a lock");
    }
    a->grammar = g;
    a->walk_states = calloc(n_depths, sizeof *a->walk_states);
    a->walk_places = calloc(n_depths, sizeof *a->walk_places);
    if (!a->walk_states || !a->walk_places)
        status = upg_fail_memory(err, "an automaton", n_depths * sizeof *a->walk_states);
    else
        status = upg_exprs_copy(&a->states.exprs, &g->exprs, err);
    if (status == UPG_OK)
        status = copy_lengths(&a->states, g, err);
    if (status == UPG_OK)
        status = upg_units_copy(&a->units, &g->units, err);
    if (status == UPG_OK) {
        a->states.exprs.max_nodes = 8 * (size_t)UPG_GRAMMAR_MAX_NODES;
        a->units.max_units = 8 * (size_t)UPG_GRAMMAR_MAX_UNITS;
        /* The dead state, place and end are numbers that all the rest counts on. */
        upg_state_of(&a->states, UPG_EXPR_NONE);
        upg_place_make(a, NULL, 0);
        upg_cell_make(a, UPG_UNIT_END, UPG_NO_ID);
        if (upg_automaton_status(a) == UPG_OK)
            a->start = upg_cell_expand(a, upg_cell_make(a, g->root, UPG_CELL_END));
        a->failed = upg_automaton_status(a);
        upg_heads_warm(a);
        status = upg_automaton_check(a, err);
    }
    if (status == UPG_OK)
        *automaton = a;
    else
        upg_automaton_free(a);
    return status;
}
