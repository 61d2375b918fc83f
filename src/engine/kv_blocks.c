/* kv_blocks.c -- the paged KV cache's allocator.
 *
 * A cache is a row of blocks of UPG_KV_BLOCK tokens; a sequence owns a list of block numbers.
 * Sequences that begin alike share blocks; a shared block is copied before it is written.
 *
 * Invariants (upg_kv_blocks_check() tests them):
 *   (1) refs[b] = number of lists that contain b; 0 iff b is on the free list or idle.
 *   (2) a list of n_tokens has ceil(n_tokens / UPG_KV_BLOCK) blocks, so only its last is partly
 *       filled.
 *   (3) n_free + number of blocks with refs > 0 == n_blocks.
 *   (4) a block is written only while refs == 1 and it is not kept: upg_kv_blocks_grow() sees to that.
 *   (5) a list with tokens holds n_open open blocks besides; they count in (1) and (3).
 *   (6) the ring has the n_idle blocks with kept[b] and refs[b] == 0.  A list is left from its end,
 *       so of two blocks of a list the one in front is idle for a shorter time.
 * After Kwon et al. 2023 (PagedAttention), sections 4.2 and 4.4. */
#include "engine/kv_blocks.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t blocks_for(size_t n_tokens)
{
    return n_tokens / UPG_KV_BLOCK + (n_tokens % UPG_KV_BLOCK != 0);
}

static void leave_ring(struct upg_kv_blocks *blocks, uint32_t block)
{
    blocks->newer[blocks->older[block]] = blocks->newer[block];
    blocks->older[blocks->newer[block]] = blocks->older[block];
    blocks->n_idle--;
}

static void join_ring(struct upg_kv_blocks *blocks, uint32_t block)
{
    const uint32_t end = (uint32_t)blocks->n_blocks, newest = blocks->older[end];

    blocks->older[block] = newest;
    blocks->newer[block] = end;
    blocks->newer[newest] = blocks->older[end] = block;
    blocks->n_idle++;
}

static uint32_t take(struct upg_kv_blocks *blocks)
{
    uint32_t block;

    if (blocks->n_free > blocks->n_idle) {
        block = blocks->free_list[blocks->n_free - blocks->n_idle - 1];
    } else {
        block = blocks->newer[blocks->n_blocks]; /* the oldest */
        blocks->forget(blocks->forget_context, block);
        leave_ring(blocks, block);
        blocks->kept[block] = false;
        blocks->n_forgotten++;
    }
    blocks->n_free--;
    blocks->refs[block] = 1;
    return block;
}

static void release(struct upg_kv_blocks *blocks, uint32_t block)
{
    assert(blocks->refs[block] > 0);
    if (--blocks->refs[block] > 0)
        return;
    if (blocks->kept[block])
        join_ring(blocks, block);
    else
        blocks->free_list[blocks->n_free - blocks->n_idle] = block;
    blocks->n_free++;
}

/* One more list has the block. */
static void hold(struct upg_kv_blocks *blocks, uint32_t block)
{
    if (blocks->refs[block]++ == 0) {
        leave_ring(blocks, block);
        blocks->n_free--;
    }
}

/* The list's last block has room that the list would write, and others want it as it is. */
static bool must_copy_last(const struct upg_kv_blocks *blocks, const struct upg_kv_list *list)
{
    uint32_t last;

    if (list->n_tokens % UPG_KV_BLOCK == 0)
        return false;
    last = list->blocks[list->n_blocks - 1];
    return blocks->refs[last] > 1 || blocks->kept[last];
}

/* Give the list a block of its own instead of *block. */
static void replace(struct upg_kv_blocks *blocks, uint32_t *block, struct upg_kv_copies *copies)
{
    copies->from[copies->n] = *block;
    release(blocks, *block);
    *block = take(blocks);
    copies->to[copies->n++] = *block;
}

