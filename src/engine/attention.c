/* attention.c -- scores are never stored: a block of keys at a time, with a running softmax.
 *
 * For one query, over blocks b of UPG_KV_BLOCK positions, ascending from 0:
 *     s = K_b q,  m' = max(m, max s),  p = exp(s - m'),  a = exp(m - m')
 *     l = a l + sum p,  o = a o + V_b p,  m = m'
 * and at the end o / l.  Dao et al. 2022 (FlashAttention), algorithm 1, as rewritten by Milakov &
 * Gimelshein 2018 for the softmax.
 *
 * Coded caches are rotated, and so are the queries, keys and values that come in; o is rotated back
 * at the end.
 *
 * Blocks are cut at multiples of UPG_KV_BLOCK whatever the step looks like, tiles lie within one
 * block, and sums have the kernels' fixed order, so a query's result depends on its position and
 * the cache alone.  Positions beyond a query's own get the probability 0. */
#include "engine/attention.h"

#include "base/size.h"
#include "codec/codec.h"

#include <math.h>

/* The queries of a task: n = rows of the tile * heads of the group, query i * group + g is head g
 * of row i.  All rows have a stride of head_dim rounded up to a cache line. */
struct queries {
    size_t n, stride;
    float *q;        /* [n, stride] queries / sqrt(head_dim) */
    float *o;        /* [n, stride] weighted sums so far */
    float *sums;     /* [n, stride] V_b p */
    float *scores;   /* [n, UPG_KV_BLOCK] s, then p */
    float *keys;     /* [UPG_KV_BLOCK, head_dim] of a block that is not used as it is stored */
    float *values;   /* [head_dim, UPG_KV_BLOCK] */
    float *greatest; /* [n] m */
    float *total;    /* [n] l */
    float *decay;    /* [n] a */
};

/* A block's keys and values as float16 or float32, shapes as above. */
struct sides {
    const void *keys, *values;
    bool is_f16;
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

bool upg_attention_scratch(const struct upg_attention *a, size_t *n_bytes)
{
    const size_t n = UPG_TILE_ROWS * (a->n_heads / a->cache->n_kv_heads);
    size_t n_floats;

    return size_mul(n, 3 * padded_head(a) + UPG_KV_BLOCK + 3, &n_floats) &&
           size_add(n_floats, 2 * UPG_KV_BLOCK * padded_head(a), &n_floats) &&
           size_mul(n_floats, sizeof(float), n_bytes) &&
           size_round_up(*n_bytes, UPG_CACHE_LINE, n_bytes);
}

static struct queries place_queries(const struct upg_attention *a, size_t n, float *scratch)
{
    struct queries t = {.n = n, .stride = padded_head(a), .q = scratch};

    t.o = t.q + n * t.stride;
    t.sums = t.o + n * t.stride;
    t.scores = t.sums + n * t.stride;
    t.keys = t.scores + n * UPG_KV_BLOCK;
    t.values = t.keys + UPG_KV_BLOCK * t.stride;
    t.greatest = t.values + UPG_KV_BLOCK * t.stride;
    t.total = t.greatest + n;
    t.decay = t.total + n;
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

        for (size_t i = 0; i < head_dim; i++) {
            t->q[query * t->stride + i] = q[i] * scale;
            t->o[query * t->stride + i] = 0;
        }
        t->greatest[query] = -INFINITY;
        t->total[query] = 0;
    }
}

/* A block as the cache has it. */
static struct sides load_block(const struct upg_attention *a, const struct queries *t,
                               uint32_t block, size_t layer, size_t kv_head)
{
    const struct upg_kv_cache *cache = a->cache;
    struct sides sides = {.keys = upg_kv_keys(cache, block, layer, kv_head),
                          .values = upg_kv_values(cache, block, layer, kv_head),
                          .is_f16 = cache->type == UPG_KV_F16};

    if (upg_kv_is_coded(cache->type)) {
        upg_kv_load_keys(cache->type, sides.keys, cache->head_dim, t->keys);
        upg_kv_load_values(cache->type, sides.values, cache->head_dim, t->values);
        sides = (struct sides){.keys = t->keys, .values = t->values};
    }
    return sides;
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
    return (struct sides){.keys = t->keys, .values = t->values, .is_f16 = true};
}

