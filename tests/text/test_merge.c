/* Byte-pair encoding against the definition, applied step by step. */
#include "unit.h"

#include "base/random.h"
#include "text/merge.h"

#include <stdlib.h>

enum { N_LETTERS = 4, N_MERGES = 60, N_TOKENS = 256 + N_MERGES };

/* Merges of random tokens made before; some pairs are there twice. */
static void random_merges(struct upg_random *random, struct upg_merge *merges)
{
    for (int32_t i = 0; i < N_MERGES; i++) {
        int32_t pair[2];
        for (int side = 0; side < 2; side++) {
            const int32_t pick = (int32_t)(upg_random_u64(random) % (uint64_t)(N_LETTERS + i));
            pair[side] = pick < N_LETTERS ? 'a' + pick : 256 + pick - N_LETTERS;
        }
        merges[i] = (struct upg_merge){pair[0], pair[1], 256 + i};
    }
}

static int32_t rank_of(const struct upg_merge *merges, int32_t left, int32_t right)
{
    for (int32_t i = 0; i < N_MERGES; i++)
        if (merges[i].left == left && merges[i].right == right)
            return i;
    return N_MERGES;
}

/* The definition: find the best pair, merge it, again. */
static size_t merge_slowly(const struct upg_merge *merges, int32_t *ids, size_t n)
{
    for (;;) {
        int32_t best = N_MERGES;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++)
            if (rank_of(merges, ids[i], ids[i + 1]) < best) {
                best = rank_of(merges, ids[i], ids[i + 1]);
                at = i;
            }
        if (best == N_MERGES)
            return n;
        ids[at] = merges[best].result;
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

static void identity(int32_t byte_ids[256])
{
    for (int32_t i = 0; i < 256; i++)
        byte_ids[i] = i;
}

static void merging_follows_the_definition(void **state)
{
    struct upg_random random = {1};
    struct upg_merge merges[N_MERGES];
    struct upg_merge_scratch scratch = {0};
    int32_t byte_ids[256];
    upg_error err;

    (void)state;
    identity(byte_ids);
    for (int round = 0; round < 200; round++) {
        struct upg_pair_table table;
        random_merges(&random, merges);
        assert_ok(upg_pair_table_init(&table, "test", merges, N_MERGES, &err), err);
        for (size_t n = 0; n < 400; n = n < 20 ? n + 1 : n + 37) {
            char text[400];
            int32_t slow[400];
            size_t n_slow;
            upg_tokens tokens = {0};

            for (size_t i = 0; i < n; i++) {
                slow[i] = (int32_t)('a' + upg_random_u64(&random) % N_LETTERS);
                text[i] = (char)slow[i];
            }
            n_slow = merge_slowly(merges, slow, n);
            assert_ok(upg_merge_bytes(&table, byte_ids, text, n, &scratch, &tokens, &err), err);
            assert_int_equal(tokens.n, n_slow);
            assert_true(n == 0 || memcmp(tokens.ids, slow, n_slow * sizeof *slow) == 0);
            upg_tokens_clear(&tokens);
        }
        upg_pair_table_clear(&table);
    }
    upg_merge_scratch_clear(&scratch);
}

/* Powers of two of one letter: every level of the tree is used, and the answer is known. */
static void a_long_run_of_one_letter_is_merged_level_by_level(void **state)
{
    enum { LOG2 = 5, N = 300000 };
    struct upg_merge merges[LOG2];
    struct upg_pair_table table;
    struct upg_merge_scratch scratch = {0};
    upg_tokens tokens = {0};
    int32_t byte_ids[256];
    upg_error err;
    char *text = malloc(N);

    (void)state;
    assert_non_null(text);
    memset(text, 'a', N);
    identity(byte_ids);
    for (int32_t i = 0; i < LOG2; i++)
        merges[i] = (struct upg_merge){i ? 255 + i : 'a', i ? 255 + i : 'a', 256 + i};
    assert_ok(upg_pair_table_init(&table, "test", merges, LOG2, &err), err);
    assert_ok(upg_merge_bytes(&table, byte_ids, text, N - 1, &scratch, &tokens, &err), err);
    assert_int_equal(tokens.n, (N - 1) / 32 + 5); /* 299999 = 32 * 9374 + 16 + 8 + 4 + 2 + 1 */
    for (size_t i = 0; i < tokens.n; i++)
        assert_int_equal(tokens.ids[i], i < (N - 1) / 32    ? 260
                                        : i + 1 == tokens.n ? 'a'
                                                            : 259 - (int)(i - (N - 1) / 32));
    upg_tokens_clear(&tokens);
    upg_merge_scratch_clear(&scratch);
    upg_pair_table_clear(&table);
    free(text);
}

static void bytes_without_a_token_vanish_before_merging(void **state)
{
    const struct upg_merge merge = {'a', 'b', 256};
    struct upg_pair_table table;
    struct upg_merge_scratch scratch = {0};
    upg_tokens tokens = {0};
    int32_t byte_ids[256];
    upg_error err;

    (void)state;
    identity(byte_ids);
    byte_ids['x'] = -1;
    assert_ok(upg_pair_table_init(&table, "test", &merge, 1, &err), err);
    assert_ok(upg_merge_bytes(&table, byte_ids, "xaxbx", 5, &scratch, &tokens, &err), err);
    assert_int_equal(tokens.n, 1);
    assert_int_equal(tokens.ids[0], 256);
    assert_ok(upg_merge_bytes(&table, byte_ids, "xx", 2, &scratch, &tokens, &err), err);
    assert_int_equal(tokens.n, 1);
    upg_tokens_clear(&tokens);
    upg_merge_scratch_clear(&scratch);
    upg_pair_table_clear(&table);
}

/* Looking up must stay fast whatever pairs a file lists. */
static void pairs_that_collide_are_refused(void **state)
{
    enum { N = 4096 };
    struct upg_merge *merges = calloc(N, sizeof *merges);
    struct upg_pair_table table = {0};
    upg_error err;
    int32_t left = 0;

    (void)state;
    assert_non_null(merges);
    for (size_t n = 0; n < N; left++) /* the table of 4096 merges has 2^13 places */
        if (upg_splitmix64((uint64_t)(uint32_t)left << 32) >> (64 - 13) == 5)
            merges[n++] = (struct upg_merge){left, 0, 0};
    assert_fails(upg_pair_table_init(&table, "test", merges, N, &err), UPG_ERR_FORMAT, err,
                 "share a place");
    upg_pair_table_clear(&table);
    free(merges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_follows_the_definition),
        cmocka_unit_test(a_long_run_of_one_letter_is_merged_level_by_level),
        cmocka_unit_test(bytes_without_a_token_vanish_before_merging),
        cmocka_unit_test(pairs_that_collide_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
