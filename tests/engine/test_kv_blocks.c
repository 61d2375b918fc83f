/* test_kv_blocks.c -- the invariants of the paged cache under random use. */
#include "unit.h"

#include "base/random.h"
#include "engine/kv_blocks.h"

#include <stdlib.h>

enum { N_BLOCKS = 40, N_LISTS = 6, MAX_TOKENS = 10 * UPG_KV_BLOCK };

struct world {
    struct upg_arena arena;
    struct upg_kv_blocks blocks;
    struct upg_kv_list lists[N_LISTS];
    uint32_t numbers[N_LISTS][MAX_TOKENS / UPG_KV_BLOCK];
};

static void open_world(struct world *world, size_t n_open)
{
    memset(world, 0, sizeof *world);
    assert_int_equal(upg_kv_blocks_init(&world->blocks, N_BLOCKS, n_open, &world->arena, NULL),
                     UPG_OK);
    for (size_t i = 0; i < N_LISTS; i++)
        world->lists[i].blocks = world->numbers[i];
}

static void assert_consistent(const struct world *world)
{
    const struct upg_kv_list *lists[N_LISTS];

    for (size_t i = 0; i < N_LISTS; i++)
        lists[i] = &world->lists[i];
    assert_true(upg_kv_blocks_check(&world->blocks, lists, N_LISTS));
}

/* Grow if the blocks suffice; everything that becomes writable belongs to this list alone. */
static void grow(struct world *world, struct upg_kv_list *list, size_t n_tokens)
{
    const size_t n_before = list->n_tokens, n_free = world->blocks.n_free;
    const size_t needed = upg_kv_blocks_needed(&world->blocks, list, n_tokens);
    struct upg_kv_copies copies;
    size_t first_new;

    if (needed > n_free)
        return;
    upg_kv_blocks_grow(&world->blocks, list, n_tokens, &copies, &first_new);
    assert_int_equal(world->blocks.n_free, n_free - needed);
    assert_int_equal(list->n_tokens, n_tokens > n_before ? n_tokens : n_before);
    for (size_t pos = n_before; pos < n_tokens; pos++)
        assert_int_equal(world->blocks.refs[list->blocks[pos / UPG_KV_BLOCK]], 1);
    for (size_t i = 0; i < copies.n; i++)
        assert_int_not_equal(copies.from[i], copies.to[i]);
    for (size_t i = 0; i < world->blocks.n_open && list->n_tokens > n_before; i++)
        assert_int_equal(world->blocks.refs[list->open[i]], 1);
}

static void use_at_random(size_t n_open)
{
    struct upg_random random = {2024};
    struct world world;

    open_world(&world, n_open);
    for (size_t step = 0; step < 20000; step++) {
        struct upg_kv_list *list = &world.lists[upg_random_u64(&random) % N_LISTS];
        const size_t n = upg_random_u64(&random) % (MAX_TOKENS + 1);

        switch (upg_random_u64(&random) % 4) {
        case 0:
        case 1: grow(&world, list, n); break;
        case 2:
            if (n <= list->n_tokens) {
                upg_kv_blocks_truncate(&world.blocks, list, n);
                assert_true(list->n_tokens <= n && n - list->n_tokens < UPG_KV_BLOCK);
            }
            break;
        default:
            upg_kv_blocks_truncate(&world.blocks, list, 0);
            upg_kv_blocks_share(&world.blocks, list,
                                &world.lists[(size_t)(list - world.lists + 1) % N_LISTS]);
        }
        assert_consistent(&world);
    }
    for (size_t i = 0; i < N_LISTS; i++)
        upg_kv_blocks_truncate(&world.blocks, &world.lists[i], 0);
    assert_int_equal(world.blocks.n_free, N_BLOCKS);
    upg_arena_clear(&world.arena);
}

static void invariants_hold_under_random_use(void **state)
{
    (void)state;
    use_at_random(0);
    use_at_random(3);
}

static void truncated_list_keeps_exact_tokens_or_loses_the_block(void **state)
{
    struct world world;
    struct upg_kv_copies copies;
    size_t first_new;

    (void)state;
    open_world(&world, 2);
    upg_kv_blocks_grow(&world.blocks, &world.lists[0], 70, &copies, &first_new);
    upg_kv_blocks_truncate(&world.blocks, &world.lists[0], 66); /* the open block is still it */
    assert_int_equal(world.lists[0].n_tokens, 66);
    upg_kv_blocks_truncate(&world.blocks, &world.lists[0], 64);
    assert_int_equal(world.lists[0].n_tokens, 64);
    upg_kv_blocks_truncate(&world.blocks, &world.lists[0], 50);
    assert_int_equal(world.lists[0].n_tokens, 32);
    assert_int_equal(world.blocks.n_free, N_BLOCKS - 3);
    upg_kv_blocks_truncate(&world.blocks, &world.lists[0], 0);
    assert_int_equal(world.blocks.n_free, N_BLOCKS);
    upg_arena_clear(&world.arena);
}

static void shared_block_is_copied_before_it_is_written(void **state)
{
    struct world world;
    struct upg_kv_copies copies;
    size_t first_new;
    uint32_t shared;

    (void)state;
    open_world(&world, 0);
    upg_kv_blocks_grow(&world.blocks, &world.lists[0], 40, &copies, &first_new);
    assert_int_equal(copies.n, 0);
    shared = world.lists[0].blocks[1];
    upg_kv_blocks_share(&world.blocks, &world.lists[1], &world.lists[0]);
    assert_int_equal(upg_kv_blocks_needed(&world.blocks, &world.lists[1], 41), 1);
    upg_kv_blocks_grow(&world.blocks, &world.lists[1], 41, &copies, &first_new);
    assert_int_equal(copies.n, 1);
    assert_int_equal(copies.from[0], shared);
    assert_int_equal(world.lists[1].blocks[1], copies.to[0]);
    assert_int_equal(world.lists[0].blocks[1], shared);
    assert_int_equal(upg_kv_blocks_needed(&world.blocks, &world.lists[0], 41), 0); /* its own now */
    upg_arena_clear(&world.arena);
}

static void check_sees_what_is_wrong(void **state)
{
    struct world world;
    struct upg_kv_copies copies;
    const struct upg_kv_list *list = &world.lists[0];
    size_t first_new;

    (void)state;
    open_world(&world, 0);
    upg_kv_blocks_grow(&world.blocks, &world.lists[0], 40, &copies, &first_new);
    assert_true(upg_kv_blocks_check(&world.blocks, &list, 1));
    world.blocks.refs[list->blocks[0]]++; /* (1) */
    assert_false(upg_kv_blocks_check(&world.blocks, &list, 1));
    world.blocks.refs[list->blocks[0]]--;
    world.lists[0].n_tokens = 70; /* (2) */
    assert_false(upg_kv_blocks_check(&world.blocks, &list, 1));
    world.lists[0].n_tokens = 40;
    world.blocks.n_free--; /* (3) */
    assert_false(upg_kv_blocks_check(&world.blocks, &list, 1));
    upg_arena_clear(&world.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invariants_hold_under_random_use),
        cmocka_unit_test(truncated_list_keeps_exact_tokens_or_loses_the_block),
        cmocka_unit_test(shared_block_is_copied_before_it_is_written),
        cmocka_unit_test(check_sees_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
