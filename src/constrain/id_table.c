/* id_table.c -- open addressing with linear probing. */
#include "constrain/id_table.h"

#include "base/random.h"

#include <stdlib.h>
#include <string.h>

uint32_t upg_id_table_next(const struct upg_id_table *table, uint32_t hash, size_t *cursor)
{
    const size_t mask = ((size_t)1 << table->log2_slots) - 1;
    size_t at;

    if (!table->slots)
        return UPG_NO_ID;
    at = *cursor == SIZE_MAX ? hash & mask : (*cursor + 1) & mask;
    while (table->slots[at].id != UPG_NO_ID && table->slots[at].hash != hash)
        at = (at + 1) & mask;
    *cursor = at;
    return table->slots[at].id;
}

static void place(struct upg_id_table *table, uint32_t hash, uint32_t id)
{
    const size_t mask = ((size_t)1 << table->log2_slots) - 1;
    size_t at = hash & mask;

    while (table->slots[at].id != UPG_NO_ID)
        at = (at + 1) & mask;
    table->slots[at] = (struct upg_id_slot){.hash = hash, .id = id};
}

static bool enlarge(struct upg_id_table *table)
{
    const size_t n_old = table->slots ? (size_t)1 << table->log2_slots : 0;
    struct upg_id_table larger = {.n = table->n, .log2_slots = n_old ? table->log2_slots + 1 : 6};
    const size_t n_bytes = ((size_t)1 << larger.log2_slots) * sizeof *larger.slots;

    if (larger.log2_slots > 30)
        return false;
    larger.slots = malloc(n_bytes);
    if (!larger.slots)
        return false;
    memset(larger.slots, 0xFF, n_bytes); /* all free */
    for (size_t i = 0; i < n_old; i++)
        if (table->slots[i].id != UPG_NO_ID)
            place(&larger, table->slots[i].hash, table->slots[i].id);
    free(table->slots);
    *table = larger;
    return true;
}

bool upg_id_table_add(struct upg_id_table *table, uint32_t hash, uint32_t id)
{
    if (!table->slots || 2 * (table->n + 1) > (size_t)1 << table->log2_slots)
        if (!enlarge(table))
            return false;
    place(table, hash, id);
    table->n++;
    return true;
}

bool upg_id_table_copy(struct upg_id_table *copy, const struct upg_id_table *table)
{
    const size_t n_bytes = ((size_t)1 << table->log2_slots) * sizeof *table->slots;
    struct upg_id_slot *slots = NULL;

    if (table->slots) {
        slots = malloc(n_bytes);
        if (!slots)
            return false;
        memcpy(slots, table->slots, n_bytes);
    }
    *copy = (struct upg_id_table){.slots = slots, .n = table->n, .log2_slots = table->log2_slots};
    return true;
}

void upg_id_table_clear(struct upg_id_table *table)
{
    free(table->slots);
    *table = (struct upg_id_table){0};
}

uint32_t upg_id_hash(const uint32_t *words, size_t n)
{
    uint64_t h = n;

    for (size_t i = 0; i < n; i++)
        h = upg_splitmix64(h ^ words[i]);
    return (uint32_t)(h >> 32);
}
