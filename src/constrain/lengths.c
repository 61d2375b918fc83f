/* lengths.c -- how long are the texts of an expression?
 *
 * Without intersection and complement that follows from the parts.  With them derivatives are
 * searched, the most promising first (A*: Hart, Nilsson, Raphael 1968): what the parts need at least
 * is a lower bound of the whole.  What is found holds for all expressions on the way there, and a
 * search ends where an earlier one came along; the text is then there, but perhaps not the
 * shortest. */
#include "constrain/grow.h"
#include "constrain/states.h"

enum { NOT_KNOWN = UINT32_MAX, IN_SEARCH = UINT32_MAX - 1 };

/* A search ends without a result after this; work as in struct upg_exprs, 300 000 are 20 ms. */
enum { MAX_MET = 4096, MAX_SEARCH_WORK = 300000 };

/* What an intersection may need beyond the sum of its parts; a guess, see upg_expr_farthest(). */
enum { SLACK = 16 };

/* An expression that a search has met. */
struct met {
    upg_expr expr;
    uint32_t from;     /* met[from] led here */
    uint32_t depth;    /* bytes on the way */
    uint32_t estimate; /* of the bytes from the beginning to the end, at least; UPG_FAR: done */
};

static bool reserve(struct upg_states *s)
{
    const size_t n = s->exprs.n_nodes;
    struct upg_expr_length *lengths;

    if (n <= s->n_lengths)
        return true;
    lengths = upg_grow(s->lengths, &s->length_capacity, n, sizeof *lengths);
    if (!lengths) {
        s->exprs.failed = UPG_ERR_MEMORY;
        return false;
    }
    s->lengths = lengths;
    for (; s->n_lengths < s->length_capacity; s->n_lengths++)
        lengths[s->n_lengths] = (struct upg_expr_length){NOT_KNOWN, NOT_KNOWN, NOT_KNOWN};
    return true;
}

static uint32_t times(uint32_t n, uint32_t length)
{
    const uint64_t product = (uint64_t)n * length;

    return product < UPG_FAR ? (uint32_t)product : UPG_FAR;
}

static struct upg_expr_length bounds(struct upg_states *s, upg_expr e);

static struct upg_expr_length bounds_of_list(struct upg_states *s, struct upg_expr_node node)
{
    const bool is_or = node.kind == UPG_EXPR_KIND_OR;
    struct upg_expr_length length = {.bound = is_or ? UPG_FAR : 0};

    for (uint32_t i = 0; i < node.b; i++) {
        const struct upg_expr_length part = bounds(s, s->exprs.lists[node.a + i]);

        if (is_or ? part.bound < length.bound : part.bound > length.bound)
            length.bound = part.bound;
        if (!is_or)
            length.farthest = upg_far_sum(length.farthest, upg_far_sum(part.farthest, SLACK));
        else if (part.farthest > length.farthest)
            length.farthest = part.farthest;
    }
    return length;
}

/* Chains are long: down to what is known, then back. */
static struct upg_expr_length bounds_of_chain(struct upg_states *s, upg_expr e)
{
    struct upg_expr_length length = {.bound = 0, .farthest = UPG_FAR};
    upg_expr *chain = NULL;
    size_t n = 0, capacity = 0;

    for (; s->exprs.nodes[e].kind == UPG_EXPR_KIND_CONCAT && s->lengths[e].bound == NOT_KNOWN;
         e = s->exprs.nodes[e].b) {
        upg_expr *grown = upg_grow(chain, &capacity, n + 1, sizeof *grown);

        if (!grown) {
            free(chain);
            s->exprs.failed = UPG_ERR_MEMORY;
            return length;
        }
        chain = grown;
        chain[n++] = e;
    }
    length = bounds(s, e);
    while (n-- > 0) {
        const struct upg_expr_length first = bounds(s, s->exprs.nodes[chain[n]].a);
        const uint32_t farthest = upg_far_sum(first.farthest, length.bound);

        length.bound = upg_far_sum(first.bound, length.bound);
        length.farthest = farthest > length.farthest ? farthest : length.farthest;
        s->lengths[chain[n]].bound = length.bound;
        s->lengths[chain[n]].farthest = length.farthest;
    }
    free(chain);
    return length;
}

