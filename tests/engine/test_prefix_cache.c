/* test_prefix_cache.c -- blocks that are found again, and those that had to go. */
#include "unit.h"

#include "base/random.h"
#include "engine/prefix_cache.h"

#include <stdlib.h>

enum { N_BLOCKS = 24, N_LISTS = 5, MAX_BLOCKS = 8, MAX_TOKENS = MAX_BLOCKS * UPG_KV_BLOCK };

/* Lists as a scheduler has them: tokens, a part of which is computed, and the first n_kept blocks
 * of that known to the prefix cache. */
struct world {
    struct upg_arena arena;
    struct upg_kv_blocks blocks;
    struct upg_prefix_cache cache;
    struct upg_kv_list lists[N_LISTS];
    uint32_t numbers[N_LISTS][MAX_BLOCKS];
    int32_t ids[N_LISTS][MAX_TOKENS];
    uint32_t root[N_LISTS];
    uint64_t
        content[N_BLOCKS]; /* hash of all tokens up to the block's end: what it was made from */
    struct upg_random random;
};

static void open_world(struct world *w, size_t n_open)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(upg_kv_blocks_init(&w->blocks, N_BLOCKS, n_open, &w->arena, NULL), UPG_OK);
    assert_int_equal(upg_prefix_cache_init(&w->cache, &w->blocks, &w->arena, NULL), UPG_OK);
    for (size_t i = 0; i < N_LISTS; i++)
        w->lists[i].blocks = w->numbers[i];
    w->random.state = 77;
}

static size_t below(struct world *w, size_t n)
{
    return (size_t)(upg_random_u64(&w->random) % n);
}

/* What block `block` of the list was, or would be, made from. */
static uint64_t content_of(const struct world *w, size_t list, size_t block)
{
    uint64_t hash = w->root[list];

    for (size_t i = 0; i < (block + 1) * UPG_KV_BLOCK; i++)
        hash = upg_splitmix64(hash ^ (uint64_t)w->ids[list][i]);
    return hash;
}

/* New tokens: every block is one of two runs of equal tokens, so prompts are often alike. */
static void new_prompt(struct world *w, size_t list)
{
    struct upg_kv_list *l = &w->lists[list];
    uint32_t found[MAX_BLOCKS];
    size_t n_found;

    upg_kv_blocks_truncate(&w->blocks, l, 0);
    w->root[list] = upg_prefix_root(below(w, 4) == 0);
    for (size_t b = 0; b < MAX_BLOCKS; b++) {
        const int32_t id = (int32_t)below(w, 2);

        for (size_t i = 0; i < UPG_KV_BLOCK; i++)
            w->ids[list][b * UPG_KV_BLOCK + i] = id;
    }
    n_found =
        upg_prefix_cache_find(&w->cache, w->root[list], w->ids[list], below(w, MAX_TOKENS), found);
    for (size_t b = 0; b < n_found; b++) /* what is found is what would be computed */
        assert_true(w->content[found[b]] == content_of(w, list, b));
    if (n_found > 0 && upg_kv_blocks_adopt(&w->blocks, l, found, n_found))
        assert_int_equal(l->n_tokens, n_found * UPG_KV_BLOCK);
}

/* Compute up to n_tokens, as far as blocks suffice, and keep the full blocks. */
static void compute(struct world *w, size_t list, size_t n_tokens)
{
    struct upg_kv_list *l = &w->lists[list];
    struct upg_kv_copies copies;
    const size_t first = l->n_tokens;
    size_t first_new;

    if (upg_kv_blocks_needed(&w->blocks, l, n_tokens) > w->blocks.n_free || n_tokens <= first)
        return;
    upg_kv_blocks_grow(&w->blocks, l, n_tokens, &copies, &first_new);
    for (size_t b = first / UPG_KV_BLOCK; b < l->n_blocks; b++) {
        assert_false(w->blocks.kept[l->blocks[b]]); /* nothing kept is written */
        if ((b + 1) * UPG_KV_BLOCK <= n_tokens)
            w->content[l->blocks[b]] = content_of(w, list, b);
    }
    for (size_t b = 0; (b + 1) * UPG_KV_BLOCK <= l->n_tokens; b++)
        upg_prefix_cache_add(&w->cache, w->root[list], l, b, w->ids[list]);
}

