/* kv_cache.c -- storage of keys and values.
 *
 * Invariant: every element of a block on a list is finite, also at positions not yet written.
 * Attention multiplies whole blocks and gives positions beyond a row's own the probability 0, and
 * 0 times a leftover NaN would not be 0.  So a block is cleared when it joins a list. */
#include "engine/kv_cache.h"

#include "base/size.h"
#include "codec/codec.h"

#include <stdlib.h>
#include <string.h>

static uint8_t *block_of(const struct upg_kv_cache *cache, uint32_t block)
{
    return cache->memory + (size_t)block * cache->block_bytes;
}

static uint8_t *side_of(const struct upg_kv_cache *cache, uint32_t block, size_t layer, size_t head,
                        size_t side)
{
    const size_t index = 2 * (layer * cache->n_kv_heads + head) + side;

    return block_of(cache, block) + index * cache->side_bytes;
}

static bool sizes(struct upg_kv_cache *cache, size_t n_tokens, size_t *n_blocks, size_t *n_bytes)
{
    size_t n = 2, rounded;

    if (!upg_kv_side_bytes(cache->type, cache->head_dim, &cache->side_bytes) ||
        !size_mul(n, cache->side_bytes, &n) || !size_mul(n, cache->n_kv_heads, &n) ||
        !size_mul(n, cache->n_layers, &cache->block_bytes) ||
        !size_round_up(n_tokens, UPG_KV_BLOCK, &rounded))
        return false;
    *n_blocks = rounded / UPG_KV_BLOCK;
    return size_mul(*n_blocks, cache->block_bytes, n_bytes);
}

upg_status upg_kv_cache_init(struct upg_kv_cache *cache, upg_kv_type type, size_t n_layers,
                             size_t n_kv_heads, size_t head_dim, size_t n_tokens,
                             struct upg_arena *arena, upg_error *err)
{
    size_t n_blocks, n_bytes;
    upg_status status;

    cache->type = type;
    cache->n_layers = n_layers;
    cache->n_kv_heads = n_kv_heads;
    cache->head_dim = head_dim;
    if (!upg_kv_allows(type, head_dim))
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "KV cache: types q8 and q4 need heads of 64, 128 or 256 values, this "
                        "model's have %zu; use f16",
                        head_dim);
    if (!sizes(cache, n_tokens, &n_blocks, &n_bytes))
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "KV cache: %zu tokens of %zu layers are more than the address space",
                        n_tokens, n_layers);
    status = upg_kv_blocks_init(&cache->blocks, n_blocks, arena, err);
    if (status != UPG_OK)
        return status;
    cache->memory = aligned_alloc(UPG_CACHE_LINE, n_bytes); /* which divides the sides' sizes */
    if (!cache->memory)
        return upg_fail(err, UPG_ERR_MEMORY,
                        "KV cache: %zu tokens need %zu bytes; use a smaller context or cache",
                        n_tokens, n_bytes);
    return UPG_OK;
}

void upg_kv_cache_clear(struct upg_kv_cache *cache)
{
    free(cache->memory);
    cache->memory = NULL;
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
    struct upg_kv_copy copy;
    size_t first_new;

    if (status != UPG_OK)
        return status;
    upg_kv_blocks_grow(&cache->blocks, list, n_tokens, &copy, &first_new);
    if (copy.needed)
        memcpy(block_of(cache, copy.to), block_of(cache, copy.from), cache->block_bytes);
    for (size_t i = first_new; i < list->n_blocks; i++)
        memset(block_of(cache, list->blocks[i]), 0, cache->block_bytes);
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
    float rotated[2][UPG_SCALE_BLOCK];

    if (upg_kv_is_coded(cache->type)) {
        memcpy(rotated[0], key, n * sizeof *key);
        memcpy(rotated[1], value, n * sizeof *value);
        upg_hadamard(rotated[0], n);
        upg_hadamard(rotated[1], n);
        key = rotated[0];
        value = rotated[1];
    }
    upg_kv_store_key(cache->type, side_of(cache, block, layer, head, 0), n, token, key);
    upg_kv_store_value(cache->type, side_of(cache, block, layer, head, 1), n, token, value);
}
