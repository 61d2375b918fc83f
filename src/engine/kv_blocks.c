/* kv_blocks.c -- the paged KV cache's allocator.
 *
 * A cache is a row of blocks of UPG_KV_BLOCK tokens; a sequence owns a list of block numbers.
 * Sequences that begin alike share blocks; a shared block is copied before it is written.
 *
 * Invariants (upg_kv_blocks_check() tests them):
 *   (1) refs[b] = number of lists that contain b; 0 iff b is on the free list.
 *   (2) a list of n_tokens has ceil(n_tokens / UPG_KV_BLOCK) blocks, so only its last is partly
 *       filled.
 *   (3) n_free + number of blocks with refs > 0 == n_blocks.
 *   (4) a block is written only while refs == 1: upg_kv_blocks_grow() sees to that.
 * After Kwon et al. 2023 (PagedAttention), sections 4.2 and 4.4. */
#include "engine/kv_blocks.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t blocks_for(size_t n_tokens)
{
    return n_tokens / UPG_KV_BLOCK + (n_tokens % UPG_KV_BLOCK != 0);
}

static uint32_t take(struct upg_kv_blocks *blocks)
{
    const uint32_t block = blocks->free_list[--blocks->n_free];

    blocks->refs[block] = 1;
    return block;
}

static void release(struct upg_kv_blocks *blocks, uint32_t block)
{
    assert(blocks->refs[block] > 0);
    if (--blocks->refs[block] == 0)
        blocks->free_list[blocks->n_free++] = block;
}

/* The list's last block has room that the list would write, and others share it. */
static bool must_copy(const struct upg_kv_blocks *blocks, const struct upg_kv_list *list)
{
    return list->n_tokens % UPG_KV_BLOCK != 0 && blocks->refs[list->blocks[list->n_blocks - 1]] > 1;
}

upg_status upg_kv_blocks_init(struct upg_kv_blocks *blocks, size_t n_blocks,
                              struct upg_arena *arena, upg_error *err)
{
    if (n_blocks > UINT32_MAX)
        return upg_fail(err, UPG_ERR_ARGUMENT, "KV cache: %zu blocks of %d tokens are too many",
                        n_blocks, UPG_KV_BLOCK);
    blocks->refs = upg_arena_alloc(arena, n_blocks, sizeof *blocks->refs);
    blocks->free_list = upg_arena_alloc(arena, n_blocks, sizeof *blocks->free_list);
    if (!blocks->refs || !blocks->free_list)
        return upg_fail_memory(err, "the list of cache blocks", 2 * sizeof(uint32_t) * n_blocks);
    blocks->n_blocks = blocks->n_free = n_blocks;
    for (size_t i = 0; i < n_blocks; i++) /* the lowest number is taken first */
        blocks->free_list[i] = (uint32_t)(n_blocks - 1 - i);
    return UPG_OK;
}

size_t upg_kv_blocks_needed(const struct upg_kv_blocks *blocks, const struct upg_kv_list *list,
                            size_t n_tokens)
{
    if (n_tokens <= list->n_tokens)
        return 0;
    return blocks_for(n_tokens) - list->n_blocks + must_copy(blocks, list);
}

void upg_kv_blocks_grow(struct upg_kv_blocks *blocks, struct upg_kv_list *list, size_t n_tokens,
                        struct upg_kv_copy *copy, size_t *first_new)
{
    assert(upg_kv_blocks_needed(blocks, list, n_tokens) <= blocks->n_free);
    *copy = (struct upg_kv_copy){.needed = n_tokens > list->n_tokens && must_copy(blocks, list)};
    if (copy->needed) {
        uint32_t *last = &list->blocks[list->n_blocks - 1];

        copy->from = *last;
        copy->to = take(blocks);
        release(blocks, *last);
        *last = copy->to;
    }
    *first_new = list->n_blocks;
    while (list->n_blocks < blocks_for(n_tokens))
        list->blocks[list->n_blocks++] = take(blocks);
    if (n_tokens > list->n_tokens)
        list->n_tokens = n_tokens;
}

void upg_kv_blocks_truncate(struct upg_kv_blocks *blocks, struct upg_kv_list *list, size_t n_tokens)
{
    assert(n_tokens <= list->n_tokens);
    while (list->n_blocks > blocks_for(n_tokens))
        release(blocks, list->blocks[--list->n_blocks]);
    list->n_tokens = n_tokens;
}

void upg_kv_blocks_share(struct upg_kv_blocks *blocks, struct upg_kv_list *copy,
                         const struct upg_kv_list *list)
{
    assert(copy->n_blocks == 0);
    for (size_t i = 0; i < list->n_blocks; i++) {
        blocks->refs[list->blocks[i]]++;
        copy->blocks[i] = list->blocks[i];
    }
    copy->n_blocks = list->n_blocks;
    copy->n_tokens = list->n_tokens;
}

bool upg_kv_blocks_check(const struct upg_kv_blocks *blocks, const struct upg_kv_list *const *lists,
                         size_t n_lists)
{
    uint32_t *count = calloc(blocks->n_blocks, sizeof *count);
    size_t n_used = 0;
    bool good = count != NULL;

    for (size_t i = 0; good && i < n_lists; i++) {
        good = lists[i]->n_blocks == blocks_for(lists[i]->n_tokens); /* (2) */
        for (size_t j = 0; good && j < lists[i]->n_blocks; j++) {
            good = lists[i]->blocks[j] < blocks->n_blocks;
            if (good)
                count[lists[i]->blocks[j]]++;
        }
    }
    for (size_t b = 0; good && b < blocks->n_blocks; b++) {
        good = count[b] == blocks->refs[b]; /* (1) */
        n_used += blocks->refs[b] > 0;
    }
    good = good && blocks->n_free + n_used == blocks->n_blocks; /* (3) */
    for (size_t i = 0; good && i < blocks->n_free; i++)
        good = blocks->refs[blocks->free_list[i]] == 0; /* (1) */
    free(count);
    return good;
}
