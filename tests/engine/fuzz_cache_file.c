/* Fuzz target: a file of cache blocks, as a session and as a prefix cache.
 *
 * Checksums would stop nearly every input at once, so they are made right here, but for records
 * whose `reserved` is odd. */
#include "engine/fingerprint.h"
#include "engine/prefix_cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

enum {
    HEADER_BYTES = sizeof(struct upg_cache_header),
    RECORD_BYTES = sizeof(struct upg_cache_record)
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct upg_model model = {
    .config = {.n_vocab = 50, .d_model = 16}, .embedding = {.data = "", .n_bytes = 0}, .path = ""};

/* An engine with a small cache and nothing to compute with. */
static bool open_engine(upg_engine *engine)
{
    *engine = (upg_engine){.model = &model, .context = 200};
    engine->cache.type = UPG_KV_F16;
    return upg_kv_cache_init(&engine->cache, UPG_KV_F16, 1, 1, 16, 160, &engine->arena, NULL) ==
           UPG_OK;
}

static void repair_records(uint8_t *at, size_t size, size_t block_bytes, uint64_t fingerprint)
{
    for (; size >= RECORD_BYTES + block_bytes; at += RECORD_BYTES + block_bytes) {
        struct upg_cache_record record;
        const size_t skip = offsetof(struct upg_cache_record, parent);

        memcpy(&record, at, sizeof record);
        if (record.reserved % 2 == 0)
            record.checksum = XXH3_64bits_withSeed(
                at + RECORD_BYTES, block_bytes,
                XXH3_64bits_withSeed(at + skip, RECORD_BYTES - skip, fingerprint));
        memcpy(at, &record, sizeof record);
        size -= RECORD_BYTES + block_bytes;
    }
}

static void repair(uint8_t *bytes, size_t size, const upg_engine *engine)
{
    struct upg_cache_header header;
    size_t ids_bytes;
    uint64_t checksum;

    if (size < HEADER_BYTES)
        return;
    memcpy(&header, bytes, sizeof header);
    memcpy(header.magic, "UPGCACHE", 8);
    header.version = 1;
    header.fingerprint = upg_engine_fingerprint(engine);
    header.block_bytes = engine->cache.block_bytes;
    header.checksum = XXH3_64bits(&header, offsetof(struct upg_cache_header, checksum));
    memcpy(bytes, &header, sizeof header);
    if (header.n_tokens > (size - HEADER_BYTES) / sizeof(int32_t))
        return;
    ids_bytes = (size_t)header.n_tokens * sizeof(int32_t);
    if (size - HEADER_BYTES - ids_bytes < sizeof checksum)
        return;
    checksum = XXH3_64bits_withSeed(bytes + HEADER_BYTES, ids_bytes, header.fingerprint);
    memcpy(bytes + HEADER_BYTES + ids_bytes, &checksum, sizeof checksum);
    repair_records(bytes + HEADER_BYTES + ids_bytes + sizeof checksum,
                   size - HEADER_BYTES - ids_bytes - sizeof checksum, engine->cache.block_bytes,
                   header.fingerprint);
}

/* Whatever was taken in, the allocator's books are right. */
static void check(bool good)
{
    if (!good)
        abort();
}

static void load(upg_engine *engine, const char *path)
{
    struct upg_prefix_cache prefix;
    upg_sequence *sequence = NULL;
    upg_error err;

    if (upg_sequence_load(&sequence, engine, path, &err) == UPG_OK) {
        const struct upg_kv_list *list = &sequence->list;

        check(upg_kv_blocks_check(&engine->cache.blocks, &list, 1));
        upg_sequence_free(sequence);
    }
    check(upg_kv_blocks_check(&engine->cache.blocks, NULL, 0));
    if (upg_prefix_cache_init(&prefix, &engine->cache.blocks, &engine->arena, &err) == UPG_OK)
        upg_prefix_cache_load(&prefix, engine, path, &err);
    check(upg_kv_blocks_check(&engine->cache.blocks, NULL, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    const int file = memfd_create("input", 0);
    upg_engine engine;
    char path[64];

    if (open_engine(&engine) && bytes && file >= 0) {
        if (size)
            memcpy(bytes, data, size);
        repair(bytes, size, &engine);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
        if (write(file, bytes, size) == (ssize_t)size)
            load(&engine, path);
    }
    upg_arena_clear(&engine.arena);
    if (file >= 0)
        close(file);
    free(bytes);
    return 0;
}
