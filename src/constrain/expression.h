/* expression.h -- regular languages of bytes, as expressions that are kept once.
 *
 * Besides concatenation, union and repetition there are intersection and complement, and counted
 * repetitions are not written out: Brzozowski's derivatives (1964) work on all of these as they
 * are. Constructors simplify (union and intersection are sets: associative, commutative,
 * idempotent), so an expression has finitely many derivatives, and equal numbers mean equal
 * languages.
 *
 * Errors stick: when memory or the limit is used up, constructors give UPG_EXPR_NONE and `failed`
 * says why; whoever builds checks it once at the end. */
#ifndef UPG_CONSTRAIN_EXPRESSION_H
#define UPG_CONSTRAIN_EXPRESSION_H

#include "base/error.h"
#include "constrain/id_table.h"

typedef uint32_t upg_expr;

enum {
    UPG_EXPR_NONE = 0,    /* no text */
    UPG_EXPR_EPSILON = 1, /* the empty text */
    UPG_EXPR_ALL = 2      /* any bytes, any number of them */
};

#define UPG_EXPR_UNBOUNDED UINT32_MAX
#define UPG_EXPR_MAX_MODULUS 100000u /* a search may meet each remainder: a tenth of a second */
enum { UPG_EXPR_MAX_DEPTH = 2000 };  /* nesting of operators: bounds recursion */

struct upg_byte_set {
    uint64_t words[4]; /* bit b % 64 of words[b / 64]: byte b is in it */
};

enum upg_expr_kind {
    UPG_EXPR_KIND_NONE,
    UPG_EXPR_KIND_EPSILON,
    UPG_EXPR_KIND_ALL,
    UPG_EXPR_KIND_BYTES,    /* one byte of sets[a] */
    UPG_EXPR_KIND_CONCAT,   /* a, then b; a is no concatenation */
    UPG_EXPR_KIND_OR,       /* any of lists[a .. a + b), sorted */
    UPG_EXPR_KIND_AND,      /* all of lists[a .. a + b), sorted */
    UPG_EXPR_KIND_NOT,      /* any bytes but a */
    UPG_EXPR_KIND_REPEAT,   /* b to c times a */
    UPG_EXPR_KIND_REMAINDER /* what makes a decimal number whose digits so far leave b a multiple
                               of a; c: see upg_expr_remainder() */
};

enum {
    UPG_EXPR_NULLABLE = 1, /* the empty text is in it */
    UPG_EXPR_BOOLEAN = 2, /* has AND, NOT or REMAINDER inside: whether it is empty takes a search */
    UPG_EXPR_COUNTED = 4  /* has a repetition inside that counts beyond UPG_EXPR_SMALL_COUNT */
};

enum { UPG_EXPR_SMALL_COUNT = 32 };

struct upg_expr_node {
    uint8_t kind, flags;
    uint16_t depth;
    uint32_t a, b, c;
};

/* A derivative that was made before. */
struct upg_derived {
    upg_expr e, derived;
    uint32_t byte;
};

/* Places for these: 200 KB.  The newer of two that want the same place stays. */
enum { UPG_EXPR_LOG2_DERIVED = 14 };

struct upg_exprs {
    struct upg_expr_node *nodes; /* [n_nodes] */
    uint32_t *lists;             /* [n_lists] operands of OR and AND */
    struct upg_byte_set *sets;   /* [n_sets] */
    upg_expr *scratch;           /* [n_scratch] operands being collected, a stack */
    struct upg_derived *derived; /* [1 << UPG_EXPR_LOG2_DERIVED] e UPG_EXPR_NONE: free; or NULL */
    size_t n_nodes, n_lists, n_sets, n_scratch;
    size_t node_capacity, list_capacity, set_capacity, scratch_capacity;
    struct upg_id_table node_table, set_table;
    size_t max_nodes;
    size_t work_left;  /* derivatives of nodes that may still be made; bounds the time */
    upg_status failed; /* UPG_OK, UPG_ERR_MEMORY, or UPG_ERR_UNSUPPORTED: too large */
};

