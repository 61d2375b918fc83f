/* merge.c -- byte-pair encoding with a tournament tree.
 *
 * The tokens of a pre-token form a linked list over byte positions.  ranks[i], the rank of the pair
 * that begins at position i, is level 0 of a tree; level l+1 holds the least of each 16 entries of
 * level l.  The least rank of all is found by going down from the root, leftmost first, and a
 * change of one rank goes up as far as it alters anything.  A merge changes three ranks, so all of
 * it is O(n log n) for any input, and most words are one row of 16 ranks. */
#include "text/merge.h"

#include "base/random.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>

enum { FAN = 16, MAX_PROBES = 512 }; /* random keys in a half full table: runs under 60 */

static size_t slot_of(const struct upg_pair_table *table, int32_t left, int32_t right)
{
    const uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;

    return (size_t)(upg_splitmix64(key) >> (64 - table->log2_slots));
}

static uint32_t find_rank(const struct upg_pair_table *table, int32_t left, int32_t right)
{
    const size_t mask = ((size_t)1 << table->log2_slots) - 1;

    for (size_t i = slot_of(table, left, right);; i = (i + 1) & mask) {
        const struct upg_pair *pair = &table->slots[i];
        if (pair->rank == UPG_NO_RANK || (pair->left == left && pair->right == right))
            return pair->rank;
    }
}

upg_status upg_pair_table_init(struct upg_pair_table *table, const char *where,
                               const struct upg_merge *merges, size_t n, upg_error *err)
{
    size_t n_bytes, mask;

    table->merges = merges;
    table->log2_slots = 4;
    while (((size_t)1 << table->log2_slots) / 2 < n)
        table->log2_slots++;
    mask = ((size_t)1 << table->log2_slots) - 1;
    if (!size_mul(mask + 1, sizeof *table->slots, &n_bytes) || !(table->slots = malloc(n_bytes)))
        return upg_fail_memory(err, "the table of merges", n);
    memset(table->slots, 0xFF, n_bytes); /* UPG_NO_RANK everywhere */

    for (size_t rank = 0; rank < n; rank++) {
        const struct upg_merge *merge = &merges[rank];
        size_t i = slot_of(table, merge->left, merge->right), n_probes = 0;
        struct upg_pair *pair = &table->slots[i];

        while (pair->rank != UPG_NO_RANK &&
               (pair->left != merge->left || pair->right != merge->right)) {
            i = (i + 1) & mask;
            pair = &table->slots[i];
            if (++n_probes > MAX_PROBES)
                return upg_fail(err, UPG_ERR_FORMAT,
                                "%s: merges: more than %d pairs share a place in the table; no "
                                "training gives such a list",
                                where, MAX_PROBES);
        }
        if (pair->rank == UPG_NO_RANK)
            *pair = (struct upg_pair){merge->left, merge->right, (uint32_t)rank};
    }
    return UPG_OK;
}

void upg_pair_table_clear(struct upg_pair_table *table)
{
    free(table->slots);
    table->slots = NULL;
}

void upg_merge_scratch_clear(struct upg_merge_scratch *scratch)
{
    free(scratch->ids);
    memset(scratch, 0, sizeof *scratch);
}

/* Entries of the level above `n` entries; every level is a whole number of rows. */
static size_t level_above(size_t n)
{
    return (n / FAN + FAN - 1) / FAN * FAN;
}

/* One block of memory: ids, next, previous, and the levels of the tree. */
static upg_status reserve(struct upg_merge_scratch *scratch, size_t n, upg_error *err)
{
    size_t capacity = 16 * FAN, n_tree = FAN, n_bytes;
    uint32_t *tree;

    if (n <= scratch->capacity)
        return UPG_OK;
    while (capacity < n)
        capacity *= 2;
    upg_merge_scratch_clear(scratch);
    for (size_t level = capacity; level > FAN; level = level_above(level))
        n_tree += level;
    if (!size_mul(3 * capacity + n_tree, sizeof(uint32_t), &n_bytes) ||
        !(scratch->ids = malloc(n_bytes)))
        return upg_fail_memory(err, "a long word", n);
    scratch->capacity = capacity;
    scratch->next = (uint32_t *)scratch->ids + capacity;
    scratch->previous = scratch->next + capacity;
    tree = scratch->previous + capacity;
    for (size_t i = 0, level = capacity;; level = level_above(level)) {
        scratch->level[i++] = tree;
        if (level <= FAN)
            break;
        tree += level;
    }
    return UPG_OK;
}

static uint32_t least_of_16(const uint32_t *row)
{
    uint32_t least = row[0];

    for (size_t i = 1; i < FAN; i++)
        least = row[i] < least ? row[i] : least;
    return least;
}

static size_t first_of_16(const uint32_t *row, uint32_t value)
{
    size_t i = 0;

    while (row[i] != value)
        i++;
    return i;
}

