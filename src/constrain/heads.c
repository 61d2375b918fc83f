/* heads.c -- heads are found by walks, packed, and kept with their states. */
#include "constrain/heads.h"

#include "constrain/grow.h"

#include <string.h>

/* Heads beyond this are forgotten: 32 MiB are 2500 dense heads of 100 000 tokens. */
enum { MAX_HEAD_BYTES = 32 << 20 };

/* Limits of upg_heads_warm(): about 20 ms of walks and 20 ms of derivatives. */
enum { WARM_NODES = 4000000, WARM_WORK = 300000 };

static void clear_set(struct upg_token_set *set)
{
    free(set->ids);
    free(set->bits);
}

static void clear_head(struct upg_head *head)
{
    for (size_t i = 0; i < head->n_groups; i++)
        free(head->groups[i].tokens.bits);
    clear_set(&head->tokens);
    free(head->groups);
    free(head->group_ids);
    free(head->edges);
    free(head->runs);
    *head = (struct upg_head){0};
}

void upg_heads_clear(struct upg_automaton *a)
{
    for (size_t i = 0; i < a->n_heads; i++)
        clear_head(&a->heads[i]);
    a->n_heads = a->head_bytes = 0;
    if (a->n_head_of)
        memset(a->head_of, 0, a->n_head_of * sizeof *a->head_of);
}

static void fail_heads(struct upg_automaton *a)
{
    if (a->failed == UPG_OK)
        a->failed = UPG_ERR_MEMORY;
}

bool upg_add_found(struct upg_automaton *a, uint32_t **list, size_t *n, size_t *capacity,
                   uint32_t value)
{
    uint32_t *grown = upg_grow(*list, capacity, *n + 1, sizeof *grown);

    if (!grown) {
        fail_heads(a);
        return false;
    }
    *list = grown;
    grown[(*n)++] = value;
    return true;
}

static bool add_edges(struct upg_automaton *a, uint32_t node)
{
    const struct upg_trie_node *nodes = a->grammar->vocabulary->nodes;

    for (uint32_t child = node + 1; child < nodes[node].end; child = nodes[child].end)
        if (!upg_add_found(a, &a->found_edges, &a->n_found_edges, &a->found_edge_capacity, child))
            return false;
    return true;
}

/* Room for all tokens, and for the states behind them if they are wanted, and one more. */
static bool reserve_found(struct upg_automaton *a, bool with_states)
{
    const size_t n = a->grammar->vocabulary->n_ids + 1, n_states = with_states ? n : 1;
    uint32_t *ids = upg_grow(a->found_ids, &a->found_id_capacity, n, sizeof *ids);
    upg_state *states =
        upg_grow(a->found_states, &a->found_state_capacity, n_states, sizeof *states);

    if (ids)
        a->found_ids = ids;
    if (states)
        a->found_states = states;
    return ids && states;
}

/* Collect tokens and edges of a state, and the states behind the tokens if they are wanted.  Rows
 * instead of states lie on the way down: a step is one look into the row and one at what it gives. */
static void walk_lexeme(struct upg_automaton *a, upg_state state, uint32_t root, bool with_states)
{
    const struct upg_trie_node *nodes = a->grammar->vocabulary->nodes;
    const uint32_t end = nodes[root].end;
    struct upg_states *s = &a->states;
    uint32_t *rows = a->walk_states, *ids, *states;
    size_t n = 0;

    a->n_found_ids = a->n_found_edges = 0;
    if (!reserve_found(a, with_states) || !upg_state_fill(s, state)) {
        fail_heads(a);
        return;
    }
    ids = a->found_ids;
    states = a->found_states;
    rows[0] = (uint32_t)s->infos[state].row;
    for (uint32_t i = root + 1, next; i < end; i = next) {
        const struct upg_trie_node *node = &nodes[i];
        const upg_state to = s->rows[rows[node->depth - 1]][node->byte];
        const struct upg_state_info *info = &s->infos[to];

        a->n_walked++;
        next = node->end;
        if (to == UPG_STATE_DEAD)
            continue;
        ids[n] = (uint32_t)node->token;
        states[with_states ? n : 0] = to;
        n += node->token >= 0; /* no branch: it could not be foreseen */
        if ((info->flags & UPG_STATE_ACCEPTS) && !add_edges(a, i))
            return;
        if ((info->flags & UPG_STATE_FINAL) || next == i + 1)
            continue;
        if (info->row == UPG_ROW_NONE && !upg_state_fill(s, to))
            return;
        rows[node->depth] = (uint32_t)s->infos[to].row;
        next = i + 1;
    }
    a->n_found_ids = n;
}

