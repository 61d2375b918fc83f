/* speculation.h -- drafts: tokens that an answer may repeat from its own past.
 *
 * A draft is checked by the model in the step that would compute one token anyway.  Tokens are drawn
 * in order as if there were no draft, and as long as they are the drafted ones their keys, values and
 * logits are there already: the answer is the same, only the number of steps is not (Leviathan et al.
 * 2023, with the text itself as the draft model, as in Saxena 2023, prompt lookup decoding).
 *
 * More rows make a step slower, so drafts are as long as measurements say is worth while: how often
 * this answer's drafts have been right, and how long steps of so many rows take. */
#ifndef UPG_ENGINE_SPECULATION_H
#define UPG_ENGINE_SPECULATION_H

#include <stddef.h>
#include <stdint.h>

enum {
    UPG_MAX_DRAFT = 8,   /* tokens */
    UPG_COST_POINTS = 19 /* numbers of rows that step times are kept for */
};

/* Write what followed the most recent of the longest earlier occurrences of ids' last tokens: 2 to 4
 * tokens must be equal.  draft[max]; returns max, or 0 if there is none.  Time is O(n). */
size_t upg_draft_find(const int32_t *ids, size_t n, int32_t *draft, size_t max);

/* How long steps take, by their number of rows.  Start from {0}. */
struct upg_step_costs {
    struct {
        double n_rows, seconds; /* running means */
        uint64_t last_used;     /* n_steps then; 0: never */
    } points[UPG_COST_POINTS];
    uint64_t n_steps;
};

void upg_step_costs_add(struct upg_step_costs *costs, size_t n_rows, double seconds);

/* Seconds that a step of n_rows is expected to take; 0 if nothing is known. */
double upg_step_costs_expect(const struct upg_step_costs *costs, size_t n_rows);

/* How many tokens of a draft to add to a step that has n_rows and is expected to give n_tokens, so
 * that the most tokens a second come out.  p: chance that a drafted token is right if those before
 * it are. */
size_t upg_draft_length(const struct upg_step_costs *costs, size_t n_rows, double n_tokens,
                        double p, size_t max);

#endif
