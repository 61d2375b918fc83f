/* states.c -- rows of the automaton, filled by derivatives: one for each kind of byte that the
 * expression can tell apart. */
#include "constrain/states.h"

#include "constrain/grow.h"

#include <string.h>

void upg_states_clear(struct upg_states *states)
{
    upg_exprs_clear(&states->exprs);
    free(states->infos);
    free(states->rows);
    free(states->of_expr);
    free(states->life);
    free(states->lengths);
    *states = (struct upg_states){0};
}

size_t upg_states_n_bytes(const struct upg_states *states)
{
    return upg_exprs_n_bytes(&states->exprs) + states->row_capacity * sizeof *states->rows +
           states->info_capacity * sizeof *states->infos +
           states->n_of_expr * (sizeof *states->of_expr + 1) +
           states->n_lengths * sizeof *states->lengths;
}

static upg_state fail_state(struct upg_states *s)
{
    s->exprs.failed = UPG_ERR_MEMORY;
    return UPG_STATE_DEAD;
}

/* Room for one more row; UPG_ROW_NONE when out of memory. */
static int32_t add_row(struct upg_states *s)
{
    upg_state(*rows)[256] = upg_grow(s->rows, &s->row_capacity, s->n_rows + 1, sizeof *rows);

    if (!rows) {
        fail_state(s);
        return UPG_ROW_NONE;
    }
    s->rows = rows;
    memset(rows[s->n_rows], 0, sizeof *rows);
    return (int32_t)s->n_rows++;
}

static upg_state add_state(struct upg_states *s, upg_expr e)
{
    struct upg_state_info *infos =
        upg_grow(s->infos, &s->info_capacity, s->n + 1, sizeof *s->infos);
    struct upg_state_info info = {.expr = e, .row = UPG_ROW_NONE};

    if (!infos)
        return fail_state(s);
    s->infos = infos;
    if (s->n_rows == 0 && add_row(s) == UPG_ROW_NONE)
        return UPG_STATE_DEAD;
    if (upg_expr_is_nullable(&s->exprs, e))
        info.flags |= UPG_STATE_ACCEPTS;
    if (e == UPG_EXPR_NONE || e == UPG_EXPR_EPSILON) {
        info.row = UPG_ROW_DEAD;
        info.flags |= UPG_STATE_FINAL;
    }
    infos[s->n] = info;
    return (upg_state)s->n++;
}

upg_state upg_state_of(struct upg_states *s, upg_expr e)
{
    upg_state state;

    if (s->n == 0)
        add_state(s, UPG_EXPR_NONE);
    if (e == UPG_EXPR_NONE || s->exprs.failed != UPG_OK)
        return UPG_STATE_DEAD;
    if (e < s->n_of_expr && s->of_expr[e] != 0)
        return s->of_expr[e];
    if (!upg_expr_has_text(s, e))
        return UPG_STATE_DEAD;
    if (e >= s->n_of_expr) {
        upg_state *of_expr =
            upg_grow(s->of_expr, &s->of_expr_capacity, (size_t)e + 1, sizeof *s->of_expr);
        if (!of_expr) {
            s->exprs.failed = UPG_ERR_MEMORY;
            return UPG_STATE_DEAD;
        }
        s->of_expr = of_expr;
        memset(of_expr + s->n_of_expr, 0, (s->of_expr_capacity - s->n_of_expr) * sizeof *of_expr);
        s->n_of_expr = s->of_expr_capacity;
    }
    state = add_state(s, e);
    s->of_expr[e] = state;
    return state;
}

uint8_t upg_state_flags(struct upg_states *s, upg_state state)
{
    const struct upg_state_info info = s->infos[state];

    if ((info.flags & UPG_STATE_ACCEPTS) && (s->exprs.nodes[info.expr].flags & UPG_EXPR_BOOLEAN))
        upg_state_fill(s, state);
    return s->infos[state].flags;
}

bool upg_state_fill(struct upg_states *s, upg_state state)
{
    uint8_t labels[256], examples[256];
    upg_state targets[256];
    bool goes_on = false;
    size_t n_labels;
    int32_t row;

    if (s->infos[state].row != UPG_ROW_NONE)
        return true;
    n_labels = upg_expr_partition(&s->exprs, s->infos[state].expr, labels, examples);
    for (size_t i = 0; i < n_labels; i++)
        targets[i] = upg_state_of(s, upg_expr_derive(&s->exprs, s->infos[state].expr, examples[i]));
    row = s->exprs.failed == UPG_OK ? add_row(s) : UPG_ROW_NONE;
    if (row == UPG_ROW_NONE)
        return false;
    for (size_t b = 0; b < 256; b++) {
        s->rows[row][b] = targets[labels[b]];
        goes_on |= targets[labels[b]] != UPG_STATE_DEAD;
    }
    s->infos[state].row = row;
    s->infos[state].flags |= goes_on ? 0 : UPG_STATE_FINAL;
    return true;
}
