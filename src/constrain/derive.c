/* derive.c -- Brzozowski's derivatives: what may follow a byte.
 *
 * Janusz A. Brzozowski, "Derivatives of Regular Expressions", JACM 11 (1964); which bytes need
 * not be told apart after Owens, Reppy, Turon, "Regular-expression derivatives re-examined", JFP
 * 19 (2009), section 4.2.  Recursion is bounded by UPG_EXPR_MAX_DEPTH: chains of concatenations
 * are followed in a loop. */
#include "constrain/expression.h"

#include "constrain/grow.h"

#include <string.h>

/* The operands that are collected by nested calls lie on one stack; each level copies its part out
 * in small pieces, because constructors use the same stack above it. */
static bool push(struct upg_exprs *x, upg_expr e)
{
    upg_expr *scratch =
        upg_grow(x->scratch, &x->scratch_capacity, x->n_scratch + 1, sizeof *scratch);

    if (!scratch) {
        x->failed = UPG_ERR_MEMORY;
        return false;
    }
    x->scratch = scratch;
    scratch[x->n_scratch++] = e;
    return true;
}

/* OR or AND of what lies on the stack from base on. */
static upg_expr pop_list(struct upg_exprs *x, enum upg_expr_kind kind, size_t base)
{
    const size_t n = x->n_scratch - base;
    upg_expr few[32], *list = n <= 32 ? few : malloc(n * sizeof *list), e;

    if (!list) {
        x->n_scratch = base;
        x->failed = UPG_ERR_MEMORY;
        return UPG_EXPR_NONE;
    }
    if (n)
        memcpy(list, x->scratch + base, n * sizeof *list);
    x->n_scratch = base;
    e = kind == UPG_EXPR_KIND_AND ? upg_expr_and(x, list, n) : upg_expr_or(x, list, n);
    if (list != few)
        free(list);
    return e;
}

/* (a b)' is a' b, and also b' if a may be empty; so along the whole chain. */
static upg_expr derive_chain(struct upg_exprs *x, upg_expr e, unsigned byte)
{
    const size_t base = x->n_scratch;
    bool goes_on = true;

    while (goes_on && x->nodes[e].kind == UPG_EXPR_KIND_CONCAT) {
        const upg_expr first = x->nodes[e].a, rest = x->nodes[e].b;
        const upg_expr derived = upg_expr_derive(x, first, byte);

        if (derived != UPG_EXPR_NONE && !push(x, upg_expr_concat(x, derived, rest))) {
            x->n_scratch = base;
            return UPG_EXPR_NONE;
        }
        goes_on = upg_expr_is_nullable(x, first);
        e = rest;
    }
    if (goes_on)
        push(x, upg_expr_derive(x, e, byte));
    return pop_list(x, UPG_EXPR_KIND_OR, base);
}

static upg_expr derive_list(struct upg_exprs *x, upg_expr e, unsigned byte)
{
    const struct upg_expr_node node = x->nodes[e];
    const size_t base = x->n_scratch;

    for (uint32_t i = 0; i < node.b; i++) {
        const upg_expr derived = upg_expr_derive(x, x->lists[node.a + i], byte);

        if (node.kind == UPG_EXPR_KIND_AND && derived == UPG_EXPR_NONE) {
            x->n_scratch = base;
            return UPG_EXPR_NONE;
        }
        if (derived != UPG_EXPR_NONE && !push(x, derived))
            break;
    }
    return pop_list(x, (enum upg_expr_kind)node.kind, base);
}

static upg_expr derive_repeat(struct upg_exprs *x, upg_expr e, unsigned byte)
{
    const struct upg_expr_node node = x->nodes[e];
    const upg_expr derived = upg_expr_derive(x, node.a, byte);
    const uint32_t max = node.c == UPG_EXPR_UNBOUNDED ? node.c : node.c - 1;

    if (derived == UPG_EXPR_NONE)
        return UPG_EXPR_NONE;
    return upg_expr_concat(x, derived, upg_expr_repeat(x, node.a, node.b ? node.b - 1 : 0, max));
}

static upg_expr derive_remainder(struct upg_exprs *x, struct upg_expr_node node, unsigned byte)
{
    const bool is_behind = node.c & UPG_EXPR_BEHIND_POINT;

    if (byte == '.' && !is_behind)
        return upg_expr_remainder(x, node.a, node.b, node.c | UPG_EXPR_BEHIND_POINT);
    if (byte < '0' || byte > '9')
        return UPG_EXPR_NONE;
    if (node.c == UPG_EXPR_BEHIND_POINT) /* only zeros change nothing */
        return byte == '0' ? upg_expr_remainder(x, node.a, node.b, node.c) : UPG_EXPR_NONE;
    return upg_expr_remainder(x, node.a, (10 * node.b + byte - '0') % node.a,
                              is_behind ? node.c - 1 : node.c);
}

