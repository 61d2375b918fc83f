/* constraint.c -- one text on its way through a grammar. */
#include "constrain/automaton.h"
#include "constrain/grow.h"

#include <string.h>

/* A constraint remembers the place behind each token, so going back is forgetting. */
struct upg_constraint {
    struct upg_grammar *grammar;
    struct upg_automaton *automaton;
    upg_place *places; /* [n_tokens + 1] places[i]: behind i tokens */
    size_t n_tokens, capacity;
    bool ended; /* the last token was a stop id */
};

/* The grammar's automaton, or a fresh one when that has taken a quarter of the memory. */
static upg_status use_automaton(struct upg_automaton **automaton, struct upg_grammar *g,
                                upg_error *err)
{
    struct upg_automaton *fresh = NULL, *old = NULL;
    upg_status status = UPG_OK;
    bool is_worn;

    pthread_mutex_lock(&g->lock);
    pthread_mutex_lock(&g->current->lock);
    is_worn = upg_automaton_status(g->current) != UPG_OK ||
              upg_automaton_n_bytes(g->current) > g->max_bytes / 4;
    pthread_mutex_unlock(&g->current->lock);
    if (is_worn)
        status = upg_automaton_new(&fresh, g, err);
    if (fresh) {
        if (g->current->n_users == 0)
            old = g->current;
        g->current = fresh;
    }
    if (status == UPG_OK) {
        g->current->n_users++;
        *automaton = g->current;
    }
    pthread_mutex_unlock(&g->lock);
    upg_automaton_free(old);
    return status;
}

static void leave_automaton(struct upg_automaton *automaton, struct upg_grammar *g)
{
    bool is_last;

    pthread_mutex_lock(&g->lock);
    is_last = --automaton->n_users == 0 && automaton != g->current;
    pthread_mutex_unlock(&g->lock);
    if (is_last)
        upg_automaton_free(automaton);
}

static upg_status new_constraint(upg_constraint **constraint, size_t n_places, upg_error *err)
{
    struct upg_constraint *c = calloc(1, sizeof *c);

    if (c)
        c->places = upg_grow(NULL, &c->capacity, n_places, sizeof *c->places);
    if (!c || !c->places) {
        free(c);
        return upg_fail_memory(err, "a constraint", n_places * sizeof *c->places);
    }
    *constraint = c;
    return UPG_OK;
}

upg_status upg_constraint_new(upg_constraint **constraint, upg_grammar *grammar, upg_error *err)
{
    struct upg_constraint *c = NULL;
    upg_status status = new_constraint(&c, 1, err);

    if (status == UPG_OK)
        status = use_automaton(&c->automaton, grammar, err);
    if (status != UPG_OK) {
        if (c)
            free(c->places);
        free(c);
        return status;
    }
    atomic_fetch_add(&grammar->n_users, 1);
    c->grammar = grammar;
    c->places[0] = c->automaton->start;
    *constraint = c;
    return UPG_OK;
}

upg_status upg_constraint_fork(upg_constraint **copy, const upg_constraint *constraint,
                               upg_error *err)
{
    const size_t n_places = constraint->n_tokens + 1;
    struct upg_constraint *c = NULL;
    const upg_status status = new_constraint(&c, n_places, err);

    if (status != UPG_OK)
        return status;
    atomic_fetch_add(&constraint->grammar->n_users, 1);
    pthread_mutex_lock(&constraint->grammar->lock);
    constraint->automaton->n_users++;
    pthread_mutex_unlock(&constraint->grammar->lock);
    c->grammar = constraint->grammar;
    c->automaton = constraint->automaton;
    c->n_tokens = constraint->n_tokens;
    c->ended = constraint->ended;
    memcpy(c->places, constraint->places, n_places * sizeof *c->places);
    *copy = c;
    return UPG_OK;
}

