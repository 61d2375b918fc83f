/* id_table.h -- from hashes to the ids of things that are kept once.
 *
 * Nodes, units, cells and sets are numbered in the order in which they are made, and equal ones are
 * the same number.  The owner of the things compares them; the table only knows hashes. */
#ifndef UPG_CONSTRAIN_ID_TABLE_H
#define UPG_CONSTRAIN_ID_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UPG_NO_ID UINT32_MAX

struct upg_id_slot {
    uint32_t hash, id; /* id UPG_NO_ID: free */
};

/* Start from {0}. */
struct upg_id_table {
    struct upg_id_slot *slots; /* [1 << log2_slots] owned, at most half of them in use */
    size_t n;
    unsigned log2_slots;
};

/* The first id with this hash, or the next one after a call that gave one; UPG_NO_ID at the end.
 * *cursor begins as SIZE_MAX. */
uint32_t upg_id_table_next(const struct upg_id_table *table, uint32_t hash, size_t *cursor);

/* false when out of memory. */
bool upg_id_table_add(struct upg_id_table *table, uint32_t hash, uint32_t id);

/* false when out of memory; *copy is then as it was. */
bool upg_id_table_copy(struct upg_id_table *copy, const struct upg_id_table *table);
void upg_id_table_clear(struct upg_id_table *table);

/* A hash of n words. */
uint32_t upg_id_hash(const uint32_t *words, size_t n);

#endif