/* Edges by byte, so that those whose byte cannot come are passed over at once. */
static bool sort_edges(struct upg_automaton *a, struct upg_head *head)
{
    const struct upg_trie_node *nodes = a->grammar->vocabulary->nodes;
    uint32_t counts[257] = {0};
    size_t n_runs = 0;

    for (size_t i = 0; i < a->n_found_edges; i++)
        counts[nodes[a->found_edges[i]].byte + 1]++;
    for (size_t b = 0; b < 256; b++)
        n_runs += counts[b + 1] > 0;
    head->edges = malloc(a->n_found_edges * sizeof *head->edges + 1);
    head->runs = malloc((n_runs + 1) * sizeof *head->runs);
    if (!head->edges || !head->runs)
        return false;
    for (size_t b = 0; b < 256; b++) {
        if (counts[b + 1] > 0)
            head->runs[head->n_runs++] = (struct upg_edge_run){counts[b], (uint8_t)b};
        counts[b + 1] += counts[b];
    }
    head->runs[n_runs].first = (uint32_t)a->n_found_edges;
    for (size_t i = 0; i < a->n_found_edges; i++)
        head->edges[counts[nodes[a->found_edges[i]].byte]++] = a->found_edges[i];
    head->n_edges = a->n_found_edges;
    return true;
}

static bool pack_set(struct upg_automaton *a, const uint32_t *ids, size_t n,
                     struct upg_token_set *set)
{
    const size_t n_words = (a->grammar->vocabulary->n_ids + 31) / 32;

    *set = (struct upg_token_set){.n = n};
    if (n < n_words) {
        set->ids = malloc(n * sizeof *ids + 1);
        if (set->ids && n)
            memcpy(set->ids, ids, n * sizeof *ids);
        return set->ids != NULL;
    }
    set->bits = calloc(n_words, sizeof *set->bits);
    for (size_t i = 0; i < n && set->bits; i++)
        set->bits[ids[i] / 32] |= 1u << (ids[i] % 32);
    return set->bits != NULL;
}

static size_t set_bytes(const struct upg_automaton *a, const struct upg_token_set *set)
{
    return 4 * (set->bits ? (a->grammar->vocabulary->n_ids + 31) / 32 : set->n);
}

static size_t head_bytes(const struct upg_automaton *a, const struct upg_head *head)
{
    return sizeof *head + (head->n_runs + 1) * sizeof *head->runs +
           head->n_edges * sizeof *head->edges + set_bytes(a, &head->tokens);
}

static bool reserve_head_of(struct upg_automaton *a, size_t key)
{
    uint32_t *head_of;

    if (key < a->n_head_of)
        return true;
    head_of = upg_grow(a->head_of, &a->head_of_capacity, key + 1, sizeof *head_of);
    if (!head_of)
        return false;
    a->head_of = head_of;
    memset(head_of + a->n_head_of, 0, (a->head_of_capacity - a->n_head_of) * sizeof *head_of);
    a->n_head_of = a->head_of_capacity;
    return true;
}

static upg_expr widen(struct upg_automaton *a, upg_expr e, uint32_t reach, bool keeps_min);

static upg_expr widen_list(struct upg_automaton *a, struct upg_expr_node node, uint32_t reach,
                           bool keeps_min)
{
    upg_expr *list = malloc(node.b * sizeof *list), e = UPG_EXPR_NONE;

    if (!list) {
        fail_heads(a);
        return UPG_EXPR_NONE;
    }
    for (uint32_t i = 0; i < node.b; i++)
        list[i] = widen(a, a->states.exprs.lists[node.a + i], reach, keeps_min);
    e = upg_expr_or(&a->states.exprs, list, node.b);
    free(list);
    return e;
}

