/* merge.h -- byte-pair encoding of one pre-token.
 *
 * Sennrich et al. 2016, section 3.2, on bytes: of all adjacent pairs that have a merge, the one of
 * the lowest rank is merged (the leftmost of equals), until there is none. */
#ifndef UPG_TEXT_MERGE_H
#define UPG_TEXT_MERGE_H

#include "base/error.h"

#include <stdbool.h>

/* left and right become result.  The rank of a merge is its index in the list. */
struct upg_merge {
    int32_t left, right, result; /* token ids */
};

struct upg_pair {
    int32_t left, right;
    uint32_t rank; /* UPG_NO_RANK: the slot is free */
};

#define UPG_NO_RANK UINT32_MAX

/* Ranks by pair: a hash table with open addressing, immutable once built. */
struct upg_pair_table {
    const struct upg_merge *merges; /* [n] borrowed */
    struct upg_pair *slots;         /* [1 << log2_slots] owned */
    unsigned log2_slots;
};

/* A pair that is listed twice keeps its first rank.  UPG_ERR_MEMORY; UPG_ERR_FORMAT for pairs that
 * were chosen to collide, which would make looking up slow. */
upg_status upg_pair_table_init(struct upg_pair_table *table, const char *where,
                               const struct upg_merge *merges, size_t n, upg_error *err);
void upg_pair_table_clear(struct upg_pair_table *table);

enum { UPG_MERGE_LEVELS = 8 }; /* of the tree over 2^31 positions, 16 to 1 */

/* Memory for merging, reused from pre-token to pre-token.  Start from {0}. */
struct upg_merge_scratch {
    int32_t *ids;                      /* [capacity] token that begins at this position */
    uint32_t *next, *previous;         /* [capacity] neighbouring tokens */
    uint32_t *level[UPG_MERGE_LEVELS]; /* tournament tree of ranks, see merge.c */
    size_t capacity;                   /* positions, a power of two */
};

void upg_merge_scratch_clear(struct upg_merge_scratch *scratch);

/* Append the ids of bytes[n_bytes], n_bytes <= 2^31, as one pre-token.  O(n log n) time.
 *   byte_ids  [256] the token of each byte; bytes of -1 are left out before anything is merged */
upg_status upg_merge_bytes(const struct upg_pair_table *table, const int32_t byte_ids[256],
                           const char *bytes, size_t n_bytes, struct upg_merge_scratch *scratch,
                           upg_tokens *tokens, upg_error *err);

#endif
