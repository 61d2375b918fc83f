/* mask.c -- which tokens may come next.
 *
 * A mask is the union of the heads of its cells and of what their edges allow; the few edges are
 * walked anew for each place.
 *
 * Inside a free member's name the lexeme is "the names of this class but the used ones", which is
 * new with each name.  Its tokens are those of the class without the few that differ, and those are
 * found by walking both lexemes at once, as far as they differ.
 *
 * When the tokens that are left may not be enough for all ways to go on, each group of tokens that
 * lead to the same state is judged by what is missing behind it.  Bytes are counted first, for there
 * are never more tokens; where these are too many, the tokens of a plan. */
#include "constrain/automaton.h"
#include "constrain/grow.h"
#include "constrain/heads.h"

#include <string.h>

/* Plans that may be counted for one mask: a few 100 us. */
enum { MAX_JUDGED = 256 };

/* Where a distance is not known: what is enough beyond the distance of the cell as it is; and if that is
 * not known either. */
enum { ENOUGH_MORE = 32, ENOUGH = 256 };

/* Names that are used make others longer by no more than this, unless their class is odd. */
enum { NAME_SLACK = 4 };

static inline bool has_bit(const uint32_t *bits, uint32_t id)
{
    return bits[id / 32] >> (id % 32) & 1;
}

static void add_set(const struct upg_automaton *a, const struct upg_token_set *set, uint32_t *bits)
{
    const size_t n_words = (a->grammar->vocabulary->n_ids + 31) / 32;

    for (size_t i = 0; set->ids && i < set->n; i++)
        bits[set->ids[i] / 32] |= 1u << (set->ids[i] % 32);
    for (size_t w = 0; set->bits && w < n_words; w++)
        bits[w] |= set->bits[w];
}

static bool bytes_fit(const struct upg_automaton *a, uint32_t n_bytes)
{
    return a->limit >= (n_bytes < UPG_FAR ? n_bytes : a->enough);
}

/* Can what the cell stands for be completed within the limit? */
static bool cell_fits(struct upg_automaton *a, upg_cell cell)
{
    const uint32_t distance = upg_cell_distance(a, cell);

    if (bytes_fit(a, distance))
        return true;
    a->is_limited = true;
    if (distance >= UPG_FAR || distance / a->grammar->vocabulary->max_depth > a->limit)
        return false;
    if (a->cells[cell].n_tokens == UPG_NO_ID && a->n_judged++ >= MAX_JUDGED)
        return false;
    return upg_cell_n_tokens(a, cell) <= a->limit;
}

static bool place_fits(struct upg_automaton *a, upg_place place)
{
    const struct upg_place_node node = a->places[place];

    if (bytes_fit(a, upg_place_distance(a, place)))
        return true;
    for (uint32_t i = 0; i < node.n; i++)
        if (cell_fits(a, a->place_cells[node.first + i]))
            return true;
    return false;
}

/* Can the text be completed within the limit whatever comes in the lexeme, with `next` behind it? */
static bool all_fit(struct upg_automaton *a, upg_state state, upg_cell next)
{
    return bytes_fit(a, upg_far_sum(upg_expr_farthest(&a->states, a->states.infos[state].expr),
                                    upg_cell_distance(a, next)));
}

/* Tokens of a head, or of those of its groups behind which the text can be completed in time. */
static void add_head(struct upg_automaton *a, const struct upg_head *head, bool all, upg_cell next,
                     uint32_t *bits)
{
    if (all)
        add_set(a, &head->tokens, bits);
    for (size_t i = 0; !all && i < head->n_groups && a->failed == UPG_OK; i++) {
        const upg_unit inside =
            upg_unit_make(&a->units, UPG_UNIT_KIND_STATE, head->groups[i].to, 0, 0, 0);
        const upg_cell cell = upg_cell_make(a, inside, next);

        if (cell != UPG_NO_ID && cell_fits(a, cell))
            add_set(a, &head->groups[i].tokens, bits);
    }
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
        if (node->token >= 0 && place_fits(a, to))
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
            upg_add_found(a, &a->found_ids, &a->n_found_ids, &a->found_id_capacity,
                          (uint32_t)nodes[k].token);
    upg_add_found(a, &a->found_edges, &a->n_found_edges, &a->found_edge_capacity, i);
    upg_add_found(a, &a->found_edges, &a->n_found_edges, &a->found_edge_capacity, nodes[i].end);
}