static void use_at_random(size_t n_open)
{
    struct world w;
    size_t n_adopted = 0;

    open_world(&w, n_open);
    for (size_t step = 0; step < 20000; step++) {
        const struct upg_kv_list *lists[N_LISTS];
        const size_t list = below(&w, N_LISTS);

        switch (below(&w, 4)) {
        case 0:
            new_prompt(&w, list);
            n_adopted += w.lists[list].n_blocks;
            break;
        case 1: upg_kv_blocks_truncate(&w.blocks, &w.lists[list], 0); break;
        case 2: /* a draft that was wrong: back into a block that may be kept */
            upg_kv_blocks_truncate(&w.blocks, &w.lists[list],
                                   w.lists[list].n_tokens - w.lists[list].n_tokens / 3);
            break;
        default: compute(&w, list, 1 + below(&w, MAX_TOKENS)); break;
        }
        for (size_t i = 0; i < N_LISTS; i++)
            lists[i] = &w.lists[i];
        assert_true(upg_kv_blocks_check(&w.blocks, lists, N_LISTS));
    }
    assert_true(n_adopted > 500);
    assert_true(w.blocks.n_forgotten > 500);
    upg_arena_clear(&w.arena);
}

static void random_use_finds_only_what_would_be_computed(void **state)
{
    (void)state;
    use_at_random(0);
    use_at_random(2);
}

/* Three prompts of two blocks each in a cache of six; the one unused for longest goes first, and its
 * second block before its first. */
static void longest_unused_goes_first_and_ends_before_beginnings(void **state)
{
    struct upg_arena arena = {0};
    struct upg_kv_blocks blocks = {0};
    struct upg_prefix_cache cache;
    uint32_t numbers[3], found[3];
    struct upg_kv_list list = {.blocks = numbers};
    struct upg_kv_copies copies;
    int32_t ids[4][2 * UPG_KV_BLOCK];
    const uint32_t root = upg_prefix_root(false);
    size_t first_new;

    (void)state;
    assert_int_equal(upg_kv_blocks_init(&blocks, 6, 0, &arena, NULL), UPG_OK);
    assert_int_equal(upg_prefix_cache_init(&cache, &blocks, &arena, NULL), UPG_OK);
    for (int32_t p = 0; p < 4; p++)
        for (size_t i = 0; i < 2 * UPG_KV_BLOCK; i++)
            ids[p][i] = p;
    for (size_t p = 0; p < 3; p++) {
        upg_kv_blocks_grow(&blocks, &list, 2 * UPG_KV_BLOCK, &copies, &first_new);
        for (size_t b = 0; b < 2; b++)
            upg_prefix_cache_add(&cache, root, &list, b, ids[p]);
        upg_kv_blocks_truncate(&blocks, &list, 0);
    }
    assert_int_equal(blocks.n_free, 6);
    assert_int_equal(blocks.n_idle, 6);
    assert_int_equal(upg_prefix_cache_find(&cache, root, ids[0], 64, found), 2);
    assert_true(upg_kv_blocks_adopt(&blocks, &list, found, 2)); /* prompt 0 is used again */
    upg_kv_blocks_truncate(&blocks, &list, 0);
    upg_kv_blocks_grow(&blocks, &list, UPG_KV_BLOCK, &copies, &first_new);
    assert_int_equal(upg_prefix_cache_find(&cache, root, ids[1], 64, found), 1);
    upg_kv_blocks_grow(&blocks, &list, 3 * UPG_KV_BLOCK, &copies, &first_new);
    assert_int_equal(upg_prefix_cache_find(&cache, root, ids[1], 64, found), 0);
    assert_int_equal(upg_prefix_cache_find(&cache, root, ids[2], 64, found), 1);
    assert_int_equal(upg_prefix_cache_find(&cache, root, ids[0], 64, found), 2);
    assert_int_equal(upg_prefix_cache_find(&cache, root, ids[0], 63, found), 1);
    assert_int_equal(upg_prefix_cache_find(&cache, upg_prefix_root(true), ids[0], 64, found), 0);
    assert_int_equal(blocks.n_forgotten, 3);
    upg_arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_use_finds_only_what_would_be_computed),
        cmocka_unit_test(longest_unused_goes_first_and_ends_before_beginnings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
