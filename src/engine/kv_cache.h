/* kv_cache.h -- the keys and values of all sequences, in blocks.
 *
 * A block holds UPG_KV_BLOCK tokens of every layer: for each layer and head the keys, a key a row,
 * and the values, transposed (kv_codes.h).  So scores = keys * query and output = values *
 * probabilities are both products of a row-major matrix with a vector, which is what the kernel
 * table has.
 *
 * In coded types (Q8, Q4) a token attends to the block that it lies in as if the cache were F16, and
 * to the blocks before it by their codes: what was said last weighs most.  On a trained 24.6 M model
 * that takes four fifths of the divergence away.  The rule is one of positions alone, so it holds
 * for prompts in chunks as well as for single tokens.  The exact tokens of a sequence's last block
 * are kept in its open blocks, whose memory holds the F16 sides of all layers and heads. */
#ifndef UPG_ENGINE_KV_CACHE_H
#define UPG_ENGINE_KV_CACHE_H

#include "engine/kv_codes.h"

struct upg_kv_cache {
    struct upg_kv_blocks blocks;
    upg_kv_type type;
    size_t n_layers, n_kv_heads, head_dim;
    size_t n_layers_here; /* the first ones, which `memory` holds: all, unless set otherwise */
    size_t side_bytes;    /* keys, or values, of a block, layer and head */
    size_t block_bytes;   /* at least n_layers * n_kv_heads * 2 * side_bytes */
    size_t exact_bytes;   /* an F16 side; 0 without open blocks */
    uint8_t *memory;      /* [n_blocks, block_bytes], in the arena */

    /* Set, and n_layers_here, by a backend that keeps the layers from n_layers_here on in memory of
     * its own: it copies a block there before the next step. */
    void (*copy_elsewhere)(void *elsewhere, uint32_t to, uint32_t from);
    void *elsewhere;
};

/* A cache of at least n_tokens, in the arena.  Memory is not touched before it is used.
 * UPG_ERR_MEMORY; UPG_ERR_ARGUMENT for sizes beyond the address space; UPG_ERR_UNSUPPORTED for a
 * type that this head_dim does not allow. */
upg_status upg_kv_cache_init(struct upg_kv_cache *cache, upg_kv_type type, size_t n_layers,
                             size_t n_kv_heads, size_t head_dim, size_t n_tokens,
                             struct upg_arena *arena, upg_error *err);

/* Bytes of blocks for n_tokens. */
size_t upg_kv_cache_n_bytes(const struct upg_kv_cache *cache);

/* Whether the free blocks suffice for list to grow to n_tokens: UPG_OK or UPG_ERR_MEMORY. */
upg_status upg_kv_cache_check_room(const struct upg_kv_cache *cache, const struct upg_kv_list *list,
                                   size_t n_tokens, upg_error *err);

/* Make positions [list->n_tokens, n_tokens) writable.  UPG_ERR_MEMORY, list untouched, when the
 * blocks do not suffice. */
upg_status upg_kv_cache_grow(struct upg_kv_cache *cache, struct upg_kv_list *list, size_t n_tokens,
                             upg_error *err);

/* All that a block holds, [block_bytes]. */
uint8_t *upg_kv_block(const struct upg_kv_cache *cache, uint32_t block);

/* The stored form of a block's keys and values, as kv_codes.h has it. */
const void *upg_kv_keys(const struct upg_kv_cache *cache, uint32_t block, size_t layer,
                        size_t head);
const void *upg_kv_values(const struct upg_kv_cache *cache, uint32_t block, size_t layer,
                          size_t head);

/* Store key[head_dim] and value[head_dim] of one position, rotated already if the type is coded. */
void upg_kv_write(struct upg_kv_cache *cache, const struct upg_kv_list *list, size_t layer,
                  size_t head, size_t pos, const float *key, const float *value);

/* Whether the cache has open blocks; the two functions below need them. */
static inline bool upg_kv_has_open(const struct upg_kv_cache *cache)
{
    return cache->blocks.n_open > 0;
}

/* Store a position that lies in the list's partly filled last block exactly as well. */
void upg_kv_write_open(struct upg_kv_cache *cache, const struct upg_kv_list *list, size_t layer,
                       size_t head, size_t pos, const float *key, const float *value);

/* Copy the first n tokens of the open blocks to F16 sides keys[UPG_KV_BLOCK, head_dim] and
 * values[head_dim, UPG_KV_BLOCK]; the tokens behind them become 0. */
void upg_kv_read_open(const struct upg_kv_cache *cache, const struct upg_kv_list *list,
                      size_t layer, size_t head, size_t n, void *keys, void *values);

#endif
