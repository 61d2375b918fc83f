/* heads.h -- the tokens with which a lexeme goes on.
 *
 * The tokens that stay inside a lexeme depend on its state alone.  They are found by one walk
 * through a tree of tokens and kept: this is the *head* of the state.  The walk also notes the
 * *edges*: the nodes that come when the lexeme may be complete, so that the rest of their tokens
 * belongs to what is behind it. */
#ifndef UPG_CONSTRAIN_HEADS_H
#define UPG_CONSTRAIN_HEADS_H

#include "constrain/automaton.h"

/* Tokens, in the smaller of two forms. */
struct upg_token_set {
    uint32_t *ids; /* [n] NULL: they are in bits */
    uint32_t *bits;
    size_t n;
};

/* Tokens that lead to the same state; ids are part of an array of all groups. */
struct upg_token_group {
    upg_state to;
    struct upg_token_set tokens;
};

/* Edges of one byte: edges[first .. next run's first). */
struct upg_edge_run {
    uint32_t first;
    uint8_t byte;
};

struct upg_head {
    struct upg_token_set tokens;
    uint32_t *edges;
    struct upg_edge_run *runs;      /* [n_runs + 1] */
    struct upg_token_group *groups; /* [n_groups] the tokens once more; NULL: not asked for yet */
    uint32_t *group_ids;            /* [tokens.n] */
    size_t n_edges, n_runs, n_groups;
};

/* The head of a state in one of the vocabulary's trees, with groups, the largest first, if they are
 * wanted.  NULL on failure. */
const struct upg_head *upg_head_of(struct upg_automaton *a, upg_state state, size_t tree,
                                   bool with_groups);

/* Put a number at the end of a list; false on failure. */
bool upg_add_found(struct upg_automaton *a, uint32_t **list, size_t *n, size_t *capacity,
                   uint32_t value);

/* Do for some tens of milliseconds what masks would have to do first.  Whoever compiles a grammar
 * waits for it, not all who are answered at the same time. */
void upg_heads_warm(struct upg_automaton *a);

void upg_heads_clear(struct upg_automaton *a);

#endif
