/* kv_cache.c -- storage of keys and values.
 *
 * Invariant: every element of a block on a list is finite, also at positions not yet written.
 * Attention multiplies whole blocks and gives positions beyond a row's own the probability 0, and
 * 0 times a leftover NaN would not be 0.  So a block is cleared when it joins a list. */
#include "engine/kv_cache.h"

#include "base/size.h"

#include <string.h>

uint8_t *upg_kv_block(const struct upg_kv_cache *cache, uint32_t block)
{
    return cache->memory + (size_t)block * cache->block_bytes;
}

static uint8_t *side_of(const struct upg_kv_cache *cache, uint32_t block, size_t layer, size_t head,
                        size_t side)
{
    const size_t index = 2 * (layer * cache->n_kv_heads + head) + side;

    return upg_kv_block(cache, block) + index * cache->side_bytes;
}

/* An F16 side in the open blocks of a list: sides are dealt out to them in order, as many to each
 * as fit. */
static uint16_t *open_side(const struct upg_kv_cache *cache, const struct upg_kv_list *list,
                           size_t layer, size_t head, size_t side)
{
    const size_t index = 2 * (layer * cache->n_kv_heads + head) + side;
    const size_t each = cache->block_bytes / cache->exact_bytes;
    uint8_t *block = upg_kv_block(cache, list->open[index / each]);

    return (uint16_t *)(void *)(block + index % each * cache->exact_bytes);
}

static bool sizes(struct upg_kv_cache *cache, size_t n_tokens, size_t *n_blocks, size_t *n_open)
{
    size_t n_sides, rounded;

    if (!upg_kv_side_bytes(cache->type, cache->head_dim, &cache->side_bytes) ||
        !size_mul(2, cache->n_kv_heads, &n_sides) ||
        !size_mul(n_sides, cache->n_layers, &n_sides) ||
        !size_mul(n_sides, cache->side_bytes, &cache->block_bytes) ||
        !size_round_up(n_tokens, UPG_KV_BLOCK, &rounded))
        return false;
    *n_open = 0;
    if (upg_kv_is_coded(cache->type)) {
        if (!upg_kv_side_bytes(UPG_KV_F16, cache->head_dim, &cache->exact_bytes))
            return false;
        if (cache->block_bytes < cache->exact_bytes) /* one layer with one head */
            cache->block_bytes = cache->exact_bytes;
        const size_t each = cache->block_bytes / cache->exact_bytes;
        *n_open = (n_sides + each - 1) / each;
    }
    return size_add(rounded / UPG_KV_BLOCK, *n_open, n_blocks);
}

upg_status upg_kv_cache_init(struct upg_kv_cache *cache, upg_kv_type type, size_t n_layers,
                             size_t n_kv_heads, size_t head_dim, size_t n_tokens,
                             struct upg_arena *arena, upg_error *err)
{
    size_t n_blocks, n_open, n_bytes;
    upg_status status;

    cache->type = type;
    cache->n_layers = cache->n_layers_here = n_layers;
    cache->n_kv_heads = n_kv_heads;
    cache->head_dim = head_dim;
    if (!upg_kv_allows(type, head_dim))
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "KV cache: types q8 and q4 need heads of 64, 128 or 256 values, this "
                        "model's have %zu; use f16",
                        head_dim);
    if (!sizes(cache, n_tokens, &n_blocks, &n_open) ||
        !size_mul(n_blocks, cache->block_bytes, &n_bytes))
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "KV cache: %zu tokens of %zu layers are more than the address space",
                        n_tokens, n_layers);
    status = upg_kv_blocks_init(&cache->blocks, n_blocks, n_open, arena, err);
    if (status != UPG_OK)
        return status;
    cache->memory = upg_arena_alloc(arena, n_blocks, cache->block_bytes);
    if (!cache->memory)
        return upg_fail(err, UPG_ERR_MEMORY,
                        "KV cache: %zu tokens need %zu bytes; use a smaller context or cache",
                        n_tokens, n_bytes);
    return UPG_OK;
}

