/* convert.c -- writing an opened model as a .upg file, with the types that it has. */
#include "model/slots.h"
#include "model/upg_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum { HASH_CHUNK = 16 << 20 }; /* bytes between two calls of progress */

static upg_status report(const upg_model_options *options, const char *stage, uint64_t done,
                         uint64_t total, const char *path, upg_error *err)
{
    if (options && options->progress &&
        options->progress(options->progress_context, stage, done, total) != 0)
        return upg_fail(err, UPG_ERR_CANCELLED, "%s: cancelled", path);
    return UPG_OK;
}

upg_status upg_model_write(const struct upg_model *model, const char *path,
                           const json_t *provenance, const json_t *quality,
                           const upg_model_options *options, upg_error *err)
{
    const size_t n_slots = upg_n_slots(&model->config);
    size_t reserve = provenance || quality ? 128 : 0; /* the keys and the version */
    struct upg_writer *writer;
    upg_status status;

    /* Quotes within the metadata's strings are escaped, so a text may become twice as long. */
    reserve += 2 * (json_dumpb(provenance, NULL, 0, JSON_COMPACT) +
                    json_dumpb(quality, NULL, 0, JSON_COMPACT));
    status = upg_writer_open(&writer, path, model, reserve, err);
    if (status != UPG_OK)
        return status;
    for (size_t i = 0; i < n_slots && status == UPG_OK; i++) {
        const struct upg_slot slot = upg_slot_of(model, i);
        status = report(options, "write tensors", i, n_slots, path, err);
        for (size_t p = 0; p < upg_slot_n_parts(&slot) && status == UPG_OK; p++)
            status = upg_writer_matrix(writer, &slot.parts[p], err);
    }
    if (status == UPG_OK)
        return upg_writer_commit(writer, provenance, quality, err);
    upg_writer_discard(writer);
    return status;
}

static upg_status hash_map(const struct upg_file_map *map, XXH3_state_t *state,
                           const upg_model_options *options, uint64_t *hash, upg_error *err)
{
    upg_status status = UPG_OK;

    XXH3_64bits_reset(state);
    for (size_t i = 0; i < map->n_bytes && status == UPG_OK; i += HASH_CHUNK) {
        const size_t n = map->n_bytes - i < HASH_CHUNK ? map->n_bytes - i : HASH_CHUNK;
        XXH3_64bits_update(state, map->bytes + i, n);
        status = report(options, "hash source files", i + n, map->n_bytes, map->path, err);
    }
    *hash = XXH3_64bits_digest(state);
    return status;
}

upg_status upg_model_sources(const struct upg_model *model, json_t **sources,
                             const upg_model_options *options, upg_error *err)
{
    json_t *list = json_array();
    XXH3_state_t *state = XXH3_createState();
    upg_status status = list && state ? UPG_OK : upg_fail_memory(err, "source hashes", 0);

    for (size_t i = 0; i < model->n_maps && status == UPG_OK; i++) {
        const struct upg_file_map *map = &model->maps[i];
        const char *slash = strrchr(map->path, '/');
        char digits[20];
        uint64_t hash;
        status = hash_map(map, state, options, &hash, err);
        snprintf(digits, sizeof digits, "%016" PRIx64, hash);
        if (status == UPG_OK &&
            json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "file",
                                                  slash ? slash + 1 : map->path, "bytes",
                                                  (json_int_t)map->n_bytes, "xxh3", digits)) != 0)
            status = upg_fail_memory(err, "source hashes", 0);
    }
    XXH3_freeState(state);
    if (status == UPG_OK)
        *sources = list;
    else
        json_decref(list);
    return status;
}