static upg_expr derive(struct upg_exprs *x, upg_expr e, unsigned byte)
{
    const struct upg_expr_node node = x->nodes[e];

    if (x->work_left == 0) {
        if (x->failed == UPG_OK)
            x->failed = UPG_ERR_UNSUPPORTED;
        return UPG_EXPR_NONE;
    }
    x->work_left--;
    switch ((enum upg_expr_kind)node.kind) {
    case UPG_EXPR_KIND_NONE:
    case UPG_EXPR_KIND_EPSILON: break;
    case UPG_EXPR_KIND_ALL: return UPG_EXPR_ALL;
    case UPG_EXPR_KIND_BYTES:
        return upg_byte_set_has(&x->sets[node.a], byte) ? UPG_EXPR_EPSILON : UPG_EXPR_NONE;
    case UPG_EXPR_KIND_CONCAT: return derive_chain(x, e, byte);
    case UPG_EXPR_KIND_OR:
    case UPG_EXPR_KIND_AND: return derive_list(x, e, byte);
    case UPG_EXPR_KIND_NOT: return upg_expr_not(x, upg_expr_derive(x, node.a, byte));
    case UPG_EXPR_KIND_REPEAT: return derive_repeat(x, e, byte);
    case UPG_EXPR_KIND_REMAINDER: return derive_remainder(x, node, byte);
    }
    return UPG_EXPR_NONE;
}

/* Where a derivative is kept.  Without memory nothing is kept, and nothing is lost. */
static struct upg_derived *place_of(struct upg_exprs *x, upg_expr e, unsigned byte)
{
    const uint32_t hash = (e * 256 + byte) * UINT32_C(2654435769); /* Knuth's golden ratio */

    if (!x->derived)
        x->derived = calloc((size_t)1 << UPG_EXPR_LOG2_DERIVED, sizeof *x->derived);
    return x->derived ? &x->derived[hash >> (32 - UPG_EXPR_LOG2_DERIVED)] : NULL;
}

/* States differ in a part of their expressions; the other parts have been derived before. */
upg_expr upg_expr_derive(struct upg_exprs *x, upg_expr e, unsigned byte)
{
    const bool is_small = x->nodes[e].kind <= UPG_EXPR_KIND_BYTES;
    struct upg_derived *kept = is_small ? NULL : place_of(x, e, byte);
    upg_expr derived;

    if (kept && kept->e == e && kept->byte == byte)
        return kept->derived;
    derived = derive(x, e, byte);
    if (kept && x->failed == UPG_OK)
        *kept = (struct upg_derived){e, derived, byte};
    return derived;
}

/* Disjoint sets that together are all bytes. */
struct partition {
    struct upg_byte_set blocks[256];
    size_t n;
};

/* Split the blocks that are partly in the set. */
static void refine(struct partition *p, const struct upg_byte_set *set)
{
    const size_t n = p->n;

    for (size_t i = 0; i < n; i++) {
        struct upg_byte_set *block = &p->blocks[i], inside;
        uint64_t any = 0, outside = 0;

        for (size_t w = 0; w < 4; w++) {
            inside.words[w] = block->words[w] & set->words[w];
            any |= inside.words[w];
            outside |= block->words[w] & ~set->words[w];
        }
        if (any == 0 || outside == 0)
            continue;
        for (size_t w = 0; w < 4; w++)
            block->words[w] &= ~set->words[w];
        p->blocks[p->n++] = inside;
    }
}

static void partition(const struct upg_exprs *x, upg_expr e, struct partition *p)
{
    for (;;) {
        const struct upg_expr_node *node = &x->nodes[e];

        switch ((enum upg_expr_kind)node->kind) {
        case UPG_EXPR_KIND_NONE:
        case UPG_EXPR_KIND_EPSILON:
        case UPG_EXPR_KIND_ALL: return;
        case UPG_EXPR_KIND_BYTES: refine(p, &x->sets[node->a]); return;
        case UPG_EXPR_KIND_CONCAT:
            partition(x, node->a, p);
            if (!upg_expr_is_nullable(x, node->a))
                return;
            e = node->b;
            continue;
        case UPG_EXPR_KIND_OR:
        case UPG_EXPR_KIND_AND:
            for (uint32_t i = 0; i < node->b && p->n < 256; i++)
                partition(x, x->lists[node->a + i], p);
            return;
        case UPG_EXPR_KIND_NOT:
        case UPG_EXPR_KIND_REPEAT: e = node->a; continue;
        case UPG_EXPR_KIND_REMAINDER:
            for (const char *c = ".0123456789"; *c; c++)
                refine(p, &(struct upg_byte_set){{(uint64_t)1 << *c}});
            return;
        }
    }
}

size_t upg_expr_partition(struct upg_exprs *x, upg_expr e, uint8_t labels[256],
                          uint8_t examples[256])
{
    struct partition p;

    p.n = 1;
    p.blocks[0] = (struct upg_byte_set){{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    partition(x, e, &p);
    for (size_t i = 0; i < p.n; i++)
        for (size_t w = 0; w < 4; w++)
            for (uint64_t left = p.blocks[i].words[w]; left != 0; left &= left - 1) {
                const unsigned byte = (unsigned)(64 * w) + (unsigned)__builtin_ctzll(left);
                labels[byte] = (uint8_t)i;
                examples[i] = (uint8_t)byte;
            }
    return p.n;
}
