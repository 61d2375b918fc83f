/* prefix_cache.c -- see prefix_cache.h.
 *
 * Invariants:
 *   (1) a block is in the table iff it is kept; no two have the same parent and tokens.
 *   (2) the parent of a block in the table is a root or in the table: whoever holds a block holds its
 *       parent, and leaves the parent later. */
#include "engine/prefix_cache.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

#define NONE UINT32_MAX

struct upg_prefix_entry {
    uint32_t parent; /* block number, or a root */
    uint32_t next;   /* in the chain of a slot; NONE ends it */
    int32_t ids[UPG_KV_BLOCK];
};

static uint32_t *slot_of(const struct upg_prefix_cache *cache, uint32_t parent, const int32_t *ids)
{
    const uint64_t hash = XXH3_64bits_withSeed(ids, UPG_KV_BLOCK * sizeof *ids, parent);

    return &cache->table[hash & (cache->n_slots - 1)];
}

static uint32_t find(const struct upg_prefix_cache *cache, uint32_t parent, const int32_t *ids)
{
    uint32_t b = *slot_of(cache, parent, ids);

    while (b != NONE && (cache->entries[b].parent != parent ||
                         memcmp(cache->entries[b].ids, ids, UPG_KV_BLOCK * sizeof *ids) != 0))
        b = cache->entries[b].next;
    return b;
}

static void forget(void *context, uint32_t block)
{
    struct upg_prefix_cache *cache = context;
    const struct upg_prefix_entry *entry = &cache->entries[block];
    uint32_t *at = slot_of(cache, entry->parent, entry->ids);

    while (*at != block)
        at = &cache->entries[*at].next;
    *at = entry->next;
}

upg_status upg_prefix_cache_init(struct upg_prefix_cache *cache, struct upg_kv_blocks *blocks,
                                 struct upg_arena *arena, upg_error *err)
{
    const size_t n = blocks->n_blocks;

    cache->blocks = blocks;
    for (cache->n_slots = 1; cache->n_slots < n;)
        cache->n_slots *= 2;
    cache->entries = upg_arena_alloc(arena, n, sizeof *cache->entries);
    cache->table = upg_arena_alloc(arena, cache->n_slots, sizeof *cache->table);
    if (!cache->entries || !cache->table)
        return upg_fail_memory(err, "the prefix cache's directory", n * sizeof *cache->entries);
    memset(cache->table, 0xFF, cache->n_slots * sizeof *cache->table); /* NONE */
    blocks->forget = forget;
    blocks->forget_context = cache;
    return UPG_OK;
}

size_t upg_prefix_cache_find(const struct upg_prefix_cache *cache, uint32_t root,
                             const int32_t *ids, size_t n_ids, uint32_t *found)
{
    uint32_t parent = root;
    size_t n = 0;

    for (; (n + 1) * UPG_KV_BLOCK <= n_ids; n++) {
        const uint32_t block = find(cache, parent, ids + n * UPG_KV_BLOCK);

        if (block == NONE)
            break;
        found[n] = parent = block;
    }
    return n;
}

void upg_prefix_cache_add(struct upg_prefix_cache *cache, uint32_t root, struct upg_kv_list *list,
                          size_t i, const int32_t *ids)
{
    const uint32_t block = list->blocks[i], parent = i > 0 ? list->blocks[i - 1] : root;
    const uint32_t same = find(cache, parent, ids + i * UPG_KV_BLOCK);
    struct upg_prefix_entry *entry = &cache->entries[block];
    uint32_t *slot;

    assert((i + 1) * UPG_KV_BLOCK <= list->n_tokens);
    assert(i == 0 || cache->blocks->kept[parent]);
    if (same != NONE) {
        if (same != block)
            upg_kv_blocks_substitute(cache->blocks, list, i, same);
        return;
    }
    memcpy(entry->ids, ids + i * UPG_KV_BLOCK, sizeof entry->ids);
    entry->parent = parent;
    slot = slot_of(cache, parent, entry->ids);
    entry->next = *slot;
    *slot = block;
    upg_kv_blocks_keep(cache->blocks, block);
}

uint32_t upg_prefix_parent(const struct upg_prefix_cache *cache, uint32_t block)
{
    return cache->entries[block].parent;
}

const int32_t *upg_prefix_ids(const struct upg_prefix_cache *cache, uint32_t block)
{
    return cache->entries[block].ids;
}