/* The same expression for the next `reach` bytes: a count beyond them is no limit, so the thousands
 * of states of a long counted text share a few heads.  Each repetition takes at least a byte,
 * and so do most parts of a chain: what is further down it may stay as it is.  With keeps_min no
 * text becomes shorter. */
static upg_expr widen(struct upg_automaton *a, upg_expr e, uint32_t reach, bool keeps_min)
{
    struct upg_exprs *x = &a->states.exprs;
    const struct upg_expr_node node = x->nodes[e];

    if (!(node.flags & UPG_EXPR_COUNTED) || reach == 0)
        return e;
    switch ((enum upg_expr_kind)node.kind) {
    case UPG_EXPR_KIND_CONCAT:
        return upg_expr_concat(x, widen(a, node.a, reach, keeps_min),
                               widen(a, node.b, reach - 1, keeps_min));
    case UPG_EXPR_KIND_OR: return widen_list(a, node, reach, keeps_min);
    case UPG_EXPR_KIND_REPEAT:
        return upg_expr_repeat(x, widen(a, node.a, reach, keeps_min),
                               keeps_min || node.b < reach ? node.b : reach,
                               node.c >= reach ? UPG_EXPR_UNBOUNDED : node.c);
    default: return e; /* in AND and NOT counts decide what is possible at all */
    }
}

static upg_state widened(struct upg_automaton *a, upg_state state, size_t tree, bool keeps_min)
{
    const upg_expr e = a->states.infos[state].expr;
    const uint32_t reach = a->grammar->vocabulary->trees[tree].depth + 1;

    if (a->states.exprs.nodes[e].flags & UPG_EXPR_BOOLEAN)
        return state;
    return upg_state_of(&a->states, widen(a, e, reach, keeps_min));
}

/* The number of the head of a state as it is; SIZE_MAX on failure. */
static size_t find_head(struct upg_automaton *a, upg_state state, size_t tree)
{
    const size_t key = UPG_N_TREES * (size_t)state + tree;
    struct upg_head *heads;

    if (!reserve_head_of(a, key)) {
        fail_heads(a);
        return SIZE_MAX;
    }
    if (a->head_of[key] > 0)
        return a->head_of[key] - 1;
    walk_lexeme(a, state, a->grammar->vocabulary->trees[tree].root, false);
    if (a->head_bytes > MAX_HEAD_BYTES)
        upg_heads_clear(a);
    heads = upg_grow(a->heads, &a->head_capacity, a->n_heads + 1, sizeof *heads);
    if (heads) {
        a->heads = heads;
        heads[a->n_heads] = (struct upg_head){0};
    }
    if (!heads || a->failed != UPG_OK || !sort_edges(a, &heads[a->n_heads]) ||
        !pack_set(a, a->found_ids, a->n_found_ids, &heads[a->n_heads].tokens)) {
        if (heads)
            clear_head(&heads[a->n_heads]);
        fail_heads(a);
        return SIZE_MAX;
    }
    a->head_bytes += head_bytes(a, &heads[a->n_heads]);
    a->head_of[key] = (uint32_t)++a->n_heads;
    return a->n_heads - 1;
}

static int compare_groups(const void *p, const void *q)
{
    const struct upg_token_group *a = p, *b = q;

    if (a->tokens.n != b->tokens.n)
        return a->tokens.n > b->tokens.n ? -1 : 1;
    return a->to < b->to ? -1 : a->to > b->to;
}

/* Number the states in found_states in the order in which they come: group_of[state] is 1 + number.
 * Returns how many there are. */
static size_t number_groups(struct upg_automaton *a, uint32_t *group_of, uint32_t *counts)
{
    size_t n_groups = 0;

    for (size_t i = 0; i < a->n_found_ids; i++) {
        uint32_t *group = &group_of[a->found_states[i]];

        if (*group == 0) {
            *group = (uint32_t)++n_groups;
            counts[n_groups - 1] = 0;
        }
        counts[*group - 1]++;
    }
    return n_groups;
}

