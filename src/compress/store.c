/* store.c -- a slot's file: header, gains, then each part's numbers, row scales and codes,
 * checksum. */
#include "compress/store.h"

#include "base/atomic_file.h"
#include "base/file_map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

struct header {
    char magic[8];
    uint64_t fingerprint, slot, n_bytes; /* n_bytes: of the whole file */
    double damping;
};

static const char magic[8] = "upgslot";

static size_t file_name_bytes(const struct upg_store *store)
{
    return strlen(store->folder) + 32;
}

static char *file_name(const struct upg_store *store, size_t slot)
{
    char *name = malloc(file_name_bytes(store));

    if (name)
        snprintf(name, file_name_bytes(store), "%s/slot-%05zu", store->folder, slot);
    return name;
}

upg_status upg_store_open(struct upg_store *store, const char *path, uint64_t fingerprint,
                          upg_error *err)
{
    const size_t n = strlen(path) + sizeof ".work/finished.upg";

    store->fingerprint = fingerprint;
    store->folder = malloc(n);
    store->finished = malloc(n);
    if (!store->folder || !store->finished) {
        upg_store_close(store);
        return upg_fail_memory(err, "a folder's name", n);
    }
    snprintf(store->folder, n, "%s.work", path);
    snprintf(store->finished, n, "%s.work/finished.upg", path);
    if (mkdir(store->folder, 0777) != 0 && errno != EEXIST) {
        const upg_status status = upg_fail_errno(err, store->folder, "create the folder");
        upg_store_close(store);
        return status;
    }
    return UPG_OK;
}

void upg_store_close(struct upg_store *store)
{
    free(store->folder);
    free(store->finished);
    store->folder = store->finished = NULL;
}

/* Pieces of a slot's file in order; data points into the map. */
struct piece {
    void *data;
    size_t n;
};

enum { MAX_PIECES = 1 + 4 * UPG_MAX_CODED_PARTS };

static size_t list_pieces(const struct upg_coded_map *map, struct piece *pieces)
{
    struct upg_coded_map *m = (struct upg_coded_map *)(uintptr_t)map;
    size_t n = 0;

    pieces[n++] = (struct piece){m->gain, m->n_blocks * sizeof *m->gain};
    for (size_t i = 0; i < m->n_parts; i++) {
        struct upg_coded_part *part = &m->part[i];
        size_t n_bytes = 0;
        upg_coded_part_bytes(m, i, &n_bytes); /* allocated: no overflow */
        pieces[n++] = (struct piece){&part->nmse, sizeof part->nmse};
        pieces[n++] = (struct piece){&part->proxy_loss, sizeof part->proxy_loss};
        if (part->k == UPG_PLAIN_BITS)
            pieces[n++] = (struct piece){part->row_step, part->n_rows * sizeof *part->row_step};
        else
            pieces[n++] =
                (struct piece){part->row_scale, part->padded_rows * sizeof *part->row_scale};
        pieces[n++] = (struct piece){part->codes, n_bytes};
    }
    return n;
}

static struct header make_header(const struct upg_store *store, size_t slot,
                                 const struct upg_coded_map *map)
{
    struct header header = {.fingerprint = store->fingerprint, .slot = slot};
    struct piece pieces[MAX_PIECES];
    const size_t n = list_pieces(map, pieces);

    memcpy(header.magic, magic, sizeof magic);
    header.n_bytes = sizeof header + sizeof(uint64_t);
    for (size_t i = 0; i < n; i++)
        header.n_bytes += pieces[i].n;
    header.damping = map->damping;
    return header;
}

