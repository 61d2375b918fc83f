/* export_hf.c -- a model as a Hugging Face directory that transformers reads.
 *
 * Everything is written into DESTINATION.part, which gets its name at the end. */
#include "model/export.h"

#include "base/atomic_file.h"
#include "base/half.h"
#include "model/config.h"
#include "model/safetensors_writer.h"
#include "text/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t max_shard_bytes = 5000000000; /* what the Hub's own tools write */

struct folder {
    struct upg_export *e;
    char *path; /* DESTINATION.part, in the arena */
};

/* PATH/NAME in the arena; NULL when out of memory. */
static char *path_in(const struct folder *folder, const char *name)
{
    const size_t n = strlen(folder->path) + strlen(name) + 2;
    char *path = upg_arena_alloc(&folder->e->arena, n, 1);

    if (path)
        snprintf(path, n, "%s/%s", folder->path, name);
    return path;
}

/* ---- The folder ---- */

/* Remove the files in it: those of an export that was ended. */
static void empty_folder(const struct folder *folder)
{
    DIR *directory = opendir(folder->path);
    const struct dirent *entry;

    while (directory && (entry = readdir(directory)))
        unlinkat(dirfd(directory), entry->d_name, 0); /* refuses "." and ".." */
    if (directory)
        closedir(directory);
}

static upg_status begin_folder(struct folder *folder, upg_error *err)
{
    const char *destination = folder->e->destination;
    const size_t n = strlen(destination);
    size_t length = n;
    struct stat info;

    while (length > 1 && destination[length - 1] == '/')
        length--;
    folder->path = upg_arena_alloc(&folder->e->arena, n + sizeof ".part", 1);
    if (!folder->path)
        return upg_fail_memory(err, "a file name", n + sizeof ".part");
    snprintf(folder->path, n + sizeof ".part", "%.*s.part", (int)length, destination);
    if (lstat(destination, &info) == 0)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "%s: is there already; remove it or choose another name", destination);
    if (mkdir(folder->path, 0777) != 0 && errno != EEXIST)
        return upg_fail_errno(err, folder->path, "create the folder");
    empty_folder(folder);
    return UPG_OK;
}

static upg_status end_folder(const struct folder *folder, upg_status status, upg_error *err)
{
    if (status == UPG_OK && rename(folder->path, folder->e->destination) != 0)
        status = upg_fail_errno(err, folder->e->destination, "rename the finished folder to this");
    if (status != UPG_OK) {
        empty_folder(folder);
        rmdir(folder->path);
    }
    return status;
}

/* ---- Texts ---- */

static upg_status write_text(const struct folder *folder, const char *name, const char *text,
                             size_t n, upg_error *err)
{
    const char *path = path_in(folder, name);
    struct upg_atomic_file file;
    upg_status status = path ? upg_atomic_file_open(&file, path, err)
                             : upg_fail_memory(err, "a file name", strlen(name));

    if (status != UPG_OK)
        return status;
    status = upg_atomic_file_write(&file, text, n, err);
    if (status == UPG_OK)
        return upg_atomic_file_commit(&file, err);
    upg_atomic_file_discard(&file);
    return status;
}

/* Takes the document; NULL: it could not be made for want of memory. */
static upg_status write_json(const struct folder *folder, const char *name, json_t *json,
                             upg_error *err)
{
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    const upg_status status =
        text ? write_text(folder, name, text, strlen(text), err) : upg_fail_memory(err, name, 0);

    free(text);
    json_decref(json);
    return status;
}

