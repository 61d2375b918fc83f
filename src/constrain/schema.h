/* schema.h -- compiling JSON Schemas (draft 2020-12, and what older drafts say differently).
 *
 * A *goal* is a set of elements that a value must satisfy all at once; an *element* is a schema
 * of the document under one aspect.  Goals are kept once, so recursion in the document is
 * recursion between goals; each is a rule of the grammar.  To build a goal, its schemas are
 * flattened: $ref and allOf add elements, anyOf and its kin become choices between goals with
 * one element more.  When no choice is left, the keywords of all elements together say what each
 * type of value may be.
 *
 * Errors: the first one stays in ctx->status; functions that build give UPG_UNIT_NOTHING and
 * UPG_EXPR_NONE then. */
#ifndef UPG_CONSTRAIN_SCHEMA_H
#define UPG_CONSTRAIN_SCHEMA_H

#include "base/arena.h"
#include "constrain/grammar.h"

#include <jansson.h>

enum upg_aspect {
    UPG_ASPECT_ALL,    /* the schema, to be flattened */
    UPG_ASPECT_BASE,   /* its keywords about the value itself */
    UPG_ASPECT_NOT,    /* what it refuses */
    UPG_ASPECT_ANY_OF, /* the choices that it offers */
    UPG_ASPECT_ONE_OF,
    UPG_ASPECT_IF,
    UPG_ASPECT_ENUM,           /* enum or const with objects or arrays */
    UPG_ASPECT_DEPENDENT,      /* dependentRequired, dependentSchemas, dependencies */
    UPG_ASPECT_NOT_ALTERNATIVE /* a negation that is a choice */
};

struct upg_element {
    const json_t *schema;
    enum upg_aspect aspect;
    const char *path; /* JSON pointer of the schema, C string in the arena */
};

/* Numbers of elements, sorted. */
struct upg_goal {
    uint32_t *elements; /* [n] owned */
    size_t n;
    uint32_t rule;
};

struct upg_schema_context {
    struct upg_grammar *g;
    struct upg_exprs *x; /* of g */
    struct upg_units *u;
    json_t *root;
    bool old_refs; /* $ref has no siblings: drafts up to 7 */
    struct upg_arena arena;

    struct upg_element *elements;
    struct upg_goal *goals;
    json_t **made; /* [n_made] schemas made for what has none in the document, owned */
    size_t n_elements, n_goals, n_made, element_capacity, goal_capacity, made_capacity;
    size_t n_built; /* goals[0 .. n_built) have their rule's body */
    struct upg_id_table element_table, goal_table;
    size_t n_steps; /* elements flattened in all goals, against explosion */

    upg_expr any_char; /* inside a JSON string */
    upg_error *err;
    upg_status status;
};

/* A list of element numbers.  Start from {0}. */
struct upg_element_list {
    uint32_t *items; /* [n] owned */
    size_t n, capacity;
};

/* Types of values as bits; integers are numbers without a fraction. */
enum {
    UPG_TYPE_NULL = 1,
    UPG_TYPE_BOOLEAN = 2,
    UPG_TYPE_INTEGER = 4,
    UPG_TYPE_FRACTION = 8, /* numbers that are no integers */
    UPG_TYPE_NUMBER = UPG_TYPE_INTEGER | UPG_TYPE_FRACTION,
    UPG_TYPE_STRING = 16,
    UPG_TYPE_ARRAY = 32,
    UPG_TYPE_OBJECT = 64,
    UPG_TYPE_ANY = 127
};

/* A goal without choices. */
struct upg_facts {
    struct upg_element_list base; /* elements of aspect BASE */
    struct upg_element_list nots; /* of aspect NOT */
    unsigned types;               /* UPG_TYPE_* */
    bool is_false;                /* no value can satisfy it */
    bool is_excluded; /* the values are to be left out: numbers in all spellings in plain digits */
};