/* A set for ids[n], which lives as long as they do. */
static bool borrow_set(struct upg_automaton *a, uint32_t *ids, size_t n, struct upg_token_set *set)
{
    *set = (struct upg_token_set){.ids = ids, .n = n};
    return n < (a->grammar->vocabulary->n_ids + 31) / 32 || pack_set(a, ids, n, set);
}

/* Groups of what walk_lexeme() has found. */
static bool pack_groups(struct upg_automaton *a, struct upg_head *head)
{
    const size_t n = a->n_found_ids;
    uint32_t *group_of = calloc(a->states.n, sizeof *group_of);
    uint32_t *counts = malloc((n + 1) * sizeof *counts), *ids = malloc(n * sizeof *ids + 1);
    bool is_good = group_of && counts && ids;
    const size_t n_groups = is_good ? number_groups(a, group_of, counts) : 0;
    uint32_t first = 0;

    head->group_ids = ids;
    head->groups = calloc(n_groups + 1, sizeof *head->groups);
    is_good = is_good && head->groups;
    for (size_t g = 0; is_good && g < n_groups; g++) { /* counts[g]: where the group begins */
        const uint32_t size = counts[g];

        counts[g] = first;
        first += size;
    }
    for (size_t i = 0; is_good && i < n; i++) {
        const uint32_t g = group_of[a->found_states[i]] - 1;

        head->groups[g].to = a->found_states[i];
        ids[counts[g]++] = a->found_ids[i];
    }
    first = 0;
    for (size_t g = 0; is_good && g < n_groups; g++) { /* counts[g]: where it ends */
        head->n_groups = g + 1;
        is_good = borrow_set(a, ids + first, counts[g] - first, &head->groups[g].tokens);
        first = counts[g];
    }
    free(group_of);
    free(counts);
    if (!is_good)
        return false;
    a->head_bytes += 2 * n * sizeof *ids + n_groups * sizeof *head->groups; /* bits are fewer */
    qsort(head->groups, n_groups, sizeof *head->groups, compare_groups);
    return true;
}

const struct upg_head *upg_head_of(struct upg_automaton *a, upg_state state, size_t tree,
                                   bool with_groups)
{
    const upg_state wide = widened(a, state, tree, with_groups);
    const size_t head = find_head(a, wide, tree);

    if (head == SIZE_MAX)
        return NULL;
    if (with_groups && !a->heads[head].groups) {
        walk_lexeme(a, wide, a->grammar->vocabulary->trees[tree].root, true);
        if (a->failed != UPG_OK || !pack_groups(a, &a->heads[head])) {
            fail_heads(a);
            return NULL;
        }
    }
    return &a->heads[head];
}

/* States in the order in which they were made: the beginnings of all lexemes, what may follow them,
 * and so on. */
void upg_heads_warm(struct upg_automaton *a)
{
    const struct upg_grammar *g = a->grammar;
    const size_t n_units = a->units.n;

    for (size_t i = 0; i < n_units; i++)
        if (a->units.nodes[i].kind == UPG_UNIT_KIND_EXPR)
            upg_state_of(&a->states, a->units.nodes[i].a);
    for (size_t i = 0; i < g->n_objects; i++)
        for (uint32_t k = 0; k < g->objects[i].n_classes; k++)
            upg_state_of(&a->states, g->objects[i].classes[k].name);
    for (upg_state state = 1; state < a->states.n && a->failed == UPG_OK; state++) {
        if (a->n_walked > WARM_NODES || a->head_bytes > MAX_HEAD_BYTES / 2 ||
            upg_automaton_n_bytes(a) > g->max_bytes / 8 ||
            UPG_EXPR_MAX_WORK - a->states.exprs.work_left > WARM_WORK)
            return;
        if (!(a->states.infos[state].flags & UPG_STATE_FINAL) && upg_state_fill(&a->states, state))
            for (size_t tree = 0; tree < UPG_N_TREES; tree++)
                find_head(a, widened(a, state, tree, false), tree);
    }
}
