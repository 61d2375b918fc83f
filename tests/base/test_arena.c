/* Arenas: alignment, zeroes, sizes that cannot be. */
#include "unit.h"

#include "base/arena.h"

#include <stdlib.h>

static void memory_is_aligned_zeroed_and_does_not_overlap(void **state)
{
    struct upg_arena arena = {0};
    unsigned char *blocks[300];

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        const size_t n = i * i % 5000; /* also 0, also more than a chunk in all */
        blocks[i] = upg_arena_alloc(&arena, n, 3);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % UPG_CACHE_LINE, 0);
        for (size_t b = 0; b < 3 * n; b++)
            assert_int_equal(blocks[i][b], 0);
        memset(blocks[i], (int)(i % 251) + 1, 3 * n);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t b = 0; b < 3 * (i * i % 5000); b++)
            assert_int_equal(blocks[i][b], i % 251 + 1);
    upg_arena_clear(&arena);
    assert_null(arena.chunks);
    assert_int_equal(arena.n_bytes, 0);
}

static void a_block_larger_than_a_chunk_has_its_own(void **state)
{
    struct upg_arena arena = {0};
    const size_t n = 3 << 20;
    char *large = upg_arena_alloc(&arena, n, 1), *small;

    (void)state;
    assert_non_null(large);
    memset(large, 1, n);
    small = upg_arena_alloc(&arena, 1, 1);
    assert_non_null(small);
    assert_true(small < large || small >= large + n);
    assert_true(arena.n_bytes >= n + 1);
    upg_arena_clear(&arena);
}

static void text_is_copied_with_a_zero_behind_it(void **state)
{
    struct upg_arena arena = {0};
    char *text = upg_arena_text(&arena, "tensor\0name", 11);

    (void)state;
    assert_non_null(text);
    assert_memory_equal(text, "tensor\0name\0", 12);
    text = upg_arena_text(&arena, NULL, 0);
    assert_string_equal(text, "");
    upg_arena_clear(&arena);
}

static void impossible_sizes_give_null(void **state)
{
    struct upg_arena arena = {0};

    (void)state;
    assert_null(upg_arena_alloc(&arena, SIZE_MAX, 2));
    assert_null(upg_arena_alloc(&arena, SIZE_MAX, 1));
    assert_null(upg_arena_alloc(&arena, SIZE_MAX - 127, 1));
    assert_null(upg_arena_text(&arena, "", SIZE_MAX));
    assert_null(upg_aligned_alloc(SIZE_MAX / 2, 4));
    assert_null(arena.chunks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_zeroed_and_does_not_overlap),
        cmocka_unit_test(a_block_larger_than_a_chunk_has_its_own),
        cmocka_unit_test(text_is_copied_with_a_zero_behind_it),
        cmocka_unit_test(impossible_sizes_give_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