/* List the tokens of bytes[n], those without one left out; returns their number. */
static size_t init_list(const int32_t byte_ids[256], const char *bytes, size_t n,
                        struct upg_merge_scratch *scratch)
{
    size_t n_ids = 0;

    for (size_t i = 0; i < n; i++) {
        const int32_t id = byte_ids[(unsigned char)bytes[i]];
        if (id < 0)
            continue;
        scratch->ids[n_ids] = id;
        scratch->next[n_ids] = (uint32_t)n_ids + 1;
        scratch->previous[n_ids] = (uint32_t)n_ids - 1; /* of the first: UINT32_MAX */
        n_ids++;
    }
    return n_ids;
}

/* Build the tree for a list of n tokens, n >= 1; returns the number of levels in use. */
static size_t init_tree(const struct upg_pair_table *table, size_t n,
                        struct upg_merge_scratch *scratch)
{
    size_t n_levels = 1, n_rows;
    uint32_t *ranks = scratch->level[0];

    for (size_t i = 0; i + 1 < n; i++)
        ranks[i] = find_rank(table, scratch->ids[i], scratch->ids[i + 1]);
    for (size_t i = n - 1; i == n - 1 || i % FAN != 0; i++)
        ranks[i] = UPG_NO_RANK;

    for (n_rows = (n + FAN - 1) / FAN; n_rows > 1; n_rows = (n_rows + FAN - 1) / FAN) {
        uint32_t *level = scratch->level[n_levels];
        for (size_t i = 0; i < n_rows; i++)
            level[i] = least_of_16(scratch->level[n_levels - 1] + FAN * i);
        for (size_t i = n_rows; i % FAN != 0; i++)
            level[i] = UPG_NO_RANK;
        n_levels++;
    }
    return n_levels;
}

/* Bring the tree up to date with the ranks of the row of position i. */
static void refresh(struct upg_merge_scratch *scratch, size_t n_levels, size_t i)
{
    for (size_t l = 1; l < n_levels; l++) {
        const uint32_t least = least_of_16(scratch->level[l - 1] + i / FAN * FAN);
        i /= FAN;
        if (scratch->level[l][i] == least)
            return;
        scratch->level[l][i] = least;
    }
}

/* Position of the leftmost pair of the least rank; *rank is UPG_NO_RANK if there is none left. */
static size_t find_least(const struct upg_merge_scratch *scratch, size_t n_levels, uint32_t *rank)
{
    const uint32_t least = least_of_16(scratch->level[n_levels - 1]);
    size_t i = 0;

    *rank = least;
    for (size_t l = n_levels; l-- > 0;)
        i = FAN * i + first_of_16(scratch->level[l] + FAN * i, least);
    return i;
}

/* Join the token at `left` with its right neighbour; n tokens were listed at first.  The three ranks
 * that change mostly lie in one row. */
static void apply(const struct upg_pair_table *table, struct upg_merge_scratch *scratch,
                  size_t n_levels, size_t n, uint32_t left, uint32_t rank)
{
    const uint32_t right = scratch->next[left], after = scratch->next[right];
    const uint32_t before = scratch->previous[left];
    const int32_t id = table->merges[rank].result;
    uint32_t *ranks = scratch->level[0];

    scratch->ids[left] = id;
    scratch->next[left] = after;
    ranks[right] = UPG_NO_RANK;
    ranks[left] = after < n ? find_rank(table, id, scratch->ids[after]) : UPG_NO_RANK;
    if (after < n)
        scratch->previous[after] = left;
    if (before != UINT32_MAX)
        ranks[before] = find_rank(table, scratch->ids[before], id);
    refresh(scratch, n_levels, left);
    if (right / FAN != left / FAN)
        refresh(scratch, n_levels, right);
    if (before != UINT32_MAX && before / FAN != left / FAN)
        refresh(scratch, n_levels, before);
}

upg_status upg_merge_bytes(const struct upg_pair_table *table, const int32_t byte_ids[256],
                           const char *bytes, size_t n_bytes, struct upg_merge_scratch *scratch,
                           upg_tokens *tokens, upg_error *err)
{
    upg_status status = reserve(scratch, n_bytes, err);
    size_t n, n_levels, left, n_ids;
    uint32_t rank;

    if (status != UPG_OK)
        return status;
    n = init_list(byte_ids, bytes, n_bytes, scratch);
    if (n == 0)
        return UPG_OK;
    n_levels = init_tree(table, n, scratch);
    n_ids = n;
    for (left = find_least(scratch, n_levels, &rank); rank != UPG_NO_RANK;
         left = find_least(scratch, n_levels, &rank)) {
        apply(table, scratch, n_levels, n, (uint32_t)left, rank);
        n_ids--;
    }
    for (size_t from = 0, to = 0; to < n_ids; from = scratch->next[from])
        scratch->ids[to++] = scratch->ids[from]; /* to <= from: nothing unread is overwritten */
    return upg_tokens_append(tokens, scratch->ids, n_ids, err);
}