/* `bound` and `farthest` of an expression, from its parts. */
static struct upg_expr_length bounds(struct upg_states *s, upg_expr e)
{
    const struct upg_expr_node node = s->exprs.nodes[e];
    const uint32_t needs_byte = node.flags & UPG_EXPR_NULLABLE ? 0 : 1;
    struct upg_expr_length length = {.bound = 0, .farthest = 0};

    if (!reserve(s))
        return (struct upg_expr_length){.bound = 0, .farthest = UPG_FAR};
    if (s->lengths[e].bound != NOT_KNOWN)
        return s->lengths[e];
    switch ((enum upg_expr_kind)node.kind) {
    case UPG_EXPR_KIND_NONE: length.bound = UPG_FAR; break;
    case UPG_EXPR_KIND_EPSILON:
    case UPG_EXPR_KIND_ALL: break;
    case UPG_EXPR_KIND_BYTES: length.bound = length.farthest = 1; break;
    case UPG_EXPR_KIND_CONCAT: return bounds_of_chain(s, e);
    case UPG_EXPR_KIND_OR:
    case UPG_EXPR_KIND_AND: length = bounds_of_list(s, node); break;
    case UPG_EXPR_KIND_NOT:
        length.bound = needs_byte;
        length.farthest = upg_far_sum(bounds(s, node.a).farthest, SLACK);
        break;
    case UPG_EXPR_KIND_REPEAT:
        length = bounds(s, node.a);
        length.farthest =
            upg_far_sum(length.farthest, times(node.b > 1 ? node.b - 1 : 0, length.bound));
        length.bound = times(node.b, length.bound);
        break;
    case UPG_EXPR_KIND_REMAINDER:
        length.bound = needs_byte;
        length.farthest = 2 * SLACK;
        break;
    }
    s->lengths[e].bound = length.bound;
    s->lengths[e].farthest = length.farthest;
    return length;
}

/* Those that a search has met. */
struct search {
    struct met met[MAX_MET];
    size_t n;
};

static void meet(struct upg_states *s, struct search *search, upg_expr e, size_t from,
                 uint32_t depth)
{
    uint32_t rest = bounds(s, e).bound;

    if (!reserve(s) || search->n == MAX_MET || s->lengths[e].least == IN_SEARCH)
        return;
    if (!(s->exprs.nodes[e].flags & UPG_EXPR_BOOLEAN))
        s->lengths[e].least = rest;
    if (s->lengths[e].least == NOT_KNOWN)
        s->lengths[e].least = IN_SEARCH;
    else
        rest = s->lengths[e].least;
    search->met[search->n++] = (struct met){e, (uint32_t)from, depth, upg_far_sum(depth, rest)};
}

/* The most promising of those that were not looked at; SIZE_MAX: there is none. */
static size_t best_met(const struct search *search)
{
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < search->n; i++)
        if (search->met[i].estimate < UPG_FAR &&
            (best == SIZE_MAX || search->met[i].estimate < search->met[best].estimate ||
             (search->met[i].estimate == search->met[best].estimate &&
              search->met[i].depth > search->met[best].depth)))
            best = i;
    return best;
}

/* Search until something of a known length is the most promising: its number. */
static size_t search_end(struct upg_states *s, struct search *search, upg_expr e)
{
    const size_t start = s->exprs.work_left;
    const size_t work =
        s->search_work_left < MAX_SEARCH_WORK ? s->search_work_left : MAX_SEARCH_WORK;
    size_t at;

    meet(s, search, e, 0, 0);
    while ((at = best_met(search)) != SIZE_MAX && search->n < MAX_MET) {
        uint8_t labels[256], examples[256];
        const struct met met = search->met[at];
        size_t n_labels;

        if (s->exprs.failed != UPG_OK || start - s->exprs.work_left > work ||
            s->exprs.work_left < UPG_EXPR_MAX_WORK / 4)
            return SIZE_MAX;
        if (upg_expr_is_nullable(&s->exprs, met.expr))
            s->lengths[met.expr].least = 0;
        if (s->lengths[met.expr].least != IN_SEARCH)
            return at;
        search->met[at].estimate = UPG_FAR;
        n_labels = upg_expr_partition(&s->exprs, met.expr, labels, examples);
        for (size_t i = 0; i < n_labels && s->exprs.failed == UPG_OK; i++)
            meet(s, search, upg_expr_derive(&s->exprs, met.expr, examples[i]), at, met.depth + 1);
    }
    return SIZE_MAX;
}

