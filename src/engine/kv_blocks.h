/* kv_blocks.h -- which blocks of the KV cache belong to which sequence. */
#ifndef UPG_ENGINE_KV_BLOCKS_H
#define UPG_ENGINE_KV_BLOCKS_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>

enum {
    UPG_KV_BLOCK = 32,  /* tokens of a block */
    UPG_KV_MAX_OPEN = 8 /* most open blocks of a list */
};

/* The allocator.  Memory lives in the arena that was given to upg_kv_blocks_init(). */
struct upg_kv_blocks {
    uint32_t *refs;      /* [n_blocks] lists that hold the block */
    uint32_t *free_list; /* [n_blocks] the first n_free - n_idle are the empty blocks */
    size_t n_blocks;
    size_t n_free; /* blocks on no list: empty, or idle */
    size_t n_idle; /* of these, kept for whoever wants their contents again */
    size_t n_open; /* open blocks of each list that has tokens */

    bool *kept;           /* [n_blocks] the block's contents are to be found again */
    uint32_t *older;      /* [n_blocks + 1] idle blocks in a ring, by the time of their last use; */
    uint32_t *newer;      /* entry n_blocks stands between the newest and the oldest */
    uint64_t n_forgotten; /* kept blocks that were taken for other contents */
    void (*forget)(void *context, uint32_t block); /* called before that; NULL: nothing is kept */
    void *forget_context;
};

/* A sequence's part of the cache: position p lies in blocks[p / UPG_KV_BLOCK].  Where the cache
 * stores tokens inexactly, the exact ones of a partly filled last block are kept besides, in the
 * list's open blocks. */
struct upg_kv_list {
    uint32_t *blocks; /* [capacity], owned by the sequence */
    size_t n_blocks, n_tokens;
    uint32_t open[UPG_KV_MAX_OPEN]; /* the first n_open are used, while n_tokens > 0 */
};

/* Blocks that must be copied before they are written (copy-on-write). */
struct upg_kv_copies {
    size_t n;
    uint32_t from[1 + UPG_KV_MAX_OPEN], to[1 + UPG_KV_MAX_OPEN];
};

/* n_blocks >= 1 free blocks; n_open <= UPG_KV_MAX_OPEN.  UPG_ERR_MEMORY. */
upg_status upg_kv_blocks_init(struct upg_kv_blocks *blocks, size_t n_blocks, size_t n_open,
                              struct upg_arena *arena, upg_error *err);

/* Blocks that a list takes from the free list when it grows to n_tokens. */
size_t upg_kv_blocks_needed(const struct upg_kv_blocks *blocks, const struct upg_kv_list *list,
                            size_t n_tokens);

/* Make positions [list->n_tokens, n_tokens) and the open blocks writable, and set list->n_tokens.
 * The caller has seen that upg_kv_blocks_needed() <= n_free, and copies the contents of *copies in
 * their order.  New blocks are list->blocks[*first_new ..]. */
void upg_kv_blocks_grow(struct upg_kv_blocks *blocks, struct upg_kv_list *list, size_t n_tokens,
                        struct upg_kv_copies *copies, size_t *first_new);

/* Forget positions from n_tokens on (n_tokens <= list->n_tokens).  With open blocks a list that
 * would end within another block than before loses that block as a whole, for its exact tokens are
 * gone: list->n_tokens tells. */
void upg_kv_blocks_truncate(struct upg_kv_blocks *blocks, struct upg_kv_list *list,
                            size_t n_tokens);

/* copy, which is empty and has as much capacity, shares all blocks of list. */
void upg_kv_blocks_share(struct upg_kv_blocks *blocks, struct upg_kv_list *copy,
                         const struct upg_kv_list *list);

/* A full block of some list is to be found again: when the last list leaves it, it becomes idle, and
 * is taken for other contents only when no empty block is left, the longest idle first. */
void upg_kv_blocks_keep(struct upg_kv_blocks *blocks, uint32_t block);

/* list, which is empty, begins with these kept blocks, n >= 1.  False, nothing changed, if no free
 * blocks are left for its open ones. */
bool upg_kv_blocks_adopt(struct upg_kv_blocks *blocks, struct upg_kv_list *list,
                         const uint32_t *kept, size_t n);

/* An empty block becomes a kept idle one, the oldest of all; false if no block is empty. */
bool upg_kv_blocks_restore(struct upg_kv_blocks *blocks, uint32_t *block);

/* Put a kept block in the place of the list's full block i, which has the same contents. */
void upg_kv_blocks_substitute(struct upg_kv_blocks *blocks, struct upg_kv_list *list, size_t i,
                              uint32_t kept);

/* Whether the invariants of kv_blocks.c hold, given every list there is; for tests. */
bool upg_kv_blocks_check(const struct upg_kv_blocks *blocks, const struct upg_kv_list *const *lists,
                         size_t n_lists);

#endif
