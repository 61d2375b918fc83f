/* prefix_cache.h -- full blocks of the KV cache, found again by the tokens that they were computed
 * from.
 *
 * A block is known by its own UPG_KV_BLOCK tokens and by the block in front of it, so by all tokens
 * from the sequence's beginning; the first block by the set of rotary factors, for keys depend on it.
 * Tokens are compared, not only hashed: no two prompts can be taken for each other.
 *
 * The blocks stay in their allocator, which tells when it takes one away (kv_blocks.h). */
#ifndef UPG_ENGINE_PREFIX_CACHE_H
#define UPG_ENGINE_PREFIX_CACHE_H

#include "engine/cache_file.h"

struct upg_prefix_cache {
    struct upg_kv_blocks *blocks;     /* borrowed; its forget callback is this cache's */
    struct upg_prefix_entry *entries; /* [n_blocks] by block number, in the arena */
    uint32_t *table;                  /* [n_slots] heads of chains of blocks with the same slot */
    size_t n_slots;                   /* a power of two */
};

/* The parent of first blocks: one for each set of rotary factors. */
static inline uint32_t upg_prefix_root(bool long_factors)
{
    return long_factors ? UPG_CACHE_FIRST_LONG : UPG_CACHE_FIRST_SHORT;
}

/* Memory lives in the arena.  UPG_ERR_MEMORY. */
upg_status upg_prefix_cache_init(struct upg_prefix_cache *cache, struct upg_kv_blocks *blocks,
                                 struct upg_arena *arena, upg_error *err);

/* The kept blocks that hold the first tokens of ids[n_ids]: found[<= n_ids / UPG_KV_BLOCK]; returns
 * their number. */
size_t upg_prefix_cache_find(const struct upg_prefix_cache *cache, uint32_t root,
                             const int32_t *ids, size_t n_ids, uint32_t *found);

/* Keep the list's full block i, computed from ids[i * UPG_KV_BLOCK ..]; the blocks in front of it
 * must be kept already.  If another block has the same contents, the list shares that one from now
 * on, so that a kept block's parent is on every list that the block itself is on: it is never
 * forgotten first. */
void upg_prefix_cache_add(struct upg_prefix_cache *cache, uint32_t root, struct upg_kv_list *list,
                          size_t i, const int32_t *ids);

/* Write all kept blocks to a file, while no list has any of them.  Statuses as
 * upg_cache_writer_begin(). */
upg_status upg_prefix_cache_save(const struct upg_prefix_cache *cache, const upg_engine *engine,
                                 const char *path, upg_error *err);

/* Keep the blocks of a file as well, as far as there are empty ones; damaged records and those that
 * follow on them are passed over.  Statuses as upg_cache_file_open(). */
upg_status upg_prefix_cache_load(struct upg_prefix_cache *cache, const upg_engine *engine,
                                 const char *path, upg_error *err);

#endif
