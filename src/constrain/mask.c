/* mask.c -- which tokens may come next.
 *
 * The tokens that stay inside a lexeme depend on its state alone.  They are found by one walk
 * through the tree of tokens and kept: this is the *head* of the state.  The walk also notes the
 * *edges*: the nodes that come when the lexeme may be complete, so that the rest of their tokens
 * belongs to what is behind it.  These few are walked anew for each place.  So a mask is the
 * union of the heads of its cells and of what the edges allow.
 *
 * Inside a free member's name the lexeme is "the names of this class but the used ones", which is
 * new with each name.  Its tokens are those of the class without the few that differ, and those are
 * found by walking both lexemes at once, as far as they differ. */
#include "constrain/automaton.h"
#include "constrain/grow.h"

#include <string.h>

/* Edges of one byte: edges[first .. next run's first). */
struct run {
    uint32_t first;
    uint8_t byte;
};

struct upg_head {
    uint32_t *ids;  /* [n_ids] tokens; NULL: they are in bits */
    uint32_t *bits; /* [n_words] */
    uint32_t *edges;
    struct run *runs; /* [n_runs + 1] */
    size_t n_ids, n_edges, n_runs;
};

/* Heads beyond this are forgotten: 32 MiB are 2500 dense heads of 100 000 tokens. */
enum { MAX_HEAD_BYTES = 32 << 20 };

/* Limits of upg_heads_warm(): about 20 ms of walks and 20 ms of derivatives. */
enum { WARM_NODES = 4000000, WARM_WORK = 300000 };

