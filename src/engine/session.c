/* session.c -- a sequence in a file: its tokens, and its full cache blocks.
 *
 * A partly filled last block is left out: at most UPG_KV_BLOCK - 1 tokens are computed again. */
#include "engine/cache_file.h"

#include <string.h>

static uint32_t first_parent(const upg_sequence *s)
{
    return s->rope == &s->engine->rope[1] ? UPG_CACHE_FIRST_LONG : UPG_CACHE_FIRST_SHORT;
}

upg_status upg_sequence_save(const upg_sequence *sequence, const char *path, upg_error *err)
{
    const struct upg_kv_list *list = &sequence->list;
    const size_t n_blocks = list->n_tokens / UPG_KV_BLOCK;
    struct upg_cache_writer writer = {.engine = NULL};
    upg_status status = upg_cache_writer_begin(&writer, path, sequence->engine, sequence->ids,
                                               sequence->n_tokens, n_blocks, err);

    for (size_t i = 0; status == UPG_OK && i < n_blocks; i++)
        status = upg_cache_writer_add(&writer, i > 0 ? (uint32_t)i - 1 : first_parent(sequence),
                                      sequence->ids + i * UPG_KV_BLOCK, list->blocks[i], err);
    if (status == UPG_OK)
        return upg_atomic_file_commit(&writer.file, err);
    upg_atomic_file_discard(&writer.file);
    return status;
}

static upg_status check_tokens(const struct upg_cache_file *file, const upg_engine *engine,
                               upg_error *err)
{
    const size_t n_vocab = engine->model->config.n_vocab;
    const uint64_t n_tokens = file->header.n_tokens;

    if (n_tokens > engine->context)
        return upg_fail(err, UPG_ERR_CONTEXT,
                        "%s: has %zu tokens, more than the context of %zu; use a larger one",
                        file->map.path, (size_t)n_tokens, engine->context);
    if (file->header.n_blocks > n_tokens / UPG_KV_BLOCK)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: has more blocks than its %zu tokens fill",
                        file->map.path, (size_t)n_tokens);
    for (size_t i = 0; i < n_tokens; i++)
        if (file->ids[i] < 0 || (size_t)file->ids[i] >= n_vocab)
            return upg_fail(err, UPG_ERR_FORMAT,
                            "%s: token %zu is id %d, the vocabulary has 0 .. %zu", file->map.path,
                            i, file->ids[i], n_vocab - 1);
    return UPG_OK;
}

/* The file's blocks become those of the sequence, which has its tokens already. */
static upg_status load_blocks(const struct upg_cache_file *file, upg_sequence *s, upg_error *err)
{
    struct upg_kv_cache *cache = &s->engine->cache;
    const size_t n_blocks = (size_t)file->header.n_blocks;
    upg_status status = upg_kv_cache_grow(cache, &s->list, n_blocks * UPG_KV_BLOCK, err);

    for (size_t i = 0; status == UPG_OK && i < n_blocks; i++) {
        struct upg_cache_record record;
        const uint8_t *block;

        if (!upg_cache_file_record(file, i, &record, &block) ||
            memcmp(record.ids, s->ids + i * UPG_KV_BLOCK, sizeof record.ids) != 0)
            return upg_fail(err, UPG_ERR_FORMAT, "%s: block %zu is damaged; delete the file",
                            file->map.path, i);
        if (i == 0 && record.parent == UPG_CACHE_FIRST_LONG)
            s->rope = &s->engine->rope[1];
        memcpy(upg_kv_block(cache, s->list.blocks[i]), block, cache->block_bytes);
    }
    return status;
}

upg_status upg_sequence_load(upg_sequence **sequence, upg_engine *engine, const char *path,
                             upg_error *err)
{
    struct upg_cache_file file;
    upg_sequence *s = NULL;
    upg_status status = upg_cache_file_open(&file, path, engine, err);

    if (status != UPG_OK)
        return status;
    status = check_tokens(&file, engine, err);
    if (status == UPG_OK)
        status = upg_sequence_new(&s, engine, err);
    if (status == UPG_OK) {
        for (size_t i = 0; i < file.header.n_tokens; i++)
            upg_sequence_push(s, file.ids[i]);
        status = load_blocks(&file, s, err);
    }
    upg_cache_file_close(&file);
    if (status != UPG_OK) {
        upg_sequence_free(s);
        return status;
    }
    upg_sequence_choose_rope(s);
    *sequence = s;
    return UPG_OK;
}
