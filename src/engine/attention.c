/* attention.c -- scores are never stored: a block of keys at a time, with a running softmax.
 *
 * For one query, over blocks b of UPG_KV_BLOCK positions, ascending from 0:
 *     s = K_b q,  m' = max(m, max s),  p = exp(s - m'),  a = exp(m - m')
 *     l = a l + sum p,  o = a o + V_b p,  m = m'
 * Dao et al. 2022 (FlashAttention), algorithm 1, as rewritten by Milakov & Gimelshein 2018 for the
 * softmax.  This is done for spans of UPG_SPAN positions each, and their (m, l, o) are put together
 * in order by the same rule; at the end o / l.  So spans can be computed by different threads, as in
 * Flash-Decoding (Dao et al. 2023), and where a span begins does not depend on how many there are.
 *
 * Coded caches are rotated, and so are the queries, keys and values that come in; o is rotated back
 * at the end.
 *
 * Blocks and spans are cut at multiples of their lengths whatever the step looks like, tiles lie
 * within one block, and sums have the kernels' fixed order, so a query's result depends on its
 * position and the cache alone.  Positions beyond a query's own get the probability 0. */
#include "engine/attention.h"

#include "base/size.h"
#include "codec/codec.h"

#include <math.h>
#include <string.h>

/* What queries have seen of some positions. */
struct partial {
    float *o;        /* [n, stride] weighted sums of values */
    float *greatest; /* [n] m */
    float *total;    /* [n] l */
};

/* The queries of a task: n = rows of the tile * heads of the group, query i * group + g is head g
 * of row i.  All rows have a stride of head_dim rounded up to a cache line. */
struct queries {
    size_t n, stride;
    float *q;            /* [n, stride] queries / sqrt(head_dim) */
    struct partial span; /* of the span that is being computed */
    struct partial all;  /* of the spans before it */
    float *sums;         /* [n, stride] V_b p */
    float *scores;       /* [n, UPG_KV_BLOCK] s, then p */
    void *keys, *values; /* own block in a coded cache, as float16 */
    float *decay;        /* [n] a */
};

/* A block's keys and values: codes, float16 or float32. */
struct sides {
    const void *keys, *values;
    upg_kv_type type;
};

static size_t padded_head(const struct upg_attention *a)
{
    const size_t lane = UPG_CACHE_LINE / sizeof(float);

    return (a->cache->head_dim + lane - 1) / lane * lane;
}

size_t upg_attention_tiles(const struct upg_step *step, struct upg_tile *tiles)
{
    size_t n_tiles = 0, n_before = 0;

    for (size_t i = 0; i < step->n_rows; i++) {
        const struct upg_row *row = &step->rows[i];
        const bool continues = i > 0 && row[-1].list == row->list;

        n_before = continues ? n_before + 1 : 0;
        if (continues && row->pos % UPG_TILE_ROWS != 0)
            tiles[n_tiles - 1].n_rows++;
        else
            tiles[n_tiles++] = (struct upg_tile){.first = i, .n_rows = 1, .n_before = n_before};
    }
    return n_tiles;
}

static size_t partial_floats(const struct upg_attention *a, size_t n)
{
    return n * (padded_head(a) + 2);
}

bool upg_attention_scratch(const struct upg_attention *a, size_t *n_bytes)
{
    const size_t n = UPG_TILE_ROWS * (a->n_heads / a->cache->n_kv_heads);
    size_t n_floats;

    return size_mul(n, 4 * padded_head(a) + UPG_KV_BLOCK + 5, &n_floats) &&
           size_add(n_floats, UPG_KV_BLOCK * padded_head(a), &n_floats) &&
           size_mul(n_floats, sizeof(float), n_bytes) &&
           size_round_up(*n_bytes, UPG_CACHE_LINE, n_bytes);
}

size_t upg_attention_partial(const struct upg_attention *a)
{
    return partial_floats(a, a->n_heads / a->cache->n_kv_heads);
}

static struct partial place_partial(const struct upg_attention *a, size_t n, float *memory)
{
    struct partial p = {.o = memory};

    p.greatest = p.o + n * padded_head(a);
    p.total = p.greatest + n;
    return p;
}

static struct queries place_queries(const struct upg_attention *a, size_t n, float *scratch)
{
    struct queries t = {.n = n, .stride = padded_head(a), .q = scratch};
    float *sides;

    t.sums = t.q + n * t.stride;
    t.scores = t.sums + n * t.stride;
    sides = t.scores + n * UPG_KV_BLOCK;
    t.keys = sides; /* each UPG_KV_BLOCK * stride halves */
    t.values = sides + UPG_KV_BLOCK * t.stride / 2;
    t.span = place_partial(a, n, sides + UPG_KV_BLOCK * t.stride);
    t.all = place_partial(a, n, t.span.o + partial_floats(a, n));
    t.decay = t.all.o + partial_floats(a, n);
    return t;
}