static void clear_head(struct upg_head *head)
{
    free(head->ids);
    free(head->bits);
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

static void fail_mask(struct upg_automaton *a)
{
    if (a->failed == UPG_OK)
        a->failed = UPG_ERR_MEMORY;
}

static bool add_found(struct upg_automaton *a, uint32_t **list, size_t *n, size_t *capacity,
                      uint32_t value)
{
    uint32_t *grown = upg_grow(*list, capacity, *n + 1, sizeof *grown);

    if (!grown) {
        fail_mask(a);
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
        if (!add_found(a, &a->found_edges, &a->n_found_edges, &a->found_edge_capacity, child))
            return false;
    return true;
}

/* Collect tokens and edges of a state. */
static void walk_lexeme(struct upg_automaton *a, upg_state state)
{
    const struct upg_vocabulary *v = a->grammar->vocabulary;

    a->n_found_ids = a->n_found_edges = 0;
    a->walk_states[0] = state;
    for (uint32_t i = 1; i < v->n_nodes; a->n_walked++) {
        const struct upg_trie_node *node = &v->nodes[i];
        const upg_state to =
            upg_state_step(&a->states, a->walk_states[node->depth - 1], node->byte);
        const uint8_t flags = a->states.infos[to].flags;

        if (to == UPG_STATE_DEAD) {
            i = node->end;
            continue;
        }
        if (node->token >= 0 && !add_found(a, &a->found_ids, &a->n_found_ids, &a->found_id_capacity,
                                           (uint32_t)node->token))
            return;
        if ((flags & UPG_STATE_ACCEPTS) && !add_edges(a, i))
            return;
        a->walk_states[node->depth] = to;
        i = flags & UPG_STATE_FINAL ? node->end : i + 1;
    }
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
            head->runs[head->n_runs++] = (struct run){counts[b], (uint8_t)b};
        counts[b + 1] += counts[b];
    }
    head->runs[n_runs].first = (uint32_t)a->n_found_edges;
    for (size_t i = 0; i < a->n_found_edges; i++)
        head->edges[counts[nodes[a->found_edges[i]].byte]++] = a->found_edges[i];
    head->n_edges = a->n_found_edges;
    return true;
}

static bool pack_head(struct upg_automaton *a, struct upg_head *head)
{
    const size_t n_words = (a->grammar->vocabulary->n_ids + 31) / 32;

    if (!sort_edges(a, head))
        return false;
    head->n_ids = a->n_found_ids;
    if (a->n_found_ids < n_words) {
        head->ids = malloc(a->n_found_ids * sizeof *head->ids + 1);
        if (head->ids && a->n_found_ids)
            memcpy(head->ids, a->found_ids, a->n_found_ids * sizeof *head->ids);
        return head->ids != NULL;
    }
    head->bits = calloc(n_words, sizeof *head->bits);
    for (size_t i = 0; i < a->n_found_ids && head->bits; i++)
        head->bits[a->found_ids[i] / 32] |= 1u << (a->found_ids[i] % 32);
    return head->bits != NULL;
}

static size_t head_bytes(const struct upg_automaton *a, const struct upg_head *head)
{
    return sizeof *head + (head->n_runs + 1) * sizeof *head->runs +
           head->n_edges * sizeof *head->edges +
           (head->bits ? (a->grammar->vocabulary->n_ids + 31) / 32 : head->n_ids) * 4;
}

static bool reserve_head_of(struct upg_automaton *a, upg_state state)
{
    uint32_t *head_of;

    if (state < a->n_head_of)
        return true;
    head_of = upg_grow(a->head_of, &a->head_of_capacity, (size_t)state + 1, sizeof *head_of);
    if (!head_of)
        return false;
    a->head_of = head_of;
    memset(head_of + a->n_head_of, 0, (a->head_of_capacity - a->n_head_of) * sizeof *head_of);
    a->n_head_of = a->head_of_capacity;
    return true;
}

static upg_expr widen(struct upg_automaton *a, upg_expr e, uint32_t reach);

static upg_expr widen_list(struct upg_automaton *a, struct upg_expr_node node, uint32_t reach)
{
    upg_expr *list = malloc(node.b * sizeof *list), e = UPG_EXPR_NONE;

    if (!list) {
        fail_mask(a);
        return UPG_EXPR_NONE;
    }
    for (uint32_t i = 0; i < node.b; i++)
        list[i] = widen(a, a->states.exprs.lists[node.a + i], reach);
    e = upg_expr_or(&a->states.exprs, list, node.b);
    free(list);
    return e;
}

/* The same expression for the next `reach` bytes: a count beyond them is no limit, so the thousands
 * of states of a long counted text share a few heads.  Each repetition takes at least a byte,
 * and so do most parts of a chain: what is further down it may stay as it is. */
static upg_expr widen(struct upg_automaton *a, upg_expr e, uint32_t reach)
{
    struct upg_exprs *x = &a->states.exprs;
    const struct upg_expr_node node = x->nodes[e];

    if (!(node.flags & UPG_EXPR_COUNTED) || reach == 0)
        return e;
    switch ((enum upg_expr_kind)node.kind) {
    case UPG_EXPR_KIND_CONCAT:
        return upg_expr_concat(x, widen(a, node.a, reach), widen(a, node.b, reach - 1));
    case UPG_EXPR_KIND_OR: return widen_list(a, node, reach);
    case UPG_EXPR_KIND_REPEAT:
        return upg_expr_repeat(x, widen(a, node.a, reach), node.b < reach ? node.b : reach,
                               node.c >= reach ? UPG_EXPR_UNBOUNDED : node.c);
    default: return e; /* in AND and NOT counts decide what is possible at all */
    }
}

static const struct upg_head *head_of(struct upg_automaton *a, upg_state state)
{
    struct upg_head *heads;

    if (!(a->states.exprs.nodes[a->states.infos[state].expr].flags & UPG_EXPR_BOOLEAN))
        state = upg_state_of(&a->states, widen(a, a->states.infos[state].expr,
                                               (uint32_t)a->grammar->vocabulary->max_depth + 1));
    if (!reserve_head_of(a, state)) {
        fail_mask(a);
        return NULL;
    }
    if (a->head_of[state] > 0)
        return &a->heads[a->head_of[state] - 1];
    walk_lexeme(a, state);
    if (a->head_bytes > MAX_HEAD_BYTES)
        upg_heads_clear(a);
    heads = upg_grow(a->heads, &a->head_capacity, a->n_heads + 1, sizeof *heads);
    if (heads) {
        a->heads = heads;
        heads[a->n_heads] = (struct upg_head){0};
    }
    if (!heads || a->failed != UPG_OK || !pack_head(a, &heads[a->n_heads])) {
        if (heads)
            clear_head(&heads[a->n_heads]);
        fail_mask(a);
        return NULL;
    }
    a->head_bytes += head_bytes(a, &heads[a->n_heads]);
    a->head_of[state] = (uint32_t)++a->n_heads;
    return &heads[a->n_heads - 1];
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
            head_of(a, state);
    }
}