/* y[n, n_rows] = W x, W [n_rows, n_cols] float16 or float32. */
static void multiply(const struct upg_attention *a, bool is_f16, float *y, size_t y_stride,
                     const void *w, const float *x, size_t x_stride, size_t n_rows, size_t n_cols,
                     size_t n)
{
    if (is_f16)
        a->kernels->matmul_f16(y, y_stride, w, x, x_stride, n_rows, n_cols, n);
    else
        a->kernels->matmul_f32(y, y_stride, w, x, x_stride, n_rows, n_cols, n);
}

/* One query's scores of a block, of which the first n_visible count, become probabilities relative
 * to the greatest score so far. */
static void soften(const struct queries *t, size_t query, size_t n_visible)
{
    float *s = t->scores + query * UPG_KV_BLOCK;
    float greatest = t->greatest[query], total = 0;

    for (size_t j = 0; j < n_visible; j++)
        greatest = s[j] > greatest ? s[j] : greatest;
    for (size_t j = 0; j < n_visible; j++) {
        s[j] = expf(s[j] - greatest);
        total += s[j];
    }
    for (size_t j = n_visible; j < UPG_KV_BLOCK; j++)
        s[j] = 0;
    t->decay[query] = expf(t->greatest[query] - greatest);
    t->total[query] = t->total[query] * t->decay[query] + total;
    t->greatest[query] = greatest;
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

    multiply(a, sides.is_f16, t->scores, UPG_KV_BLOCK, sides.keys, t->q, t->stride, UPG_KV_BLOCK,
             head_dim, t->n);
    for (size_t query = 0; query < t->n; query++)
        soften(t, query, visible(first_pos + query / group, begin));
    multiply(a, sides.is_f16, t->sums, t->stride, sides.values, t->scores, UPG_KV_BLOCK, head_dim,
             UPG_KV_BLOCK, t->n);
    for (size_t query = 0; query < t->n; query++) {
        float *o = t->o + query * t->stride;
        const float *sums = t->sums + query * t->stride;

        for (size_t i = 0; i < head_dim; i++)
            o[i] = o[i] * t->decay[query] + sums[i];
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
            to[i] = t->o[query * t->stride + i] / t->total[query];
        if (upg_kv_is_coded(a->cache->type))
            upg_hadamard(to, head_dim); /* its own inverse */
    }
}

void upg_attention_tile(const struct upg_attention *a, struct upg_activation out,
                        struct upg_activation qkv, size_t layer, const struct upg_step *step,
                        const struct upg_tile *tile, size_t kv_head, void *scratch)
{
    const struct upg_kv_cache *cache = a->cache;
    const size_t group = a->n_heads / cache->n_kv_heads;
    const struct upg_row *first = &step->rows[tile->first];
    const size_t own = first->pos - first->pos % UPG_KV_BLOCK; /* begin of the tile's own block */
    const struct queries t = place_queries(a, tile->n_rows * group, scratch);

    load_queries(a, &t, tile, qkv, kv_head);
    for (size_t begin = 0; begin <= own; begin += UPG_KV_BLOCK) {
        const uint32_t block = first->list->blocks[begin / UPG_KV_BLOCK];
        const struct sides sides = begin == own && upg_kv_has_open(cache)
                                       ? load_own_block(a, &t, qkv, layer, step, tile, kv_head)
                                       : load_block(a, &t, block, layer, kv_head);

        attend_block(a, &t, group, first->pos, begin, sides);
    }
    store_outputs(a, &t, out, tile, kv_head);
}
