/* cache_file.c -- see cache_file.h. */
#include "engine/cache_file.h"

#include "base/size.h"
#include "engine/fingerprint.h"

#include <string.h>
#include <xxhash.h>

enum { VERSION = 1 };

static const char magic[8] = {'U', 'P', 'G', 'C', 'A', 'C', 'H', 'E'};

static uint64_t header_checksum(const struct upg_cache_header *header)
{
    return XXH3_64bits(header, offsetof(struct upg_cache_header, checksum));
}

static uint64_t record_checksum(const struct upg_cache_record *record, const uint8_t *block,
                                size_t block_bytes, uint64_t fingerprint)
{
    const size_t skip = offsetof(struct upg_cache_record, parent);
    const uint64_t head =
        XXH3_64bits_withSeed((const char *)record + skip, sizeof *record - skip, fingerprint);

    return XXH3_64bits_withSeed(block, block_bytes, head);
}

upg_status upg_cache_writer_begin(struct upg_cache_writer *writer, const char *path,
                                  const upg_engine *engine, const int32_t *ids, size_t n_tokens,
                                  size_t n_blocks, upg_error *err)
{
    struct upg_cache_header header = {.version = VERSION,
                                      .fingerprint = upg_engine_fingerprint(engine),
                                      .block_bytes = engine->cache.block_bytes,
                                      .n_tokens = n_tokens,
                                      .n_blocks = n_blocks};
    const size_t ids_bytes = n_tokens * sizeof *ids;
    const uint64_t ids_checksum = XXH3_64bits_withSeed(ids, ids_bytes, header.fingerprint);
    upg_status status;

    if (engine->gpu)
        return upg_fail(err, UPG_ERR_UNSUPPORTED, "%s: a cache on a GPU cannot be saved", path);
    writer->engine = engine;
    writer->fingerprint = header.fingerprint;
    memcpy(header.magic, magic, sizeof magic);
    header.checksum = header_checksum(&header);
    status = upg_atomic_file_open(&writer->file, path, err);
    if (status == UPG_OK)
        status = upg_atomic_file_write(&writer->file, &header, sizeof header, err);
    if (status == UPG_OK)
        status = upg_atomic_file_write(&writer->file, ids, ids_bytes, err);
    if (status == UPG_OK)
        status = upg_atomic_file_write(&writer->file, &ids_checksum, sizeof ids_checksum, err);
    return status;
}

upg_status upg_cache_writer_add(struct upg_cache_writer *writer, uint32_t parent,
                                const int32_t *ids, uint32_t block, upg_error *err)
{
    const struct upg_kv_cache *cache = &writer->engine->cache;
    const uint8_t *bytes = upg_kv_block(cache, block);
    struct upg_cache_record record = {.parent = parent};
    upg_status status;

    memcpy(record.ids, ids, sizeof record.ids);
    record.checksum = record_checksum(&record, bytes, cache->block_bytes, writer->fingerprint);
    status = upg_atomic_file_write(&writer->file, &record, sizeof record, err);
    if (status == UPG_OK)
        status = upg_atomic_file_write(&writer->file, bytes, cache->block_bytes, err);
    return status;
}

static upg_status damaged(const struct upg_cache_file *file, const char *what, upg_error *err)
{
    return upg_fail(err, UPG_ERR_FORMAT, "%s: %s; delete it", file->map.path, what);
}

/* The header's numbers against the file's length; places the tokens. */
static upg_status check_length(struct upg_cache_file *file, upg_error *err)
{
    const struct upg_cache_header *h = &file->header;
    size_t ids_bytes, record_bytes, n_bytes;
    uint64_t expected;

    if (!size_mul((size_t)h->n_tokens, sizeof *file->ids, &ids_bytes) ||
        !size_add(sizeof *h + sizeof expected, ids_bytes, &n_bytes) ||
        !size_add((size_t)h->block_bytes, sizeof(struct upg_cache_record), &record_bytes) ||
        !size_mul(record_bytes, (size_t)h->n_blocks, &record_bytes) ||
        !size_add(n_bytes, record_bytes, &n_bytes) || n_bytes != file->map.n_bytes)
        return damaged(file, "is not as long as it says", err);
    file->ids = (const int32_t *)(const void *)(file->map.bytes + sizeof *h);
    memcpy(&expected, file->map.bytes + sizeof *h + ids_bytes, sizeof expected);
    if (XXH3_64bits_withSeed(file->ids, ids_bytes, h->fingerprint) != expected)
        return damaged(file, "its tokens are damaged", err);
    return UPG_OK;
}

static upg_status check_header(struct upg_cache_file *file, const upg_engine *engine,
                               upg_error *err)
{
    const struct upg_cache_header *h = &file->header;

    if (file->map.n_bytes < sizeof *h || memcmp(file->map.bytes, magic, sizeof magic) != 0)
        return damaged(file, "is no saved cache", err);
    memcpy(&file->header, file->map.bytes, sizeof *h);
    if (h->checksum != header_checksum(h))
        return damaged(file, "its header is damaged", err);
    if (h->version != VERSION)
        return upg_fail(err, UPG_ERR_UNSUPPORTED, "%s: is of version %u, this program knows %d",
                        file->map.path, h->version, VERSION);
    if (h->fingerprint != upg_engine_fingerprint(engine) ||
        h->block_bytes != engine->cache.block_bytes)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "%s: was saved with another model, cache type or processor",
                        file->map.path);
    return check_length(file, err);
}

upg_status upg_cache_file_open(struct upg_cache_file *file, const char *path,
                               const upg_engine *engine, upg_error *err)
{
    upg_status status;

    *file = (struct upg_cache_file){.ids = NULL};
    if (engine->gpu)
        return upg_fail(err, UPG_ERR_UNSUPPORTED, "%s: a cache on a GPU cannot be loaded", path);
    status = upg_file_map_open(&file->map, path, err);
    if (status == UPG_OK) {
        status = check_header(file, engine, err);
        if (status != UPG_OK)
            upg_cache_file_close(file);
    }
    return status;
}

void upg_cache_file_close(struct upg_cache_file *file)
{
    upg_file_map_close(&file->map);
}

bool upg_cache_file_record(const struct upg_cache_file *file, size_t i,
                           struct upg_cache_record *record, const uint8_t **block)
{
    const size_t block_bytes = (size_t)file->header.block_bytes;
    const size_t ids_bytes = (size_t)file->header.n_tokens * sizeof *file->ids;
    const uint8_t *at = file->map.bytes + sizeof file->header + ids_bytes + sizeof(uint64_t) +
                        i * (sizeof *record + block_bytes);

    memcpy(record, at, sizeof *record);
    *block = at + sizeof *record;
    return record->checksum ==
           record_checksum(record, *block, block_bytes, file->header.fingerprint);
}
