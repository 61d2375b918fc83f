/* automaton.h -- following texts through a grammar, byte by byte.
 *
 * A *cell* is a unit and the cell behind it: a stack of what is still to come, shared between
 * stacks that end alike.  A *place* is a set of cells: all ways in which the text so far can be
 * read.  The unit of a cell in a place is a lexeme's state (UPG_UNIT_KIND_STATE or _NAME), or
 * the end of the text; other units are expanded before they get there.  States, cells and places
 * are kept once, so a place is a number: copying, comparing and going back cost nothing.
 *
 * An automaton only grows.  When it has grown beyond its share, new constraints get a fresh one,
 * and the old one goes with the last constraint that uses it. */
#ifndef UPG_CONSTRAIN_AUTOMATON_H
#define UPG_CONSTRAIN_AUTOMATON_H

#include "constrain/grammar.h"
#include "constrain/states.h"

typedef uint32_t upg_cell;
typedef uint32_t upg_place;

enum { UPG_CELL_END = 0, UPG_PLACE_DEAD = 0 };

/* More ways to read a text than any sensible grammar has; also the limit of one expansion. */
enum { UPG_PLACE_MAX_CELLS = 4096, UPG_EXPAND_MAX_STEPS = 100000 };

struct upg_cell_node {
    upg_unit unit;
    upg_cell next;
    upg_place expanded; /* upg_cell_expand() of it; UPG_NO_ID: not known yet */
    uint32_t distance;  /* bytes to the end; UPG_NO_ID: upg_cell_distance() has to look */
    uint32_t n_tokens;  /* of its plan; UPG_NO_ID: not known yet */
    upg_cell plan;      /* the next cell of the plan; UPG_NO_ID: none is known */
    uint16_t plan_byte; /* the byte in front of that; 256: none */
    bool is_planned;    /* plan and plan_byte are known */
};

struct upg_place_node {
    uint32_t first, n; /* cells place_cells[first .. first + n), sorted */
    uint32_t distance; /* bytes to the end, at least; UPG_NO_ID: not known yet */
};

/* A step that was made before. */
struct upg_step {
    upg_place from, to;
    uint32_t byte;
};

/* The names of members in the making: the bytes of one, backwards. */
struct upg_name_node {
    uint32_t previous; /* UPG_NO_ID: the first */
    uint32_t byte;
};

/* The shortest that may be left of an object or array. */
#define UPG_REST_END UINT32_MAX           /* it is closed at once */
#define UPG_REST_UNKNOWN (UINT32_MAX - 1) /* a free member comes first */
struct upg_rest {
    uint32_t distance; /* bytes */
    uint32_t first;    /* what comes first: the index of a member, the unit of an item */
};

struct upg_head;

struct upg_automaton {
    size_t n_users;              /* guarded by lock */
    struct upg_grammar *grammar; /* borrowed: every constraint keeps it */
    pthread_mutex_t lock;        /* guards all of this */

    struct upg_states states;
    struct upg_units units;
    struct upg_cell_node *cells;
    struct upg_place_node *places;
    upg_cell *place_cells;
    struct upg_step *steps;
    struct upg_name_node *names;
    size_t n_cells, n_places, n_place_cells, n_steps, n_names;
    size_t cell_capacity, place_capacity, place_cell_capacity, step_capacity, name_capacity;
    struct upg_id_table cell_table, place_table, step_table, name_table;
    upg_place start;

    /* distance.c */
    uint32_t *unit_distances; /* [n_unit_distances] of units that the grammar does not have */
    size_t n_unit_distances, unit_distance_capacity;

    /* expand.c: cells waiting, cells seen, and the place in the making. */
    upg_cell *work, *seen, *made;
    size_t n_work, n_seen, n_made, work_capacity, seen_capacity, made_capacity;
    uint32_t *marks; /* [n_marks] cell was seen in expansion number marks[cell] */
    size_t n_marks, mark_capacity;
    uint32_t n_expansions;

    /* heads.c */
    struct upg_head *heads; /* [n_heads] */
    uint32_t *head_of;      /* [n_head_of] 1 + number of the head of state s in tree t, 0: none;
                               at UPG_N_TREES * s + t */
    size_t n_heads, n_head_of, head_capacity, head_of_capacity, head_bytes;
    size_t n_walked;        /* nodes of the trees of tokens, in all walks for heads */
    uint32_t *walk_states;  /* [max_depth + 1] scratch of walks: states, or their rows */
    upg_place *walk_places; /* [max_depth + 1] */
    uint32_t *found_ids, *found_edges;
    upg_state *found_states; /* [n_found_ids] behind the tokens */
    size_t n_found_ids, n_found_edges;
    size_t found_id_capacity, found_state_capacity, found_edge_capacity;