static inline bool has_bit(const uint32_t *bits, uint32_t id)
{
    return bits[id / 32] >> (id % 32) & 1;
}

static void add_head(const struct upg_automaton *a, const struct upg_head *head, uint32_t *bits)
{
    const size_t n_words = (a->grammar->vocabulary->n_ids + 31) / 32;

    for (size_t i = 0; head->ids && i < head->n_ids; i++)
        bits[head->ids[i] / 32] |= 1u << (head->ids[i] % 32);
    for (size_t w = 0; head->bits && w < n_words; w++)
        bits[w] |= head->bits[w];
}

/* Tokens below node `edge` whose rest, from its byte on, may come at the place. */
static void walk_edge(struct upg_automaton *a, uint32_t edge, upg_place place, uint32_t *bits)
{
    const struct upg_trie_node *nodes = a->grammar->vocabulary->nodes;
    const uint32_t end = nodes[edge].end;

    a->walk_places[nodes[edge].depth - 1] = place;
    for (uint32_t i = edge; i < end && a->failed == UPG_OK;) {
        const struct upg_trie_node *node = &nodes[i];
        const upg_place to = upg_place_step(a, a->walk_places[node->depth - 1], node->byte);

        if (to == UPG_PLACE_DEAD) {
            i = node->end;
            continue;
        }
        if (node->token >= 0)
            bits[node->token / 32] |= 1u << (node->token % 32);
        a->walk_places[node->depth] = to;
        i++;
    }
}

/* What a name's lexeme lacks of the lexeme of its class: tokens, and nodes [first, end) whose edges
 * do not count. */
struct lack {
    uint32_t *ids;    /* a->found_ids */
    uint32_t *ranges; /* a->found_edges: pairs */
    size_t n_ids, n_ranges;
};

static bool is_lacking(const struct lack *lack, uint32_t edge)
{
    for (size_t i = 0; i < lack->n_ranges; i++)
        if (edge > lack->ranges[2 * i] && edge < lack->ranges[2 * i + 1])
            return true;
    return false;
}

static void add_edges_of(struct upg_automaton *a, const struct upg_head *head, upg_place behind,
                         const struct lack *lack, uint32_t *bits)
{
    for (size_t r = 0; r < head->n_runs && a->failed == UPG_OK; r++) {
        if (upg_place_step(a, behind, head->runs[r].byte) == UPG_PLACE_DEAD)
            continue;
        for (uint32_t i = head->runs[r].first; i < head->runs[r + 1].first; i++)
            if (!lack || !is_lacking(lack, head->edges[i]))
                walk_edge(a, head->edges[i], behind, bits);
    }
}

/* Without its complements: "the names of the class" of "the names of the class but the used
 * ones". */
static upg_expr class_of(struct upg_automaton *a, upg_expr e)
{
    const struct upg_expr_node node = a->states.exprs.nodes[e];
    upg_expr kept = UPG_EXPR_ALL;

    if (node.kind != UPG_EXPR_KIND_AND)
        return e;
    for (uint32_t i = 0; i < node.b; i++) {
        const upg_expr operand = a->states.exprs.lists[node.a + i];
        if (a->states.exprs.nodes[operand].kind != UPG_EXPR_KIND_NOT)
            kept = upg_expr_and2(&a->states.exprs, kept, operand);
    }
    return kept;
}

