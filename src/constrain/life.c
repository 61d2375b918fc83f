/* life.c -- is there any text in an expression?
 *
 * Constructors remove the empty language wherever they see it, so without intersection and
 * complement every expression but UPG_EXPR_NONE has a text.  With them, derivatives are searched
 * in breadth, so that the shortest text is found, or an expression of which it is known already.
 *  What is found holds for all expressions on the way there. */
#include "constrain/grow.h"
#include "constrain/states.h"

#include <string.h>

enum { LIFE_SOME = 1, LIFE_NONE = 2, LIFE_VISITED = 3 }; /* VISITED only during a search */

/* Expressions that were met, in the order in which they were. */
struct search {
    struct met {
        upg_expr expr;
        uint32_t from; /* met[from] led here */
    } * met;           /* [n] */
    size_t n, capacity;
};

static bool reserve_life(struct upg_states *s, upg_expr e)
{
    uint8_t *life;

    if (e < s->n_life)
        return true;
    life = upg_grow(s->life, &s->life_capacity, (size_t)e + 1, 1);
    if (!life)
        return false;
    s->life = life;
    memset(life + s->n_life, 0, s->life_capacity - s->n_life);
    s->n_life = s->life_capacity;
    return true;
}

/* What is known of e without a search. */
static uint8_t known_life(struct upg_states *s, upg_expr e)
{
    const uint8_t flags = s->exprs.nodes[e].flags;

    if (e == UPG_EXPR_NONE)
        return LIFE_NONE;
    if (!(flags & UPG_EXPR_BOOLEAN) || (flags & UPG_EXPR_NULLABLE))
        return LIFE_SOME;
    return e < s->n_life ? s->life[e] : 0;
}

static bool meet(struct upg_states *s, struct search *search, upg_expr e, size_t from)
{
    struct met *met = upg_grow(search->met, &search->capacity, search->n + 1, sizeof *met);

    if (met)
        search->met = met;
    if (!met || !reserve_life(s, e)) {
        s->exprs.failed = UPG_ERR_MEMORY;
        return false;
    }
    met[search->n++] = (struct met){e, (uint32_t)from};
    s->life[e] = LIFE_VISITED;
    return true;
}

/* Follow bytes until something with a text is met; *end is the last expression on the way. 
 * false if there is nothing, or on failure. */
static bool search_text(struct upg_states *s, struct search *search, upg_expr e, size_t *end)
{
    meet(s, search, e, 0);
    for (size_t at = 0; at < search->n && s->exprs.failed == UPG_OK; at++) {
        uint8_t labels[256], examples[256];
        const upg_expr expr = search->met[at].expr;
        const size_t n_labels = upg_expr_partition(&s->exprs, expr, labels, examples);

        for (size_t i = 0; i < n_labels && s->exprs.failed == UPG_OK; i++) {
            const upg_expr next = upg_expr_derive(&s->exprs, expr, examples[i]);
            const uint8_t life = known_life(s, next);

            *end = at;
            if (life == LIFE_SOME)
                return s->exprs.failed == UPG_OK;
            if (life == 0)
                meet(s, search, next, at);
        }
    }
    return false;
}

bool upg_expr_has_text(struct upg_states *s, upg_expr e)
{
    struct search search = {0};
    uint8_t life = known_life(s, e);
    size_t end = 0;

    if (life != 0)
        return life == LIFE_SOME;
    if (search_text(s, &search, e, &end)) { /* nothing more is known of those beside the way */
        life = LIFE_SOME;
        for (size_t i = 0; i < search.n; i++)
            s->life[search.met[i].expr] = 0;
        for (; end > 0; end = search.met[end].from)
            s->life[search.met[end].expr] = LIFE_SOME;
        s->life[e] = LIFE_SOME;
    } else { /* all that these lead to was seen */
        for (size_t i = 0; i < search.n; i++)
            s->life[search.met[i].expr] = s->exprs.failed == UPG_OK ? LIFE_NONE : 0;
    }
    free(search.met);
    return life == LIFE_SOME;
}