    /* mask.c: the mask in the making. */
    size_t limit;    /* tokens that may still follow behind the next one */
    size_t enough;   /* bytes that are taken for what is not known */
    size_t n_judged; /* plans that were counted for it */
    bool is_limited; /* a token was left out, or may have been */

    upg_status failed;
};

upg_status upg_automaton_new(struct upg_automaton **automaton, struct upg_grammar *g,
                             upg_error *err);
void upg_automaton_free(struct upg_automaton *a);

/* UPG_OK, or what failed first in the automaton, its expressions or its units: what came after it is
 * not to be believed. */
upg_status upg_automaton_status(const struct upg_automaton *a);

/* The same with a message; also when the automaton has grown beyond the grammar's limit. */
upg_status upg_automaton_check(const struct upg_automaton *a, upg_error *err);
size_t upg_automaton_n_bytes(const struct upg_automaton *a);

/* The place behind a byte; UPG_PLACE_DEAD if it may not come, or on failure. */
upg_place upg_place_step(struct upg_automaton *a, upg_place place, unsigned byte);

bool upg_place_may_end(const struct upg_automaton *a, upg_place place);
bool upg_place_must_end(const struct upg_automaton *a, upg_place place);

/* expand.c: the place of all ways to read what the cell stands for. */
upg_place upg_cell_expand(struct upg_automaton *a, upg_cell cell);

/* expand.c: the place behind a cell whose lexeme is complete.  For a member's name, `name` is its
 * text; UPG_NO_ID: a name that is not known, behind which no further name may be completed. */
upg_place upg_cell_behind(struct upg_automaton *a, upg_cell cell, uint32_t name);

/* expand.c: the cell of a unit with `next` behind it; of an expression; of one time of a repetition;
 * of a member, a value and an item, with what is left of their object or array behind them. 
 * UPG_NO_ID on failure, and behind it. */
upg_cell upg_cell_push(struct upg_automaton *a, upg_unit unit, upg_cell next);
upg_cell upg_cell_push_expr(struct upg_automaton *a, upg_expr e, upg_cell next);
upg_cell upg_cell_of_repeat(struct upg_automaton *a, struct upg_unit_node unit, upg_cell next);
upg_cell upg_cell_of_member(struct upg_automaton *a, struct upg_unit_node unit, uint32_t index,
                            upg_cell next);
upg_cell upg_cell_of_value(struct upg_automaton *a, struct upg_unit_node unit, upg_cell next);
upg_cell upg_cell_of_item(struct upg_automaton *a, struct upg_unit_node unit, upg_unit item,
                          uint32_t n_found, upg_cell next);

/* Work for finding lengths for one mask: about a millisecond. */
enum { UPG_MASK_SEARCH_WORK = 20000 };

/* distance.c: bytes to the end of a unit, a cell's stack, the nearest cell of a place. 
 * UPG_FAR: not known. */
uint32_t upg_unit_distance(struct upg_automaton *a, upg_unit unit);
uint32_t upg_cell_distance(struct upg_automaton *a, upg_cell cell);
uint32_t upg_place_distance(struct upg_automaton *a, upg_place place);

/* distance.c: the shortest way on. */
struct upg_rest upg_object_rest(struct upg_automaton *a, struct upg_unit_node unit);
struct upg_rest upg_array_rest(struct upg_automaton *a, struct upg_unit_node unit);

/* plan.c: tokens to the end of what a cell stands for; UPG_FAR: not known. */
uint32_t upg_cell_n_tokens(struct upg_automaton *a, upg_cell cell);

/* plan.c: the same of a place; SIZE_MAX: not known. */
size_t upg_place_n_tokens(struct upg_automaton *a, upg_place place);

/* plan.c: set the bits of the tokens with which the cell's plan begins, and behind which at most
 * `limit` more are needed. */
void upg_plan_mask(struct upg_automaton *a, upg_cell cell, size_t limit, uint32_t *bits);

/* automaton.c, for expand.c: UPG_NO_ID and UPG_PLACE_DEAD on failure. */
upg_cell upg_cell_make(struct upg_automaton *a, upg_unit unit, upg_cell next);
upg_place upg_place_make(struct upg_automaton *a, upg_cell *cells, size_t n);

/* No limit of tokens. */
#define UPG_NO_LIMIT SIZE_MAX

/* mask.c: set the bits of the tokens that may come next, stop ids excepted, if at most `limit` more
 * can follow: only those behind which the text can then still be completed, as far as that is known.
 * It may be that there are none. */
void upg_place_mask(struct upg_automaton *a, upg_place place, size_t limit, uint32_t *bits,
                    size_t n_words);

#endif