/* Walk a name's lexeme and its class's together, where they are not the same. */
static struct lack find_lack(struct upg_automaton *a, upg_state name, upg_state class_state,
                             uint32_t root)
{
    const struct upg_trie_node *nodes = a->grammar->vocabulary->nodes;
    upg_state *const names = a->walk_states, *const classes = a->walk_places;

    a->n_found_ids = a->n_found_edges = 0;
    names[0] = name;
    classes[0] = class_state;
    for (uint32_t i = root + 1; i < nodes[root].end && a->failed == UPG_OK;) {
        const struct upg_trie_node *node = &nodes[i];
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

static void mask_name(struct upg_automaton *a, upg_cell cell, size_t tree, uint32_t *bits)
{
    const upg_state name = a->units.nodes[a->cells[cell].unit].a;
    const upg_cell next = a->cells[cell].next;
    const upg_state class_state = upg_state_of(&a->states, class_of(a, a->states.infos[name].expr));
    const upg_place behind = upg_cell_behind(a, cell, UPG_NO_ID);
    const size_t limit = a->limit;
    const struct upg_head *head;
    struct lack lack = {0};
    size_t n_kept = 0;
    bool all;

    a->limit -= a->limit == UPG_NO_LIMIT ? 0 : a->limit < NAME_SLACK ? a->limit : NAME_SLACK;
    all = all_fit(a, class_state, next);
    head = upg_head_of(a, class_state, tree, !all);
    if (head && class_state != name)
        lack = find_lack(a, name, class_state, a->grammar->vocabulary->trees[tree].root);
    for (size_t i = 0; i < lack.n_ids; i++) /* what other cells allow stays */
        if (!has_bit(bits, lack.ids[i]))
            lack.ids[n_kept++] = lack.ids[i];
    if (head)
        add_head(a, head, all, next, bits);
    for (size_t i = 0; i < n_kept; i++)
        bits[lack.ids[i] / 32] &= ~(1u << (lack.ids[i] % 32));
    a->limit = limit;
    if (head)
        add_edges_of(a, head, behind, &lack, bits);
}

static void mask_lexeme(struct upg_automaton *a, upg_cell cell, size_t tree, uint32_t *bits)
{
    const upg_state state = a->units.nodes[a->cells[cell].unit].a;
    const upg_cell next = a->cells[cell].next;
    const bool all = all_fit(a, state, next);
    const struct upg_head *head = upg_head_of(a, state, tree, !all);

    if (!head)
        return;
    if (head->n_edges > 0)
        add_edges_of(a, head, upg_cell_behind(a, cell, UPG_NO_ID), NULL, bits);
    add_head(a, head, all, next, bits);
}

static void mask_cell(struct upg_automaton *a, upg_cell cell, uint32_t *bits)
{
    const uint32_t kind = a->units.nodes[a->cells[cell].unit].kind;
    const uint32_t distance = a->limit == UPG_NO_LIMIT ? 0 : upg_cell_distance(a, cell);

    a->enough = distance < UPG_FAR ? distance + ENOUGH_MORE : ENOUGH;
    for (size_t tree = 0; tree < UPG_N_TREES; tree++)
        if (kind == UPG_UNIT_KIND_NAME)
            mask_name(a, cell, tree, bits);
        else if (kind == UPG_UNIT_KIND_STATE)
            mask_lexeme(a, cell, tree, bits);
}

static void begin_mask(struct upg_automaton *a, size_t limit)
{
    a->limit = limit;
    a->n_judged = 0;
    a->states.search_work_left = UPG_MASK_SEARCH_WORK;
}

void upg_place_mask(struct upg_automaton *a, upg_place place, size_t limit, uint32_t *bits,
                    size_t n_words)
{
    const uint32_t n = a->places[place].n;

    memset(bits, 0, n_words * sizeof *bits);
    begin_mask(a, limit);
    a->is_limited = false;
    for (uint32_t i = 0; i < n && a->failed == UPG_OK; i++)
        mask_cell(a, a->place_cells[a->places[place].first + i], bits);
    if (!a->is_limited)
        return;
    begin_mask(a, limit + 1);
    for (uint32_t i = 0; i < n && a->failed == UPG_OK; i++) {
        const upg_cell cell = a->place_cells[a->places[place].first + i];
        if (cell_fits(a, cell))
            upg_plan_mask(a, cell, limit, bits);
    }
}