/* Work for about a second: that of compiling a grammar, or of one step in it. */
enum { UPG_EXPR_MAX_WORK = 20000000 };

/* On failure nothing is to be cleared. */
upg_status upg_exprs_init(struct upg_exprs *x, size_t max_nodes, upg_error *err);
upg_status upg_exprs_copy(struct upg_exprs *copy, const struct upg_exprs *x, upg_error *err);
void upg_exprs_clear(struct upg_exprs *x);

/* Free what only saves time. */
void upg_exprs_forget(struct upg_exprs *x);

/* Bytes of memory in use. */
size_t upg_exprs_n_bytes(const struct upg_exprs *x);

/* UPG_OK, or what `failed` says with a message for `what` ("the grammar"). */
upg_status upg_exprs_check(const struct upg_exprs *x, const char *what, upg_error *err);

upg_expr upg_expr_set(struct upg_exprs *x, const struct upg_byte_set *set);
upg_expr upg_expr_range(struct upg_exprs *x, unsigned first, unsigned last); /* bytes, both in it */
upg_expr upg_expr_text(struct upg_exprs *x, const char *text, size_t n);
upg_expr upg_expr_concat(struct upg_exprs *x, upg_expr a, upg_expr b);
upg_expr upg_expr_concat3(struct upg_exprs *x, upg_expr a, upg_expr b, upg_expr c);
upg_expr upg_expr_or(struct upg_exprs *x, const upg_expr *list, size_t n);
upg_expr upg_expr_or2(struct upg_exprs *x, upg_expr a, upg_expr b);
upg_expr upg_expr_and(struct upg_exprs *x, const upg_expr *list, size_t n);
upg_expr upg_expr_and2(struct upg_exprs *x, upg_expr a, upg_expr b);
upg_expr upg_expr_not(struct upg_exprs *x, upg_expr a);
upg_expr upg_expr_optional(struct upg_exprs *x, upg_expr a);

/* min to max times a; max UPG_EXPR_UNBOUNDED: no end. */
upg_expr upg_expr_repeat(struct upg_exprs *x, upg_expr a, uint32_t min, uint32_t max);

/* What may be written behind decimal digits so that the number is a multiple of a / 10^n_places,
 * where modulus is a (1 .. UPG_EXPR_MAX_MODULUS) and the digits so far leave this remainder.
 *   places  in front of the point n_places (0 .. UPG_EXPR_MAX_PLACES); behind it the digits that
 * are
 *           left of these, and UPG_EXPR_BEHIND_POINT: zeros may follow them */
enum { UPG_EXPR_MAX_PLACES = 15, UPG_EXPR_BEHIND_POINT = 16 };
upg_expr upg_expr_remainder(struct upg_exprs *x, uint32_t modulus, uint32_t remainder,
                            uint32_t places);

static inline const struct upg_expr_node *upg_expr_get(const struct upg_exprs *x, upg_expr e)
{
    return &x->nodes[e];
}

static inline bool upg_expr_is_nullable(const struct upg_exprs *x, upg_expr e)
{
    return x->nodes[e].flags & UPG_EXPR_NULLABLE;
}

static inline bool upg_byte_set_has(const struct upg_byte_set *set, unsigned byte)
{
    return set->words[byte / 64] >> (byte % 64) & 1;
}

static inline void upg_byte_set_add(struct upg_byte_set *set, unsigned first, unsigned last)
{
    for (unsigned b = first; b <= last; b++)
        set->words[b / 64] |= (uint64_t)1 << (b % 64);
}

/* derive.c: what may follow byte. */
upg_expr upg_expr_derive(struct upg_exprs *x, upg_expr e, unsigned byte);

/* derive.c: bytes with equal labels have equal derivatives.  Returns the number of labels, 1 ..
 * 256; examples[label] is one byte of each. */
size_t upg_expr_partition(struct upg_exprs *x, upg_expr e, uint8_t labels[256],
                          uint8_t examples[256]);

#endif