void upg_constraint_free(upg_constraint *constraint)
{
    if (!constraint)
        return;
    leave_automaton(constraint->automaton, constraint->grammar);
    upg_grammar_free(constraint->grammar);
    free(constraint->places);
    free(constraint);
}

size_t upg_constraint_n_words(const upg_constraint *constraint)
{
    return (constraint->grammar->vocabulary->n_ids + 31) / 32;
}

size_t upg_constraint_n_tokens(const upg_constraint *constraint)
{
    return constraint->n_tokens;
}

static upg_place place_of(const upg_constraint *c)
{
    return c->places[c->n_tokens];
}

static bool has_tokens(const uint32_t *bits, size_t n_words)
{
    for (size_t i = 0; i < n_words; i++)
        if (bits[i] != 0)
            return true;
    return false;
}

/* The mask of the place, with the automaton's lock held.  If the end cannot be reached in time, all
 * that the form allows. */
static void fill_mask(upg_constraint *c, size_t n_left, uint32_t *bits, size_t n_words)
{
    struct upg_automaton *a = c->automaton;
    const upg_place place = place_of(c);

    a->states.exprs.work_left = UPG_EXPR_MAX_WORK;
    if (n_left > 0) {
        upg_place_mask(a, place, n_left - 1, bits, n_words);
        if (has_tokens(bits, n_words) || upg_place_may_end(a, place))
            return;
    }
    upg_place_mask(a, place, UPG_NO_LIMIT, bits, n_words);
}

upg_status upg_constraint_mask_within(upg_constraint *c, size_t n_left, uint32_t *bits,
                                      size_t n_words, upg_error *err)
{
    const struct upg_vocabulary *v = c->grammar->vocabulary;
    upg_status status;
    bool may_end;

    if (n_words < upg_constraint_n_words(c))
        return upg_fail(err, UPG_ERR_ARGUMENT, "a mask of %zu words is too short: %zu are needed",
                        n_words, upg_constraint_n_words(c));
    if (c->ended) {
        memset(bits, 0, n_words * sizeof *bits);
        return UPG_OK;
    }
    pthread_mutex_lock(&c->automaton->lock);
    status = upg_automaton_check(c->automaton, err);
    if (status == UPG_OK) {
        fill_mask(c, n_left, bits, n_words);
        status = upg_automaton_check(c->automaton, err);
    }
    may_end = upg_place_may_end(c->automaton, place_of(c));
    pthread_mutex_unlock(&c->automaton->lock);
    for (size_t i = 0; i < v->n_stop_ids && status == UPG_OK; i++) {
        const uint32_t id = (uint32_t)v->stop_ids[i], bit = 1u << (id % 32);

        bits[id / 32] = may_end ? bits[id / 32] | bit : bits[id / 32] & ~bit;
    }
    return status;
}

upg_status upg_constraint_mask(upg_constraint *c, uint32_t *bits, size_t n_words, upg_error *err)
{
    return upg_constraint_mask_within(c, 0, bits, n_words, err);
}

upg_status upg_constraint_n_needed(upg_constraint *c, size_t *n_tokens, upg_error *err)
{
    struct upg_automaton *a = c->automaton;
    upg_status status;

    *n_tokens = 0;
    if (c->ended)
        return UPG_OK;
    pthread_mutex_lock(&a->lock);
    a->states.exprs.work_left = UPG_EXPR_MAX_WORK;
    *n_tokens = upg_place_n_tokens(a, place_of(c));
    status = upg_automaton_check(a, err);
    pthread_mutex_unlock(&a->lock);
    return status;
}