static json_t *stop_ids_to_json(const upg_tokens *ids)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < ids->n; i++)
        if (json_array_append_new(list, json_integer(ids->ids[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* Without a word on padding, transformers takes 32000, which small vocabularies do not have. */
static upg_status write_configs(const struct folder *folder, upg_error *err)
{
    const struct upg_model *model = folder->e->model;
    struct upg_config config = model->config;
    json_t *json;
    upg_status status;

    config.interleaved_pairs = false;
    json = upg_config_to_json(&config, &model->stop_ids);
    if (json && (json_object_set_new(json, "bos_token_id", json_null()) != 0 ||
                 json_object_set_new(json, "pad_token_id", json_null()) != 0)) {
        json_decref(json);
        json = NULL;
    }
    status = write_json(folder, "config.json", json, err);
    if (status == UPG_OK && model->stop_ids.n > 0)
        status =
            write_json(folder, "generation_config.json",
                       json_pack("{s:o}", "eos_token_id", stop_ids_to_json(&model->stop_ids)), err);
    return status;
}

static upg_status write_tokenizer(const struct folder *folder, upg_error *err)
{
    const upg_tokenizer *tokenizer = folder->e->model->tokenizer;
    struct upg_buffer json = {0}, config = {0};
    upg_status status = UPG_OK;

    if (tokenizer)
        status = upg_tokenizer_to_json(tokenizer, &json, &config, err);
    if (status == UPG_OK && tokenizer)
        status = write_text(folder, "tokenizer.json", json.bytes, json.n, err);
    if (status == UPG_OK && tokenizer)
        status = write_text(folder, "tokenizer_config.json", config.bytes, config.n, err);
    upg_buffer_clear(&json);
    upg_buffer_clear(&config);
    return status;
}

/* ---- Weights ---- */

/* A norm is BF16 where that loses nothing. */
static bool fits_bf16(const struct upg_export_tensor *tensor)
{
    uint32_t lost = 0;

    for (size_t i = 0; i < tensor->n_cols; i++)
        lost |= upg_f32_to_bits(tensor->vector[i]) & 0xFFFFu;
    return lost == 0;
}

static struct upg_safetensor describe(const struct upg_export_tensor *tensor)
{
    const bool is_bf16 = !tensor->vector || fits_bf16(tensor);
    struct upg_safetensor described = {.name = tensor->name,
                                       .dtype = is_bf16 ? UPG_DTYPE_BF16 : UPG_DTYPE_F32,
                                       .n_dims = tensor->vector ? 1 : 2,
                                       .shape = {tensor->n_rows, tensor->n_cols}};

    if (tensor->vector)
        described.shape[0] = tensor->n_cols;
    described.n_bytes = tensor->n_rows * tensor->n_cols * upg_dtype_bytes(described.dtype);
    return described;
}

static upg_status into_safetensors(void *context, const void *bytes, size_t n, upg_error *err)
{
    return upg_safetensors_writer_write(context, bytes, n, err);
}

static upg_status write_vector(struct upg_export *e, const struct upg_export_tensor *tensor,
                               struct upg_safetensors_writer *writer, upg_error *err)
{
    if (!fits_bf16(tensor))
        return upg_safetensors_writer_write(writer, tensor->vector,
                                            tensor->n_cols * sizeof *tensor->vector, err);
    for (size_t i = 0; i < tensor->n_cols; i++)
        e->bits[i] = upg_f32_to_bf16(tensor->vector[i]);
    return upg_safetensors_writer_write(writer, e->bits, tensor->n_cols * sizeof *e->bits, err);
}

/* Tensors [begin, end) as one file. */
static upg_status write_shard(const struct folder *folder, const char *name, size_t begin,
                              size_t end, upg_error *err)
{
    struct upg_export *e = folder->e;
    struct upg_safetensor *tensors = upg_arena_alloc(&e->arena, end - begin, sizeof *tensors);
    const char *path = path_in(folder, name);
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    struct upg_safetensors_writer *writer = NULL;
    upg_status status = UPG_OK;

    if (!tensors || !path || !metadata)
        status = upg_fail_memory(err, name, (end - begin) * sizeof *tensors);
    for (size_t i = begin; i < end && status == UPG_OK; i++)
        tensors[i - begin] = describe(&e->tensors[i]);
    if (status == UPG_OK)
        status =
            upg_safetensors_writer_open(&writer, path, tensors, end - begin, metadata, 0, 1, err);
    for (size_t i = begin; i < end && status == UPG_OK; i++)
        status = e->tensors[i].vector
                     ? write_vector(e, &e->tensors[i], writer, err)
                     : upg_export_matrix(e, &e->tensors[i], into_safetensors, writer, err);
    if (status == UPG_OK)
        status = upg_safetensors_writer_commit(writer, metadata, NULL, err);
    else
        upg_safetensors_writer_discard(writer);
    json_decref(metadata);
    return status;
}

/* The first tensor behind the shard that begins with tensor `begin`; adds its bytes to *n_bytes. */
static size_t end_of_shard(const struct upg_export *e, size_t begin, uint64_t *n_bytes)
{
    uint64_t sum = 0;
    size_t end = begin;

    while (end < e->n_tensors) {
        const uint64_t more = describe(&e->tensors[end]).n_bytes;
        if (end > begin && sum + more > max_shard_bytes)
            break;
        sum += more;
        end++;
    }
    *n_bytes += sum;
    return end;
}

static upg_status write_weights(const struct folder *folder, upg_error *err)
{
    struct upg_export *e = folder->e;
    json_t *map = json_object();
    uint64_t n_bytes = 0;
    size_t n_shards = 0, shard = 0;
    upg_status status = map ? UPG_OK : upg_fail_memory(err, "an index", 0);

    for (size_t i = 0; i < e->n_tensors; n_shards++)
        i = end_of_shard(e, i, &n_bytes);
    n_bytes = 0;
    for (size_t begin = 0, end; begin < e->n_tensors && status == UPG_OK; begin = end) {
        char name[64] = "model.safetensors";
        end = end_of_shard(e, begin, &n_bytes);
        if (n_shards > 1)
            snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", ++shard, n_shards);
        for (size_t i = begin; i < end && status == UPG_OK; i++)
            if (json_object_set_new(map, e->tensors[i].name, json_string(name)) != 0)
                status = upg_fail_memory(err, "an index", 0);
        if (status == UPG_OK)
            status = write_shard(folder, name, begin, end, err);
    }
    if (status == UPG_OK && n_shards > 1)
        status = write_json(folder, "model.safetensors.index.json",
                            json_pack("{s:{s:I}, s:O}", "metadata", "total_size",
                                      (json_int_t)n_bytes, "weight_map", map),
                            err);
    json_decref(map);
    return status;
}

upg_status upg_export_hf(struct upg_export *e, upg_error *err)
{
    struct folder folder = {.e = e};
    upg_status status = begin_folder(&folder, err);

    if (status != UPG_OK)
        return status;
    status = write_configs(&folder, err);
    if (status == UPG_OK)
        status = write_tokenizer(&folder, err);
    if (status == UPG_OK)
        status = write_weights(&folder, err);
    return end_folder(&folder, status, err);
}
