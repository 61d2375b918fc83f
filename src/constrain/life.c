/* life.c -- is there any text in an expression?
 *
 * Constructors remove the empty language wherever they see it, so without intersection and complement
 * every expression but UPG_EXPR_NONE has a text.  With them, derivatives are searched in depth for
 * one that has.  What is found holds for all expressions on the way, so each is searched only once. */
#include "constrain/grow.h"
#include "constrain/states.h"

#include <string.h>

enum { LIFE_SOME = 1, LIFE_NONE = 2, LIFE_VISITED = 3 }; /* VISITED only during a search */

enum { MAX_VISITED = 200000 }; /* expressions of one search; some tenths of a second */

/* A step of the path that the search is on. */
struct step {
    upg_expr expr;
    uint16_t n_labels, next; /* examples[next .. n_labels) are to be followed */
    uint8_t examples[256];
};

struct search {
    struct step *path; /* [n] */
    size_t n, capacity;
    upg_expr *visited; /* [n_visited] */
    size_t n_visited, visited_capacity;
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

static bool enter(struct upg_states *s, struct search *search, upg_expr e)
{
    struct step *path = upg_grow(search->path, &search->capacity, search->n + 1, sizeof *path);
    upg_expr *visited;
    uint8_t labels[256];

    if (path)
        search->path = path;
    visited = path ? upg_grow(search->visited, &search->visited_capacity, search->n_visited + 1,
                              sizeof *visited)
                   : NULL;
    if (visited)
        search->visited = visited;
    if (!visited || !reserve_life(s, e)) {
        s->exprs.failed = UPG_ERR_MEMORY;
        return false;
    }
    if (search->n_visited == MAX_VISITED) {
        s->exprs.failed = UPG_ERR_UNSUPPORTED;
        return false;
    }
    visited[search->n_visited++] = e;
    s->life[e] = LIFE_VISITED;
    path += search->n++;
    path->expr = e;
    path->next = 0;
    path->n_labels = (uint16_t)upg_expr_partition(&s->exprs, e, labels, path->examples);
    return true;
}

/* Follow bytes until something with a text is met.  false if there is nothing, or on failure. */
static bool search_text(struct upg_states *s, struct search *search, upg_expr e)
{
    if (!enter(s, search, e))
        return false;
    while (search->n > 0 && s->exprs.failed == UPG_OK) {
        struct step *top = &search->path[search->n - 1];
        upg_expr next;

        if (top->next == top->n_labels) {
            search->n--;
            continue;
        }
        next = upg_expr_derive(&s->exprs, top->expr, top->examples[top->next++]);
        switch (known_life(s, next)) {
        case LIFE_SOME: return s->exprs.failed == UPG_OK;
        case 0: enter(s, search, next); break;
        default: break; /* none, or visited already */
        }
    }
    return false;
}

bool upg_expr_has_text(struct upg_states *s, upg_expr e)
{
    struct search search = {0};
    uint8_t life = known_life(s, e);

    if (life == 0) {
        const bool found = search_text(s, &search, e);
        const bool failed = s->exprs.failed != UPG_OK;

        /* A search that found nothing has seen all that its expressions lead to.  One that found a
         * text knows it of its path; of the others only that it did not see one yet. */
        for (size_t i = 0; i < search.n_visited; i++)
            s->life[search.visited[i]] = found || failed ? 0 : LIFE_NONE;
        for (size_t i = 0; i < search.n && found; i++)
            s->life[search.path[i].expr] = LIFE_SOME;
        free(search.path);
        free(search.visited);
        life = found ? LIFE_SOME : LIFE_NONE;
    }
    return life == LIFE_SOME;
}