static void load_queries(const struct upg_attention *a, const struct queries *t,
                         const struct upg_tile *tile, struct upg_activation qkv, size_t kv_head)
{
    const size_t head_dim = a->cache->head_dim, group = a->n_heads / a->cache->n_kv_heads;
    const float scale = (float)(1 / sqrt((double)head_dim));

    for (size_t query = 0; query < t->n; query++) {
        const float *q = qkv.rows + (tile->first + query / group) * qkv.stride +
                         (kv_head * group + query % group) * head_dim;

        for (size_t i = 0; i < head_dim; i++)
            t->q[query * t->stride + i] = q[i] * scale;
    }
}

/* Nothing seen yet. */
static void clear_partial(const struct queries *t, const struct partial *p)
{
    memset(p->o, 0, t->n * t->stride * sizeof *p->o);
    memset(p->total, 0, t->n * sizeof *p->total);
    for (size_t query = 0; query < t->n; query++)
        p->greatest[query] = -INFINITY;
}

/* A block as the cache has it. */
static struct sides load_block(const struct upg_attention *a, uint32_t block, size_t layer,
                               size_t kv_head)
{
    return (struct sides){.keys = upg_kv_keys(a->cache, block, layer, kv_head),
                          .values = upg_kv_values(a->cache, block, layer, kv_head),
                          .type = a->cache->type};
}

/* The block of the tile itself, exactly: its positions before this step from the open blocks, those
 * of this step from qkv. */
static struct sides load_own_block(const struct upg_attention *a, const struct queries *t,
                                   struct upg_activation qkv, size_t layer,
                                   const struct upg_step *step, const struct upg_tile *tile,
                                   size_t kv_head)
{
    const struct upg_kv_cache *cache = a->cache;
    const struct upg_row *first = &step->rows[tile->first];
    const size_t step_pos = first->pos - tile->n_before;
    const size_t begin = first->pos - first->pos % UPG_KV_BLOCK;
    const size_t end = first->pos + tile->n_rows;
    const size_t n_open = step_pos > begin ? step_pos - begin : 0;

    upg_kv_read_open(cache, first->list, layer, kv_head, n_open, t->keys, t->values);
    for (size_t pos = begin + n_open; pos < end; pos++) {
        const size_t row = tile->first + pos - first->pos;
        const float *k = qkv.rows + row * qkv.stride + (a->n_heads + kv_head) * cache->head_dim;
        const float *v = k + cache->n_kv_heads * cache->head_dim;

        upg_kv_store_key(UPG_KV_F16, t->keys, cache->head_dim, pos % UPG_KV_BLOCK, k);
        upg_kv_store_value(UPG_KV_F16, t->values, cache->head_dim, pos % UPG_KV_BLOCK, v);
    }
    return (struct sides){.keys = t->keys, .values = t->values, .type = UPG_KV_F16};
}

/* scores[n, UPG_KV_BLOCK] = K_b q. */
static void multiply_keys(const struct upg_attention *a, const struct queries *t,
                          struct sides sides)
{
    const struct upg_kernels *k = a->kernels;
    const size_t head_dim = a->cache->head_dim;

    if (upg_kv_is_coded(sides.type))
        k->coded_keys(t->scores, UPG_KV_BLOCK, sides.type == UPG_KV_Q8 ? 8 : 4, sides.keys,
                      head_dim, t->q, t->stride, t->n);
    else if (sides.type == UPG_KV_F16)
        k->matmul_f16(t->scores, UPG_KV_BLOCK, sides.keys, t->q, t->stride, UPG_KV_BLOCK, head_dim,
                      t->n);
    else
        k->matmul_f32(t->scores, UPG_KV_BLOCK, sides.keys, t->q, t->stride, UPG_KV_BLOCK, head_dim,
                      t->n);
}

/* sums[n, head_dim] = V_b p. */
static void multiply_values(const struct upg_attention *a, const struct queries *t,
                            struct sides sides)
{
    const struct upg_kernels *k = a->kernels;
    const size_t head_dim = a->cache->head_dim;

    if (upg_kv_is_coded(sides.type))
        k->coded_values(t->sums, t->stride, sides.type == UPG_KV_Q8 ? 8 : 4, sides.values, head_dim,
                        t->scores, UPG_KV_BLOCK, t->n);
    else if (sides.type == UPG_KV_F16)
        k->matmul_f16(t->sums, t->stride, sides.values, t->scores, UPG_KV_BLOCK, head_dim,
                      UPG_KV_BLOCK, t->n);
    else
        k->matmul_f32(t->sums, t->stride, sides.values, t->scores, UPG_KV_BLOCK, head_dim,
                      UPG_KV_BLOCK, t->n);
}

/* Positions of the block that begins at `begin` that a query at pos >= begin sees. */
static size_t visible(size_t pos, size_t begin)
{
    const size_t n = pos - begin + 1;

    return n < UPG_KV_BLOCK ? n : UPG_KV_BLOCK;
}