/* The length of an intersection, complement or remainder. */
static uint32_t search_length(struct upg_states *s, upg_expr e)
{
    struct search *search;
    const size_t start = s->exprs.work_left;
    uint32_t length = UPG_FAR;
    size_t end, work;

    if (s->search_work_left == 0)
        return UPG_FAR;
    search = malloc(sizeof *search);
    if (!search) {
        s->exprs.failed = UPG_ERR_MEMORY;
        return UPG_FAR;
    }
    search->n = 0;
    end = search_end(s, search, e);
    work = start - s->exprs.work_left + 1;
    s->search_work_left -= work < s->search_work_left ? work : s->search_work_left;
    for (size_t i = 0; i < search->n; i++)
        if (s->lengths[search->met[i].expr].least == IN_SEARCH)
            s->lengths[search->met[i].expr].least = NOT_KNOWN;
    if (end != SIZE_MAX) {
        length = s->lengths[search->met[end].expr].least;
        for (; end > 0; length++) {
            end = search->met[end].from;
            s->lengths[search->met[end].expr].least = length + 1;
        }
    } else if (s->search_work_left > 0)
        s->lengths[e].least = UPG_FAR; /* there is none, or none that can be found */
    free(search);
    return length;
}

/* The length of an expression with intersections or complements inside. */
static uint32_t boolean_shortest(struct upg_states *s, upg_expr e)
{
    const struct upg_expr_node node = s->exprs.nodes[e];
    uint32_t length = UPG_FAR;

    switch ((enum upg_expr_kind)node.kind) {
    case UPG_EXPR_KIND_OR:
        for (uint32_t i = 0; i < node.b; i++) {
            const uint32_t part = upg_expr_shortest(s, s->exprs.lists[node.a + i]);
            length = part < length ? part : length;
        }
        return length;
    case UPG_EXPR_KIND_REPEAT: return times(node.b, upg_expr_shortest(s, node.a));
    default: return search_length(s, e);
    }
}

uint32_t upg_expr_shortest(struct upg_states *s, upg_expr e)
{
    uint32_t before = 0, length = 0; /* of the links of a chain that were passed */
    upg_expr at = e;

    for (; s->exprs.nodes[at].kind == UPG_EXPR_KIND_CONCAT; at = s->exprs.nodes[at].b) {
        if (!(s->exprs.nodes[at].flags & UPG_EXPR_BOOLEAN) || !reserve(s) ||
            s->lengths[at].least != NOT_KNOWN)
            break;
        before = upg_far_sum(before, upg_expr_shortest(s, s->exprs.nodes[at].a));
    }
    if (!(s->exprs.nodes[at].flags & UPG_EXPR_BOOLEAN))
        length = bounds(s, at).bound;
    else if (reserve(s) && s->lengths[at].least != NOT_KNOWN)
        length = s->lengths[at].least;
    else if (s->exprs.failed == UPG_OK)
        length = boolean_shortest(s, at);
    else
        length = UPG_FAR;
    length = upg_far_sum(before, length);
    if (length < UPG_FAR && e < s->n_lengths)
        s->lengths[e].least = length;
    return length;
}

uint32_t upg_expr_known_length(struct upg_states *s, upg_expr e)
{
    if (!(s->exprs.nodes[e].flags & UPG_EXPR_BOOLEAN))
        return bounds(s, e).bound;
    if (upg_expr_is_nullable(&s->exprs, e))
        return 0;
    return reserve(s) && s->lengths[e].least < UPG_FAR ? s->lengths[e].least : UPG_FAR;
}

uint32_t upg_expr_farthest(struct upg_states *s, upg_expr e)
{
    return bounds(s, e).farthest;
}