/* Follow bytes from the current place; *n_read says how many of them were possible. */
static upg_status follow(upg_constraint *c, const char *bytes, size_t n, upg_place *place,
                         size_t *n_read, upg_error *err)
{
    upg_status status = UPG_OK;

    *place = c->ended ? UPG_PLACE_DEAD : place_of(c);
    pthread_mutex_lock(&c->automaton->lock);
    c->automaton->states.exprs.work_left = UPG_EXPR_MAX_WORK;
    for (*n_read = 0; *n_read < n && *place != UPG_PLACE_DEAD; ++*n_read) {
        *place = upg_place_step(c->automaton, *place, (unsigned char)bytes[*n_read]);
        if (*place == UPG_PLACE_DEAD)
            break;
    }
    status = upg_automaton_check(c->automaton, err);
    pthread_mutex_unlock(&c->automaton->lock);
    return status;
}

static upg_status push_place(upg_constraint *c, upg_place place, upg_error *err)
{
    upg_place *places = upg_grow(c->places, &c->capacity, c->n_tokens + 2, sizeof *places);

    if (!places)
        return upg_fail_memory(err, "a constraint", c->n_tokens * sizeof *places);
    c->places = places;
    places[++c->n_tokens] = place;
    return UPG_OK;
}

static upg_status accept_stop(upg_constraint *c, int32_t id, upg_error *err)
{
    upg_status status;
    bool may_end;

    pthread_mutex_lock(&c->automaton->lock);
    may_end = !c->ended && upg_place_may_end(c->automaton, place_of(c));
    pthread_mutex_unlock(&c->automaton->lock);
    if (!may_end)
        return upg_fail(err, UPG_ERR_ARGUMENT, "token %d would end a text that is not complete",
                        id);
    status = push_place(c, place_of(c), err);
    if (status == UPG_OK)
        c->ended = true;
    return status;
}

upg_status upg_constraint_accept(upg_constraint *c, int32_t id, upg_error *err)
{
    const struct upg_vocabulary *v = c->grammar->vocabulary;
    upg_status status;
    upg_place place;
    size_t n, n_read;

    if (id < 0 || (size_t)id >= v->n_ids)
        return upg_fail(err, UPG_ERR_ARGUMENT, "token %d is not in the vocabulary of 0 .. %zu", id,
                        v->n_ids - 1);
    if (upg_vocabulary_is_stop(v, id))
        return accept_stop(c, id, err);
    n = v->offsets[id + 1] - v->offsets[id];
    status = follow(c, v->bytes + v->offsets[id], n, &place, &n_read, err);
    if (status != UPG_OK)
        return status;
    if (n == 0 || n_read < n)
        return upg_fail(err, UPG_ERR_ARGUMENT, "token %d may not come here", id);
    return push_place(c, place, err);
}

upg_status upg_constraint_accept_text(upg_constraint *c, const char *text, size_t n_bytes,
                                      upg_error *err)
{
    const char *mark = memchr(text, UPG_TOKEN_MARK, n_bytes); /* stands for no text */
    upg_place place;
    size_t n_read;
    const upg_status status =
        follow(c, text, mark ? (size_t)(mark - text) : n_bytes, &place, &n_read, err);

    if (status != UPG_OK)
        return status;
    if (n_read < n_bytes || place == UPG_PLACE_DEAD)
        return upg_fail(err, UPG_ERR_ARGUMENT, "byte %zu of the text may not come here", n_read);
    return push_place(c, place, err);
}

upg_status upg_constraint_rollback(upg_constraint *c, size_t n_tokens, upg_error *err)
{
    if (n_tokens > c->n_tokens)
        return upg_fail(err, UPG_ERR_ARGUMENT, "cannot take back %zu of %zu tokens", n_tokens,
                        c->n_tokens);
    c->n_tokens -= n_tokens;
    if (n_tokens > 0)
        c->ended = false;
    return UPG_OK;
}

int upg_constraint_at_end(const upg_constraint *c)
{
    int at_end = 2;

    if (c->ended)
        return at_end;
    pthread_mutex_lock(&c->automaton->lock);
    if (!upg_place_must_end(c->automaton, place_of(c)))
        at_end = upg_place_may_end(c->automaton, place_of(c));
    pthread_mutex_unlock(&c->automaton->lock);
    return at_end;
}