static void attend_block(const struct upg_attention *a, const struct queries *t, size_t group,
                         size_t first_pos, size_t begin, struct sides sides)
{
    const size_t head_dim = a->cache->head_dim;

    multiply_keys(a, t, sides);
    for (size_t query = 0; query < t->n; query++)
        t->decay[query] = a->kernels->running_softmax(
            t->scores + query * UPG_KV_BLOCK, visible(first_pos + query / group, begin),
            &t->span.greatest[query], &t->span.total[query]);
    multiply_values(a, t, sides);
    for (size_t query = 0; query < t->n; query++)
        a->kernels->scale_add(t->span.o + query * t->stride, t->decay[query],
                              t->sums + query * t->stride, head_dim);
}

/* The positions of one span that the tile sees, into t->span. */
static void attend_span(const struct upg_attention *a, const struct queries *t,
                        struct upg_activation qkv, size_t layer, const struct upg_step *step,
                        const struct upg_tile *tile, size_t kv_head, size_t span)
{
    const size_t group = a->n_heads / a->cache->n_kv_heads;
    const struct upg_row *first = &step->rows[tile->first];
    const size_t own = first->pos - first->pos % UPG_KV_BLOCK; /* begin of the tile's own block */
    const size_t end = (span + 1) * UPG_SPAN;

    clear_partial(t, &t->span);
    for (size_t begin = span * UPG_SPAN; begin <= own && begin < end; begin += UPG_KV_BLOCK) {
        const uint32_t block = first->list->blocks[begin / UPG_KV_BLOCK];
        const struct sides sides = begin == own && upg_kv_has_open(a->cache)
                                       ? load_own_block(a, t, qkv, layer, step, tile, kv_head)
                                       : load_block(a, block, layer, kv_head);

        attend_block(a, t, group, first->pos, begin, sides);
    }
}

/* all = all and the span behind it. */
static void add_span(const struct queries *t, const struct partial *all, const struct partial *span,
                     size_t head_dim)
{
    for (size_t query = 0; query < t->n; query++) {
        const float greatest = fmaxf(all->greatest[query], span->greatest[query]);
        const float before = expf(all->greatest[query] - greatest);
        const float now = expf(span->greatest[query] - greatest);
        float *o = all->o + query * t->stride;
        const float *more = span->o + query * t->stride;

        for (size_t i = 0; i < head_dim; i++)
            o[i] = o[i] * before + more[i] * now;
        all->total[query] = all->total[query] * before + span->total[query] * now;
        all->greatest[query] = greatest;
    }
}

static void store_outputs(const struct upg_attention *a, const struct queries *t,
                          struct upg_activation out, const struct upg_tile *tile, size_t kv_head)
{
    const size_t head_dim = a->cache->head_dim, group = a->n_heads / a->cache->n_kv_heads;

    for (size_t query = 0; query < t->n; query++) {
        float *to = out.rows + (tile->first + query / group) * out.stride +
                    (kv_head * group + query % group) * head_dim;

        for (size_t i = 0; i < head_dim; i++)
            to[i] = t->all.o[query * t->stride + i] / t->all.total[query];
        if (upg_kv_is_coded(a->cache->type))
            upg_hadamard(to, head_dim); /* its own inverse */
    }
}

size_t upg_attention_spans(const struct upg_step *step, const struct upg_tile *tile)
{
    return step->rows[tile->first].pos / UPG_SPAN + 1;
}

void upg_attention_tile(const struct upg_attention *a, struct upg_activation out,
                        struct upg_activation qkv, size_t layer, const struct upg_step *step,
                        const struct upg_tile *tile, size_t kv_head, void *scratch)
{
    const size_t group = a->n_heads / a->cache->n_kv_heads;
    const struct queries t = place_queries(a, tile->n_rows * group, scratch);

    load_queries(a, &t, tile, qkv, kv_head);
    clear_partial(&t, &t.all);
    for (size_t span = 0; span < upg_attention_spans(step, tile); span++) {
        attend_span(a, &t, qkv, layer, step, tile, kv_head, span);
        add_span(&t, &t.all, &t.span, a->cache->head_dim);
    }
    store_outputs(a, &t, out, tile, kv_head);
}

void upg_attention_span(const struct upg_attention *a, float *partial, struct upg_activation qkv,
                        size_t layer, const struct upg_step *step, const struct upg_tile *tile,
                        size_t kv_head, size_t span, void *scratch)
{
    const size_t group = a->n_heads / a->cache->n_kv_heads;
    struct queries t = place_queries(a, group, scratch);

    t.span = place_partial(a, group, partial);
    load_queries(a, &t, tile, qkv, kv_head);
    attend_span(a, &t, qkv, layer, step, tile, kv_head, span);
}

void upg_attention_join(const struct upg_attention *a, struct upg_activation out, float *partials,
                        size_t n_spans, const struct upg_tile *tile, size_t kv_head, void *scratch)
{
    const size_t group = a->n_heads / a->cache->n_kv_heads;
    const struct queries t = place_queries(a, group, scratch);

    clear_partial(&t, &t.all);
    for (size_t span = 0; span < n_spans; span++) {
        const struct partial p =
            place_partial(a, group, partials + span * upg_attention_partial(a));
        add_span(&t, &t.all, &p, a->cache->head_dim);
    }
    store_outputs(a, &t, out, tile, kv_head);
}