upg_status upg_kv_blocks_init(struct upg_kv_blocks *blocks, size_t n_blocks, size_t n_open,
                              struct upg_arena *arena, upg_error *err)
{
    assert(n_open <= UPG_KV_MAX_OPEN);
    if (n_blocks >= UINT32_MAX)
        return upg_fail(err, UPG_ERR_ARGUMENT, "KV cache: %zu blocks of %d tokens are too many",
                        n_blocks, UPG_KV_BLOCK);
    blocks->refs = upg_arena_alloc(arena, n_blocks, sizeof *blocks->refs);
    blocks->free_list = upg_arena_alloc(arena, n_blocks, sizeof *blocks->free_list);
    blocks->kept = upg_arena_alloc(arena, n_blocks, sizeof *blocks->kept);
    blocks->older = upg_arena_alloc(arena, n_blocks + 1, sizeof *blocks->older);
    blocks->newer = upg_arena_alloc(arena, n_blocks + 1, sizeof *blocks->newer);
    if (!blocks->refs || !blocks->free_list || !blocks->kept || !blocks->older || !blocks->newer)
        return upg_fail_memory(err, "the list of cache blocks", 4 * sizeof(uint32_t) * n_blocks);
    blocks->older[n_blocks] = blocks->newer[n_blocks] = (uint32_t)n_blocks;
    blocks->n_blocks = blocks->n_free = n_blocks;
    blocks->n_open = n_open;
    for (size_t i = 0; i < n_blocks; i++) /* the lowest number is taken first */
        blocks->free_list[i] = (uint32_t)(n_blocks - 1 - i);
    return UPG_OK;
}

size_t upg_kv_blocks_needed(const struct upg_kv_blocks *blocks, const struct upg_kv_list *list,
                            size_t n_tokens)
{
    size_t n;

    if (n_tokens <= list->n_tokens)
        return 0;
    n = blocks_for(n_tokens) - list->n_blocks + must_copy_last(blocks, list);
    for (size_t i = 0; i < blocks->n_open; i++)
        n += list->n_tokens == 0 || blocks->refs[list->open[i]] > 1;
    return n;
}

void upg_kv_blocks_grow(struct upg_kv_blocks *blocks, struct upg_kv_list *list, size_t n_tokens,
                        struct upg_kv_copies *copies, size_t *first_new)
{
    assert(upg_kv_blocks_needed(blocks, list, n_tokens) <= blocks->n_free);
    copies->n = 0;
    *first_new = list->n_blocks;
    if (n_tokens <= list->n_tokens)
        return;
    if (must_copy_last(blocks, list))
        replace(blocks, &list->blocks[list->n_blocks - 1], copies);
    for (size_t i = 0; i < blocks->n_open; i++)
        if (list->n_tokens == 0)
            list->open[i] = take(blocks);
        else if (blocks->refs[list->open[i]] > 1)
            replace(blocks, &list->open[i], copies);
    while (list->n_blocks < blocks_for(n_tokens))
        list->blocks[list->n_blocks++] = take(blocks);
    list->n_tokens = n_tokens;
}

void upg_kv_blocks_truncate(struct upg_kv_blocks *blocks, struct upg_kv_list *list, size_t n_tokens)
{
    const size_t had_tokens = list->n_tokens;

    assert(n_tokens <= had_tokens);
    if (blocks->n_open > 0 && n_tokens / UPG_KV_BLOCK != had_tokens / UPG_KV_BLOCK)
        n_tokens -= n_tokens % UPG_KV_BLOCK;
    while (list->n_blocks > blocks_for(n_tokens))
        release(blocks, list->blocks[--list->n_blocks]);
    for (size_t i = 0; i < blocks->n_open && n_tokens == 0 && had_tokens > 0; i++)
        release(blocks, list->open[i]);
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
    for (size_t i = 0; i < blocks->n_open && list->n_tokens > 0; i++) {
        blocks->refs[list->open[i]]++;
        copy->open[i] = list->open[i];
    }
    copy->n_blocks = list->n_blocks;
    copy->n_tokens = list->n_tokens;
}

void upg_kv_blocks_keep(struct upg_kv_blocks *blocks, uint32_t block)
{
    assert(blocks->refs[block] > 0 && blocks->forget);
    blocks->kept[block] = true;
}

