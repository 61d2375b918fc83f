/* kv_blocks.h -- which blocks of the KV cache belong to which sequence. */
#ifndef UPG_ENGINE_KV_BLOCKS_H
#define UPG_ENGINE_KV_BLOCKS_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>

enum { UPG_KV_BLOCK = 32 }; /* tokens of a block */

/* The allocator.  Memory lives in the arena that was given to upg_kv_blocks_init(). */
struct upg_kv_blocks {
    uint32_t *refs;      /* [n_blocks] lists that hold the block */
    uint32_t *free_list; /* [n_blocks] the first n_free are the free blocks */
    size_t n_blocks, n_free;
};

/* A sequence's part of the cache: position p lies in blocks[p / UPG_KV_BLOCK]. */
struct upg_kv_list {
    uint32_t *blocks; /* [capacity], owned by the sequence */
    size_t n_blocks, n_tokens;
};

/* A block that must be copied before it is written (copy-on-write). */
struct upg_kv_copy {
    bool needed;
    uint32_t from, to;
};

/* n_blocks >= 1 free blocks.  UPG_ERR_MEMORY. */
upg_status upg_kv_blocks_init(struct upg_kv_blocks *blocks, size_t n_blocks,
                              struct upg_arena *arena, upg_error *err);

/* Blocks that a list takes from the free list when it grows to n_tokens. */
size_t upg_kv_blocks_needed(const struct upg_kv_blocks *blocks, const struct upg_kv_list *list,
                            size_t n_tokens);

/* Make positions [list->n_tokens, n_tokens) writable and set list->n_tokens.  The caller has seen
 * that upg_kv_blocks_needed() <= n_free.  If *copy is needed, the caller copies the contents.  New
 * blocks are list->blocks[*first_new ..]. */
void upg_kv_blocks_grow(struct upg_kv_blocks *blocks, struct upg_kv_list *list, size_t n_tokens,
                        struct upg_kv_copy *copy, size_t *first_new);

/* Forget positions from n_tokens on (n_tokens <= list->n_tokens). */
void upg_kv_blocks_truncate(struct upg_kv_blocks *blocks, struct upg_kv_list *list,
                            size_t n_tokens);

/* copy, which is empty and has as much capacity, shares all blocks of list. */
void upg_kv_blocks_share(struct upg_kv_blocks *blocks, struct upg_kv_list *copy,
                         const struct upg_kv_list *list);

/* Whether the invariants of kv_blocks.c hold, given every list there is; for tests. */
bool upg_kv_blocks_check(const struct upg_kv_blocks *blocks, const struct upg_kv_list *const *lists,
                         size_t n_lists);

#endif