/* Remove the tokens below a node, and its edges. */
static void lack_below(struct upg_automaton *a, uint32_t i, bool with_token)
{
    const struct upg_trie_node *nodes = a->grammar->vocabulary->nodes;

    for (uint32_t k = with_token ? i : i + 1; k < nodes[i].end; k++)
        if (nodes[k].token >= 0)
            add_found(a, &a->found_ids, &a->n_found_ids, &a->found_id_capacity,
                      (uint32_t)nodes[k].token);
    add_found(a, &a->found_edges, &a->n_found_edges, &a->found_edge_capacity, i);
    add_found(a, &a->found_edges, &a->n_found_edges, &a->found_edge_capacity, nodes[i].end);
}

/* Walk a name's lexeme and its class's together, where they are not the same. */
static struct lack find_lack(struct upg_automaton *a, upg_state name, upg_state class_state)
{
    const struct upg_vocabulary *v = a->grammar->vocabulary;
    upg_state *const names = a->walk_states, *const classes = a->walk_places;

    a->n_found_ids = a->n_found_edges = 0;
    names[0] = name;
    classes[0] = class_state;
    for (uint32_t i = 1; i < v->n_nodes && a->failed == UPG_OK;) {
        const struct upg_trie_node *node = &v->nodes[i];
        const upg_state n = upg_state_step(&a->states, names[node->depth - 1], node->byte);
        const upg_state c = upg_state_step(&a->states, classes[node->depth - 1], node->byte);

        if (n != c && n == UPG_STATE_DEAD)
            lack_below(a, i, true);
        if (n == c || n == UPG_STATE_DEAD) {
            i = node->end;
            continue;
        }
        names[node->depth] = n;
        classes[node->depth] = c;
        i++;
    }
    return (struct lack){a->found_ids, a->found_edges, a->n_found_ids, a->n_found_edges / 2};
}

static void mask_name(struct upg_automaton *a, upg_state name, upg_place behind, uint32_t *bits)
{
    const upg_state class_state = upg_state_of(&a->states, class_of(a, a->states.infos[name].expr));
    const struct upg_head *head = head_of(a, class_state);
    struct lack lack;
    size_t n_kept = 0;

    if (!head)
        return;
    if (class_state == name) {
        add_head(a, head, bits);
        add_edges_of(a, head, behind, NULL, bits);
        return;
    }
    lack = find_lack(a, name, class_state);
    for (size_t i = 0; i < lack.n_ids; i++) /* what other cells allow stays */
        if (!has_bit(bits, lack.ids[i]))
            lack.ids[n_kept++] = lack.ids[i];
    add_head(a, head, bits);
    for (size_t i = 0; i < n_kept; i++)
        bits[lack.ids[i] / 32] &= ~(1u << (lack.ids[i] % 32));
    add_edges_of(a, head, behind, &lack, bits);
}

void upg_place_mask(struct upg_automaton *a, upg_place place, uint32_t *bits, size_t n_words)
{
    const uint32_t n = a->places[place].n;

    memset(bits, 0, n_words * sizeof *bits);
    for (uint32_t i = 0; i < n && a->failed == UPG_OK; i++) {
        const upg_cell cell = a->place_cells[a->places[place].first + i];
        const struct upg_unit_node unit = a->units.nodes[a->cells[cell].unit];
        const struct upg_head *head;

        if (unit.kind == UPG_UNIT_KIND_NAME) {
            mask_name(a, unit.a, upg_cell_behind(a, cell, UPG_NO_ID), bits);
        } else if (unit.kind == UPG_UNIT_KIND_STATE) {
            head = head_of(a, unit.a);
            if (head) {
                add_head(a, head, bits);
                if (head->n_edges > 0)
                    add_edges_of(a, head, upg_cell_behind(a, cell, UPG_NO_ID), NULL, bits);
            }
        }
    }
}