bool upg_kv_blocks_adopt(struct upg_kv_blocks *blocks, struct upg_kv_list *list,
                         const uint32_t *kept, size_t n)
{
    size_t n_idle = 0;

    assert(n > 0 && list->n_tokens == 0);
    for (size_t i = 0; i < n; i++)
        n_idle += blocks->refs[kept[i]] == 0;
    if (n_idle + blocks->n_open > blocks->n_free)
        return false;
    for (size_t i = 0; i < n; i++) {
        assert(blocks->kept[kept[i]]);
        hold(blocks, kept[i]);
        list->blocks[i] = kept[i];
    }
    for (size_t i = 0; i < blocks->n_open; i++)
        list->open[i] = take(blocks);
    list->n_blocks = n;
    list->n_tokens = n * UPG_KV_BLOCK;
    return true;
}

bool upg_kv_blocks_restore(struct upg_kv_blocks *blocks, uint32_t *block)
{
    const uint32_t end = (uint32_t)blocks->n_blocks, oldest = blocks->newer[end];

    assert(blocks->forget);
    if (blocks->n_free == blocks->n_idle)
        return false;
    *block = blocks->free_list[blocks->n_free - blocks->n_idle - 1];
    blocks->kept[*block] = true;
    blocks->newer[*block] = oldest;
    blocks->older[*block] = end;
    blocks->older[oldest] = blocks->newer[end] = *block;
    blocks->n_idle++;
    return true;
}

void upg_kv_blocks_substitute(struct upg_kv_blocks *blocks, struct upg_kv_list *list, size_t i,
                              uint32_t kept)
{
    assert((i + 1) * UPG_KV_BLOCK <= list->n_tokens && blocks->kept[kept]);
    hold(blocks, kept);
    release(blocks, list->blocks[i]);
    list->blocks[i] = kept;
}

/* Add the list's blocks to count[n_blocks]; false if a number is out of range. */
static bool count_blocks(const struct upg_kv_blocks *blocks, const uint32_t *numbers, size_t n,
                         uint32_t *count)
{
    for (size_t i = 0; i < n; i++) {
        if (numbers[i] >= blocks->n_blocks)
            return false;
        count[numbers[i]]++;
    }
    return true;
}

/* Invariant (6). */
static bool check_ring(const struct upg_kv_blocks *blocks)
{
    const uint32_t end = (uint32_t)blocks->n_blocks;
    size_t n_ring = 0, n_idle = 0;

    for (uint32_t b = blocks->newer[end]; b != end; b = blocks->newer[b])
        if (!blocks->kept[b] || blocks->refs[b] > 0 || blocks->older[blocks->newer[b]] != b ||
            n_ring++ > blocks->n_blocks)
            return false;
    for (uint32_t b = 0; b < end; b++)
        n_idle += blocks->kept[b] && blocks->refs[b] == 0;
    return n_ring == blocks->n_idle && n_idle == n_ring;
}

bool upg_kv_blocks_check(const struct upg_kv_blocks *blocks, const struct upg_kv_list *const *lists,
                         size_t n_lists)
{
    uint32_t *count = calloc(blocks->n_blocks, sizeof *count);
    size_t n_used = 0;
    bool good = count != NULL;

    for (size_t i = 0; good && i < n_lists; i++) {
        const size_t n_open = lists[i]->n_tokens > 0 ? blocks->n_open : 0; /* (5) */

        good = lists[i]->n_blocks == blocks_for(lists[i]->n_tokens) && /* (2) */
               count_blocks(blocks, lists[i]->blocks, lists[i]->n_blocks, count) &&
               count_blocks(blocks, lists[i]->open, n_open, count);
    }
    for (size_t b = 0; good && b < blocks->n_blocks; b++) {
        good = count[b] == blocks->refs[b]; /* (1) */
        n_used += blocks->refs[b] > 0;
    }
    good = good && blocks->n_free + n_used == blocks->n_blocks; /* (3) */
    good = good && check_ring(blocks);
    for (size_t i = 0; good && i < blocks->n_free - blocks->n_idle; i++)
        good = blocks->refs[blocks->free_list[i]] == 0 && /* (1) */
               !blocks->kept[blocks->free_list[i]];
    free(count);
    return good;
}
