/* prefix_cache.c -- see prefix_cache.h.
 *
 * Invariants:
 *   (1) a block is in the table iff it is kept; no two have the same parent and tokens.
 *   (2) the parent of a block in the table is a root or in the table: whoever holds a block holds its
 *       parent, and leaves the parent later. */
#include "engine/prefix_cache.h"

#include <assert.h>
#include <stdlib.h>
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

static void insert(struct upg_prefix_cache *cache, uint32_t parent, const int32_t *ids,
                   uint32_t block)
{
    struct upg_prefix_entry *entry = &cache->entries[block];
    uint32_t *slot = slot_of(cache, parent, ids);

    memcpy(entry->ids, ids, sizeof entry->ids);
    entry->parent = parent;
    entry->next = *slot;
    *slot = block;
}

static bool is_root(uint32_t parent)
{
    return parent == upg_prefix_root(false) || parent == upg_prefix_root(true);
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

    assert((i + 1) * UPG_KV_BLOCK <= list->n_tokens);
    assert(i == 0 || cache->blocks->kept[parent]);
    if (same != NONE) {
        if (same != block)
            upg_kv_blocks_substitute(cache->blocks, list, i, same);
        return;
    }
    insert(cache, parent, ids + i * UPG_KV_BLOCK, block);
    upg_kv_blocks_keep(cache->blocks, block);
}

/* ---- In a file ---------------------------------------------------------------------------------- */

/* Blocks go to the file from the newest to the oldest, so parents first. */
upg_status upg_prefix_cache_save(const struct upg_prefix_cache *cache, const upg_engine *engine,
                                 const char *path, upg_error *err)
{
    const struct upg_kv_blocks *blocks = cache->blocks;
    const uint32_t end = (uint32_t)blocks->n_blocks;
    uint32_t *place = malloc(blocks->n_blocks * sizeof *place); /* of a block in the file */
    struct upg_cache_writer writer = {.engine = NULL};
    uint32_t n = 0;
    upg_status status;

    if (!place)
        return upg_fail_memory(err, "the places of blocks", blocks->n_blocks * sizeof *place);
    status = upg_cache_writer_begin(&writer, path, engine, NULL, 0, blocks->n_idle, err);
    for (uint32_t b = blocks->older[end]; status == UPG_OK && b != end; b = blocks->older[b]) {
        const struct upg_prefix_entry *entry = &cache->entries[b];
        const uint32_t parent = is_root(entry->parent) ? entry->parent : place[entry->parent];

        place[b] = n++;
        status = upg_cache_writer_add(&writer, parent, entry->ids, b, err);
    }
    if (status == UPG_OK)
        status = upg_atomic_file_commit(&writer.file, err);
    else
        upg_atomic_file_discard(&writer.file);
    free(place);
    return status;
}

/* Take in record i; NONE if it is damaged, its parent is not there, or it has a place already. */
static uint32_t restore(struct upg_prefix_cache *cache, const upg_engine *engine,
                        const struct upg_cache_file *file, size_t i, const uint32_t *blocks)
{
    struct upg_cache_record record;
    const uint8_t *bytes;
    uint32_t parent, block;

    if (!upg_cache_file_record(file, i, &record, &bytes))
        return NONE;
    if (!is_root(record.parent) && record.parent >= i)
        return NONE;
    parent = is_root(record.parent) ? record.parent : blocks[record.parent];
    if (parent == NONE || find(cache, parent, record.ids) != NONE ||
        !upg_kv_blocks_restore(cache->blocks, &block))
        return NONE;
    memcpy(upg_kv_block(&engine->cache, block), bytes, engine->cache.block_bytes);
    insert(cache, parent, record.ids, block);
    return block;
}

upg_status upg_prefix_cache_load(struct upg_prefix_cache *cache, const upg_engine *engine,
                                 const char *path, upg_error *err)
{
    struct upg_cache_file file;
    uint32_t *blocks; /* the records' */
    upg_status status = upg_cache_file_open(&file, path, engine, err);

    if (status != UPG_OK)
        return status;
    blocks = malloc(file.map.n_bytes / sizeof(struct upg_cache_record) * sizeof *blocks + 1);
    if (!blocks)
        status = upg_fail_memory(err, "the places of blocks", file.map.n_bytes);
    for (size_t i = 0; status == UPG_OK && i < file.header.n_blocks; i++)
        blocks[i] = restore(cache, engine, &file, i, blocks);
    free(blocks);
    upg_cache_file_close(&file);
    return status;
}
