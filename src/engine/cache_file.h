/* cache_file.h -- cache blocks in a file.
 *
 * In the byte order of the machine, which the magic number shows; nothing in it is trusted:
 *
 *     header     struct upg_cache_header, with a checksum of its other fields
 *     tokens     n_tokens int32, and their XXH3-64 with the fingerprint as seed
 *     n_blocks   struct upg_cache_record, then block_bytes of keys and values
 *
 * A record's checksum covers its tokens, its parent and its block, seeded with the fingerprint.
 * Parents stand in front of their children.  A file appears under its name when it is complete. */
#ifndef UPG_ENGINE_CACHE_FILE_H
#define UPG_ENGINE_CACHE_FILE_H

#include "base/atomic_file.h"
#include "base/file_map.h"
#include "engine/engine.h"

struct upg_cache_header {
    char magic[8];
    uint32_t version, reserved;
    uint64_t fingerprint;
    uint64_t block_bytes, n_tokens, n_blocks;
    uint64_t checksum; /* of the fields in front */
};

/* Parents that are no blocks: what stands in front of a first one, by its set of rotary factors. */
#define UPG_CACHE_FIRST_SHORT (UINT32_MAX - 1)
#define UPG_CACHE_FIRST_LONG (UINT32_MAX - 2)

struct upg_cache_record {
    uint64_t checksum;
    uint32_t parent; /* a record in front, or one of the two above */
    uint32_t reserved;
    int32_t ids[UPG_KV_BLOCK];
};

/* A file in the making.  Start from {0}. */
struct upg_cache_writer {
    struct upg_atomic_file file; /* commit or discard it at the end */
    const upg_engine *engine;    /* borrowed */
    uint64_t fingerprint;
};

/* Begin a file with these tokens; n_blocks blocks must be added, then the file committed.
 * UPG_ERR_UNSUPPORTED if the cache is not in this machine's memory; as upg_atomic_file_open(). */
upg_status upg_cache_writer_begin(struct upg_cache_writer *writer, const char *path,
                                  const upg_engine *engine, const int32_t *ids, size_t n_tokens,
                                  size_t n_blocks, upg_error *err);
upg_status upg_cache_writer_add(struct upg_cache_writer *writer, uint32_t parent,
                                const int32_t *ids, uint32_t block, upg_error *err);

/* A file that was opened and whose header, tokens and length are good. */
struct upg_cache_file {
    struct upg_file_map map;
    struct upg_cache_header header;
    const int32_t *ids; /* [header.n_tokens] */
};

/* UPG_ERR_IO; UPG_ERR_FORMAT if it is damaged; UPG_ERR_ARGUMENT if it belongs to another model or
 * engine. */
upg_status upg_cache_file_open(struct upg_cache_file *file, const char *path,
                               const upg_engine *engine, upg_error *err);
void upg_cache_file_close(struct upg_cache_file *file);

/* Record i < header.n_blocks and its block; false if it is damaged. */
bool upg_cache_file_record(const struct upg_cache_file *file, size_t i,
                           struct upg_cache_record *record, const uint8_t **block);

#endif