/* Fail once: the path and keyword (may be NULL) begin the message. */
void upg_schema_fail(struct upg_schema_context *ctx, upg_status status, const char *path,
                     const char *keyword, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void upg_schema_fail_memory(struct upg_schema_context *ctx);

/* schema.c */
bool upg_element_list_add(struct upg_schema_context *ctx, struct upg_element_list *list,
                          uint32_t element);
/* The number of an element; path is that of its parent, and key and name (NULL: none) lead on. */
uint32_t upg_element_make(struct upg_schema_context *ctx, const json_t *schema,
                          enum upg_aspect aspect, const char *path, const char *key,
                          const char *name);
/* The rule of a goal, whose body is built in its turn; the list is sorted by the call. */
upg_unit upg_goal_unit(struct upg_schema_context *ctx, struct upg_element_list *list);
/* Take a schema that was made over; NULL is memory that was missing. */
const json_t *upg_schema_take(struct upg_schema_context *ctx, json_t *made);

/* schema_keywords.c: each keyword is known and has a value of the right kind. */
void upg_schema_check_keywords(struct upg_schema_context *ctx, const struct upg_element *element);

/* The value of a keyword that counts; `fallback` if it is absent. */
uint32_t upg_schema_count(const json_t *schema, const char *key, uint32_t fallback);
unsigned upg_schema_types(const json_t *schema); /* of "type"; UPG_TYPE_ANY without one */
unsigned upg_type_of(const json_t *value);

/* schema_reference.c: the schema that $ref means, and its path. */
const json_t *upg_schema_resolve(struct upg_schema_context *ctx, const struct upg_element *element,
                                 const char **path);

/* schema_flatten.c: elements and what they lead to.  If a choice is found, *choice is its unit and
 * the facts are of no use. */
void upg_schema_flatten(struct upg_schema_context *ctx, const uint32_t *elements, size_t n,
                        struct upg_facts *facts, upg_unit *choice);
/* The same where a choice is refused, naming `what`; the schema is one element of aspect ALL. */
void upg_schema_flatten_plain(struct upg_schema_context *ctx, uint32_t element, const char *what,
                              struct upg_facts *facts);
void upg_facts_clear(struct upg_facts *facts);

/* schema_choice.c: the choice that an element of such an aspect is, among the other elements of its
 * goal. */
upg_unit upg_schema_choice(struct upg_schema_context *ctx, uint32_t element,
                           const struct upg_element_list *others);

/* schema_negation.c: what an element of aspect NOT leads to.  Returns true if it is to be kept in
 * the facts; otherwise other elements were added to the list. */
bool upg_schema_negate(struct upg_schema_context *ctx, uint32_t element,
                       struct upg_element_list *list);
/* The alternatives of an element of aspect NOT_ALTERNATIVE: anyOf of a schema that is made. */
const json_t *upg_schema_not_alternatives(struct upg_schema_context *ctx,
                                          const struct upg_element *element);

/* schema_literal.c: enum and const. */
bool upg_schema_has_literals(const json_t *schema);
bool upg_schema_literals_are_scalar(const json_t *schema);
/* Literals of these types that all elements allow, as one expression; *found tells whether any
 * element has literals at all. */
upg_expr upg_schema_literals(struct upg_schema_context *ctx, const struct upg_facts *facts,
                             unsigned type, bool *found);
/* A schema of its own that says the same as a const of an object or array. */
const json_t *upg_schema_of_value(struct upg_schema_context *ctx, const json_t *value);

/* Expressions of all values of a scalar type; what is refused by `nots` is left out. */
upg_expr upg_schema_string(struct upg_schema_context *ctx, const struct upg_facts *facts);
upg_expr upg_schema_number(struct upg_schema_context *ctx, const struct upg_facts *facts);
upg_expr upg_schema_word(struct upg_schema_context *ctx, const struct upg_facts *facts,
                         unsigned type); /* null, true, false */
/* schema_negation.c: e without the values of a scalar type that nots accept. */
upg_expr upg_schema_without_nots(struct upg_schema_context *ctx, const struct upg_facts *facts,
                                 unsigned type, upg_expr e);
/* Whether the nots exclude all values of an array or object type; refuses what it cannot tell. */
bool upg_schema_nots_exclude(struct upg_schema_context *ctx, const struct upg_facts *facts,
                             unsigned type);

/* schema_number.c: is the literal within the limits of the schema? */
bool upg_schema_number_fits(const json_t *schema, const json_t *number);
/* schema_number.c: the literal as it is written, or in all spellings in plain digits. */
upg_expr upg_number_text(struct upg_schema_context *ctx, const json_t *number, bool all_spellings);

/* schema_string.c: any string of min to max characters, with its quotes. */
upg_expr upg_schema_any_string(struct upg_schema_context *ctx, uint32_t min, uint32_t max);
upg_expr upg_schema_quoted(struct upg_schema_context *ctx, const char *text, size_t n);

/* schema_format.c: an anchored pattern for a format; NULL: not known; "": no limit. */
const char *upg_format_pattern(const char *format);

upg_unit upg_schema_array(struct upg_schema_context *ctx, const struct upg_facts *facts);
upg_unit upg_schema_object(struct upg_schema_context *ctx, const struct upg_facts *facts);

#endif
