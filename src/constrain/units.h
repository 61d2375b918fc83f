/* units.h -- what a grammar is made of.
 *
 * A unit is a part of a text: a lexeme (a regular expression that is not looked into), a
 * sequence, a choice, a counted repetition, a rule's body by its number (so grammars may be
 * recursive), or what is left of a JSON object or array.  Units are kept once and never change. 
 * Counters are fields: what is left of a repetition is another unit, made when it is reached. */
#ifndef UPG_CONSTRAIN_UNITS_H
#define UPG_CONSTRAIN_UNITS_H

#include "constrain/expression.h"

typedef uint32_t upg_unit;

enum {
    UPG_UNIT_END = 0,    /* the end of the text */
    UPG_UNIT_EMPTY = 1,  /* the empty text */
    UPG_UNIT_NOTHING = 2 /* no text at all */
};

enum upg_unit_kind {
    UPG_UNIT_KIND_END,
    UPG_UNIT_KIND_EMPTY,
    UPG_UNIT_KIND_NOTHING,
    UPG_UNIT_KIND_EXPR,     /* expression a */
    UPG_UNIT_KIND_SEQUENCE, /* units lists[a .. a + b), one after the other */
    UPG_UNIT_KIND_CHOICE,   /* one of units lists[a .. a + b) */
    UPG_UNIT_KIND_REPEAT,   /* b to c times unit a */
    UPG_UNIT_KIND_RULE,     /* the body of rule a */
    UPG_UNIT_KIND_OBJECT,   /* what is left of object a: from member b on, c members are there,
                               the names of free members in expression d are used */
    UPG_UNIT_KIND_VALUE,    /* behind the name of a free member of class b of object a; c, d as in
                            OBJECT */
    UPG_UNIT_KIND_ARRAY,    /* what is left of array a when it has b items, c of them found */
    UPG_UNIT_KIND_STATE,    /* inside a lexeme: state a */
    UPG_UNIT_KIND_NAME      /* inside a free member's name: state a, text b */
};

struct upg_unit_node {
    uint32_t kind, a, b, c, d;
};

/* Start from {0} with upg_units_init(). */
struct upg_units {
    struct upg_unit_node *nodes; /* [n] */
    upg_unit *lists;             /* [n_lists] */
    size_t n, n_lists, capacity, list_capacity;
    struct upg_id_table table;
    size_t max_units;
    upg_status failed; /* as in struct upg_exprs */
};

upg_status upg_units_init(struct upg_units *u, size_t max_units, upg_error *err);
upg_status upg_units_copy(struct upg_units *copy, const struct upg_units *u, upg_error *err);
void upg_units_clear(struct upg_units *u);
size_t upg_units_n_bytes(const struct upg_units *u);

/* The number of a unit; UPG_UNIT_NOTHING on failure. */
upg_unit upg_unit_make(struct upg_units *u, enum upg_unit_kind kind, uint32_t a, uint32_t b,
                       uint32_t c, uint32_t d);
upg_unit upg_unit_expr(struct upg_units *u, upg_expr e);

/* Sequences and choices of list[n].  Neighbours that are expressions become one expression with
 * `merge`, which makes masks cheap where the whole is regular, and large where it is not. */
upg_unit upg_unit_sequence(struct upg_units *u, struct upg_exprs *x, const upg_unit *list, size_t n,
                           bool merge);
upg_unit upg_unit_choice(struct upg_units *u, struct upg_exprs *x, const upg_unit *list, size_t n,
                         bool merge);
upg_unit upg_unit_repeat(struct upg_units *u, struct upg_exprs *x, upg_unit unit, uint32_t min,
                         uint32_t max, bool merge);

#endif