size_t upg_kv_cache_n_bytes(const struct upg_kv_cache *cache)
{
    return cache->blocks.n_blocks * cache->block_bytes;
}

upg_status upg_kv_cache_check_room(const struct upg_kv_cache *cache, const struct upg_kv_list *list,
                                   size_t n_tokens, upg_error *err)
{
    const size_t needed = upg_kv_blocks_needed(&cache->blocks, list, n_tokens);

    if (needed > cache->blocks.n_free)
        return upg_fail(err, UPG_ERR_MEMORY,
                        "KV cache: %zu more tokens need %zu blocks, %zu of %zu are free; free "
                        "sequences or give the engine more cache tokens",
                        n_tokens - list->n_tokens, needed, cache->blocks.n_free,
                        cache->blocks.n_blocks);
    return UPG_OK;
}

upg_status upg_kv_cache_grow(struct upg_kv_cache *cache, struct upg_kv_list *list, size_t n_tokens,
                             upg_error *err)
{
    const upg_status status = upg_kv_cache_check_room(cache, list, n_tokens, err);
    struct upg_kv_copies copies;
    size_t first_new;

    if (status != UPG_OK)
        return status;
    upg_kv_blocks_grow(&cache->blocks, list, n_tokens, &copies, &first_new);
    for (size_t i = 0; cache->copy_elsewhere && i < copies.n; i++)
        cache->copy_elsewhere(cache->elsewhere, copies.to[i], copies.from[i]);
    if (cache->n_layers_here == 0) /* what is not used does not become memory */
        return UPG_OK;
    for (size_t i = 0; i < copies.n; i++)
        memcpy(upg_kv_block(cache, copies.to[i]), upg_kv_block(cache, copies.from[i]),
               cache->block_bytes);
    for (size_t i = first_new; i < list->n_blocks; i++)
        memset(upg_kv_block(cache, list->blocks[i]), 0,
               2 * cache->n_layers_here * cache->n_kv_heads * cache->side_bytes);
    return UPG_OK;
}

const void *upg_kv_keys(const struct upg_kv_cache *cache, uint32_t block, size_t layer, size_t head)
{
    return side_of(cache, block, layer, head, 0);
}

const void *upg_kv_values(const struct upg_kv_cache *cache, uint32_t block, size_t layer,
                          size_t head)
{
    return side_of(cache, block, layer, head, 1);
}

void upg_kv_write(struct upg_kv_cache *cache, const struct upg_kv_list *list, size_t layer,
                  size_t head, size_t pos, const float *key, const float *value)
{
    const uint32_t block = list->blocks[pos / UPG_KV_BLOCK];
    const size_t token = pos % UPG_KV_BLOCK, n = cache->head_dim;

    upg_kv_store_key(cache->type, side_of(cache, block, layer, head, 0), n, token, key);
    upg_kv_store_value(cache->type, side_of(cache, block, layer, head, 1), n, token, value);
}

void upg_kv_write_open(struct upg_kv_cache *cache, const struct upg_kv_list *list, size_t layer,
                       size_t head, size_t pos, const float *key, const float *value)
{
    const size_t token = pos % UPG_KV_BLOCK, n = cache->head_dim;

    upg_kv_store_key(UPG_KV_F16, open_side(cache, list, layer, head, 0), n, token, key);
    upg_kv_store_value(UPG_KV_F16, open_side(cache, list, layer, head, 1), n, token, value);
}

void upg_kv_read_open(const struct upg_kv_cache *cache, const struct upg_kv_list *list,
                      size_t layer, size_t head, size_t n, void *keys, void *values)
{
    const uint16_t *from = open_side(cache, list, layer, head, 1);
    const size_t head_dim = cache->head_dim;

    memset(keys, 0, cache->exact_bytes);
    memset(values, 0, cache->exact_bytes);
    memcpy(keys, open_side(cache, list, layer, head, 0), n * head_dim * sizeof *from);
    for (size_t i = 0; i < head_dim; i++)
        memcpy((uint16_t *)values + i * UPG_KV_BLOCK, from + i * UPG_KV_BLOCK, n * sizeof *from);
}