upg_status upg_store_save(const struct upg_store *store, size_t slot,
                          const struct upg_coded_map *map, upg_error *err)
{
    const struct header header = make_header(store, slot, map);
    struct upg_atomic_file file = {0};
    struct piece pieces[MAX_PIECES];
    const size_t n = list_pieces(map, pieces);
    char *name = file_name(store, slot);
    XXH3_state_t *hash = XXH3_createState();
    upg_status status;
    uint64_t digest;

    if (!name || !hash) {
        status = upg_fail_memory(err, "a checksum", 1024);
        goto done;
    }
    XXH3_64bits_reset(hash);
    XXH3_64bits_update(hash, &header, sizeof header);
    status = upg_atomic_file_open(&file, name, err);
    if (status == UPG_OK)
        status = upg_atomic_file_write(&file, &header, sizeof header, err);
    for (size_t i = 0; i < n && status == UPG_OK; i++) {
        XXH3_64bits_update(hash, pieces[i].data, pieces[i].n);
        status = upg_atomic_file_write(&file, pieces[i].data, pieces[i].n, err);
    }
    digest = XXH3_64bits_digest(hash);
    if (status == UPG_OK)
        status = upg_atomic_file_write(&file, &digest, sizeof digest, err);
    if (status == UPG_OK)
        status = upg_atomic_file_commit(&file, err);
    else
        upg_atomic_file_discard(&file);
done:
    XXH3_freeState(hash);
    free(name);
    return status;
}

/* Values from codes, row block by row block. */
static void decode_values(const struct upg_coded_map *map, struct upg_coded_part *part)
{
    const size_t n_groups = map->padded_cols / UPG_COL_GROUP;
    const size_t block_bytes = (size_t)(UPG_LANES * part->k);
    int8_t out[UPG_ROW_BLOCK][UPG_COL_GROUP];

    for (size_t row = 0; row < part->padded_rows; row += UPG_ROW_BLOCK)
        for (size_t group = 0; group < n_groups; group++) {
            const uint8_t *block =
                part->codes + (row / UPG_ROW_BLOCK * n_groups + group) * block_bytes;
            upg_decode_block(part->k, block, group ? block - block_bytes : NULL, out);
            for (size_t r = 0; r < UPG_ROW_BLOCK; r++)
                memcpy(part->values + (row + r) * map->padded_cols + group * UPG_COL_GROUP, out[r],
                       UPG_COL_GROUP);
        }
}

upg_status upg_store_load(const struct upg_store *store, size_t slot, struct upg_coded_map *map,
                          int *found, upg_error *err)
{
    const struct header expected = make_header(store, slot, map);
    struct upg_file_map file = {0};
    struct piece pieces[MAX_PIECES];
    const size_t n = list_pieces(map, pieces);
    char *name = file_name(store, slot);
    struct header header;
    const uint8_t *next;
    uint64_t digest;
    upg_status status;

    *found = 0;
    if (!name)
        return upg_fail_memory(err, "a file name", file_name_bytes(store));
    status = upg_file_map_open(&file, name, err);
    free(name);
    if (status != UPG_OK)
        return status == UPG_ERR_MEMORY ? status : UPG_OK; /* not there: a miss */
    if (file.n_bytes == expected.n_bytes) {
        memcpy(&header, file.bytes, sizeof header);
        memcpy(&digest, file.bytes + file.n_bytes - sizeof digest, sizeof digest);
        *found = memcmp(header.magic, magic, sizeof magic) == 0 &&
                 header.fingerprint == expected.fingerprint && header.slot == slot &&
                 digest == XXH3_64bits(file.bytes, file.n_bytes - sizeof digest);
    }
    if (*found) {
        map->damping = header.damping;
        next = file.bytes + sizeof header;
        for (size_t i = 0; i < n; next += pieces[i].n, i++)
            memcpy(pieces[i].data, next, pieces[i].n);
        for (size_t i = 0; i < map->n_parts; i++)
            if (map->part[i].k != UPG_PLAIN_BITS)
                decode_values(map, &map->part[i]);
    }
    upg_file_map_close(&file);
    return UPG_OK;
}

void upg_store_remove(const struct upg_store *store, size_t n_slots)
{
    for (size_t slot = 0; slot < n_slots; slot++) {
        char *name = file_name(store, slot);
        if (name)
            unlink(name);
        free(name);
    }
    rmdir(store->folder);
}
