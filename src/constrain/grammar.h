/* grammar.h -- a compiled grammar, before any text.
 *
 * It does not change.  What following texts adds to it (states, stacks, masks) lives in automata
 * that are made from it; see automaton.h. */
#ifndef UPG_CONSTRAIN_GRAMMAR_H
#define UPG_CONSTRAIN_GRAMMAR_H

#include "constrain/states.h"
#include "constrain/units.h"
#include "constrain/vocabulary.h"

#include <pthread.h>

/* Limits: a grammar at its largest compiles in about a second. */
enum {
    UPG_GRAMMAR_MAX_TEXT = 4 << 20,
    UPG_GRAMMAR_MAX_NODES = 1 << 20, /* expressions before any text */
    UPG_GRAMMAR_MAX_UNITS = 1 << 20,
    UPG_GRAMMAR_MAX_RULES = 20000,
    UPG_OBJECT_MAX_FREE = 1024 /* free members of one JSON object */
};

/* A member that is declared by name. */
struct upg_member {
    upg_expr name[2]; /* from the separator to the value: [0] first in the object, [1] later */
    upg_unit value;
    bool required;
};

/* Members with any other names, by class. */
struct upg_free_class {
    upg_expr name; /* behind the opening quote, the closing one included */
    upg_unit value;
};

/* Members stand in the declared order, free ones behind them. */
struct upg_object {
    struct upg_member *members;
    struct upg_free_class *classes;
    uint32_t n_members, n_classes;
    uint32_t min, max; /* members in all; max UPG_EXPR_UNBOUNDED: no limit */
};

struct upg_array {
    upg_unit *prefix; /* [n_prefix] the first items */
    uint32_t n_prefix;
    upg_unit item;     /* the others */
    upg_unit found;    /* items that also count as found; UPG_UNIT_NOTHING: no counting */
    uint32_t min, max; /* items in all */
    uint32_t min_found, max_found;
};

/* Punctuation of JSON in the chosen whitespace. */
struct upg_json_marks {
    upg_expr space;    /* after { [ , and before } ] */
    upg_expr comma;    /* with its space */
    upg_expr quote[2]; /* the quote before a free name: [0] first in the object, [1] later */
    upg_expr colon;    /* with its space */
    upg_expr end[2];   /* space and } ] */
    upg_expr barrier;  /* matches no token, and is as long as a name: see expand.c */
};

struct upg_automaton;

struct upg_grammar {
    atomic_size_t n_users;
    struct upg_vocabulary *vocabulary;
    struct upg_exprs exprs;
    struct upg_units units;
    upg_unit *rules; /* [n_rules] bodies */
    struct upg_object *objects;
    struct upg_array *arrays;
    size_t n_rules, n_objects, n_arrays;
    size_t rule_capacity, object_capacity, array_capacity;
    uint8_t *productive;             /* [units.n] the unit has a text */
    uint32_t *distances;             /* [units.n] bytes of its shortest text; UPG_FAR: not known */
    struct upg_expr_length *lengths; /* [n_lengths] of expressions, as far as they are known */
    size_t n_lengths;
    upg_unit *nearest; /* [units.n] of a choice: the unit with the shortest text */
    struct upg_json_marks marks;
    upg_unit root;
    size_t max_bytes;

    pthread_mutex_t lock;          /* guards `current` */
    struct upg_automaton *current; /* new constraints use it; NULL: none yet */
};

/* Numbers of new, empty rules, objects and arrays; UPG_NO_ID on failure (units.failed). */
uint32_t upg_grammar_add_rule(struct upg_grammar *g);
uint32_t upg_grammar_add_object(struct upg_grammar *g, size_t n_members, size_t n_classes);
uint32_t upg_grammar_add_array(struct upg_grammar *g, size_t n_prefix);

/* check.c: find the units that have no text, refuse grammars without any and those that begin with
 * themselves.  name(context, rule) names a rule in messages. */
upg_status upg_grammar_check(struct upg_grammar *g,
                             const char *(*name)(const void *context, uint32_t rule),
                             const void *context, upg_error *err);

/* distance.c: find the distances. */
upg_status upg_grammar_measure(struct upg_grammar *g, upg_error *err);

/* The compilers: fill rules and root. */
upg_status upg_compile_regex(struct upg_grammar *g, const char *text, size_t n, upg_error *err);
upg_status upg_compile_gbnf(struct upg_grammar *g, const char *text, size_t n, upg_error *err);
upg_status upg_compile_schema(struct upg_grammar *g, const char *text, size_t n,
                              upg_whitespace whitespace, upg_error *err);

/* Counts are exact up to here and the same beyond, so that there are few units. */
static inline uint32_t upg_count_up(uint32_t n, uint32_t min, uint32_t max)
{
    const uint32_t last = max == UPG_EXPR_UNBOUNDED ? (min > 1 ? min : 1) : max;

    return n < last ? n + 1 : n;
}

static inline bool upg_unit_is_productive(const struct upg_grammar *g, upg_unit unit)
{
    return unit >= g->units.n || g->productive[unit];
}

#endif
