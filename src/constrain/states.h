/* states.h -- a deterministic automaton of bytes, made while it is walked.
 *
 * A state is an expression that some text leads to; its row gives the state behind each byte and is
 * filled when it is first needed.  State 0 is dead: what leads to no text at all leads there, so
 * from every other state some text can be completed. */
#ifndef UPG_CONSTRAIN_STATES_H
#define UPG_CONSTRAIN_STATES_H

#include "constrain/expression.h"

typedef uint32_t upg_state;

enum { UPG_STATE_DEAD = 0 };

enum {
    UPG_STATE_ACCEPTS = 1,
    UPG_STATE_FINAL = 2 /* nothing can follow; see upg_state_flags() */
};

enum { UPG_ROW_DEAD = 0, UPG_ROW_NONE = -1 };

/* Lengths in bytes are below this; it stands for what is not known or does not exist. */
#define UPG_FAR (1u << 30)

static inline uint32_t upg_far_sum(uint32_t a, uint32_t b)
{
    return a + b < UPG_FAR ? a + b : UPG_FAR;
}

/* lengths.c; UINT32_MAX: not asked for yet. */
struct upg_expr_length {
    uint32_t least;    /* of the shortest text */
    uint32_t bound;    /* not more than that */
    uint32_t farthest; /* see upg_expr_farthest() */
};

struct upg_state_info {
    upg_expr expr;
    int32_t row;   /* number of its row; UPG_ROW_NONE: not filled yet */
    uint8_t flags; /* UPG_STATE_* */
};

/* Start from {0}, with exprs made by upg_exprs_init(); the expressions belong to the states. */
struct upg_states {
    struct upg_exprs exprs;
    struct upg_state_info *infos; /* [n] */
    upg_state (*rows)[256];       /* [n_rows] rows[0] leads nowhere */
    size_t n, n_rows, info_capacity, row_capacity;
    upg_state *of_expr; /* [n_of_expr] 0: none yet */
    uint8_t *life;      /* [n_life] of expressions: 0 not known, 1 some text, 2 none */
    size_t n_of_expr, of_expr_capacity, n_life, life_capacity;
    struct upg_expr_length *lengths; /* [n_lengths] of expressions */
    size_t n_lengths, length_capacity;
    size_t search_work_left; /* for finding lengths, as exprs.work_left */
};

void upg_states_clear(struct upg_states *states);
size_t upg_states_n_bytes(const struct upg_states *states);

/* The state of an expression; UPG_STATE_DEAD if it has no text, or on failure (exprs.failed). */
upg_state upg_state_of(struct upg_states *states, upg_expr e);

/* Fill the row of a state, if it is not.  false on failure (exprs.failed). */
bool upg_state_fill(struct upg_states *states, upg_state state);

/* The flags of a state, with UPG_STATE_FINAL decided if it accepts. */
uint8_t upg_state_flags(struct upg_states *states, upg_state state);

/* The state behind a byte. */
static inline upg_state upg_state_step(struct upg_states *states, upg_state state, unsigned byte)
{
    if (states->infos[state].row == UPG_ROW_NONE && !upg_state_fill(states, state))
        return UPG_STATE_DEAD;
    return states->rows[states->infos[state].row][byte];
}

/* life.c: has the expression any text?  false also on failure. */
bool upg_expr_has_text(struct upg_states *states, upg_expr e);

/* lengths.c: bytes of the shortest text; UPG_FAR if there is none, none was found in time, or on
 * failure.  Where a search is needed the text may be another short one, but some derivative needs a
 * byte less than its expression. */
uint32_t upg_expr_shortest(struct upg_states *states, upg_expr e);

/* lengths.c: the same as far as it is known without a search. */
uint32_t upg_expr_known_length(struct upg_states *states, upg_expr e);

/* lengths.c: behind any bytes with which a text begins, at most so many more make one.  A guess for
 * intersections and complements, exact for all others. */
uint32_t upg_expr_farthest(struct upg_states *states, upg_expr e);

#endif
