/* hf_files.c -- finding and mapping the files of a Hugging Face directory. */
#include "model/hf_files.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SHARDS = 4096 };
#define MAX_INDEX_BYTES ((size_t)16 << 20)

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";

/* directory/name in the arena; NULL when out of memory. */
static char *join(struct upg_hf_files *files, const char *name)
{
    const size_t n = strlen(files->path) + strlen(name) + 2;
    char *path = upg_arena_alloc(&files->model->arena, n, 1);

    if (path)
        snprintf(path, n, "%s/%s", files->path, name);
    return path;
}

upg_status upg_hf_read_json(struct upg_hf_files *files, const char *name, bool optional,
                            size_t max_bytes, json_t **json, upg_error *err)
{
    struct upg_file_map map = {0};
    const char *path = join(files, name);
    upg_status status;

    if (!path)
        return upg_fail_memory(err, "a file name", strlen(name));
    if (access(path, F_OK) != 0)
        return optional
                   ? UPG_OK
                   : upg_fail(err, UPG_ERR_FORMAT,
                              "%s: is missing: not a model's directory, or not all of it", path);
    status = upg_file_map_open(&map, path, err);
    if (status != UPG_OK)
        return status;
    if (map.n_bytes > max_bytes)
        status = upg_fail(err, UPG_ERR_FORMAT, "%s: has %zu bytes, at most %zu are read", path,
                          map.n_bytes, max_bytes);
    else
        status = upg_json_parse(json, path, (const char *)map.bytes, map.n_bytes, err);
    files->model->n_file_bytes += map.n_bytes;
    upg_file_map_close(&map);
    return status;
}

/* ---- Shards */

/* Shard names come from a file, so they must not leave the directory. */
static upg_status check_shard_name(const char *name, const char *where, upg_error *err)
{
    const size_t n = strlen(name);

    if (n < sizeof ".safetensors" ||
        strcmp(name + n - strlen(".safetensors"), ".safetensors") != 0 || strchr(name, '/') ||
        strchr(name, '\\') || strstr(name, ".."))
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: weight_map: %.100s is no name of a safetensors file of this directory",
                        where, name);
    return UPG_OK;
}

/* Number the files that the weight map names. */
static upg_status list_shards(struct upg_hf_files *files, const char *where, upg_error *err)
{
    const char *name;
    const json_t *value;
    upg_status status;

    files->shard_of = json_object();
    if (!files->shard_of)
        return upg_fail_memory(err, "a list of shards", 0);
    files->weight_map = json_object_get(files->index, "weight_map");
    if (!json_is_object(files->weight_map))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: weight_map: must be an object", where);
    json_object_foreach((json_t *)files->weight_map, name, value)
    {
        const char *file = json_string_value(value);
        if (!file)
            return upg_fail(err, UPG_ERR_FORMAT, "%s: weight_map: %.100s: must name a file", where,
                            name);
        if (json_object_get(files->shard_of, file))
            continue;
        status = check_shard_name(file, where, err);
        if (status != UPG_OK)
            return status;
        if (json_object_set_new(files->shard_of, file,
                                json_integer((json_int_t)json_object_size(files->shard_of))) != 0)
            return upg_fail_memory(err, "a list of shards", 0);
    }
    if (json_object_size(files->shard_of) > MAX_SHARDS)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: weight_map: names %zu files, at most %d", where,
                        json_object_size(files->shard_of), MAX_SHARDS);
    return UPG_OK;
}

static upg_status open_shard(struct upg_hf_files *files, size_t i, const char *name, upg_error *err)
{
    struct upg_model *model = files->model;
    struct upg_file_map *map = &model->maps[i];
    struct upg_hf_shard *shard = &files->shards[i];
    const char *path = join(files, name);
    upg_status status;

    if (!path)
        return upg_fail_memory(err, "a file name", strlen(name));
    if (access(path, F_OK) != 0)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: is missing, but %s needs it; download it", path,
                        index_name);
    status = upg_file_map_open(map, path, err);
    if (status != UPG_OK)
        return status;
    model->n_file_bytes += map->n_bytes;
    status = upg_safetensors_read(&shard->directory, map->path, map->bytes, map->n_bytes,
                                  &model->arena, err);
    if (status != UPG_OK)
        return status;
    shard->used = upg_arena_alloc(&model->arena, shard->directory.n_tensors, sizeof *shard->used);
    return shard->used ? UPG_OK : upg_fail_memory(err, "a list of tensors", 0);
}

/* What the index says must be so. */
static upg_status check_weight_map(const struct upg_hf_files *files, upg_error *err)
{
    const char *name;
    const json_t *value;

    json_object_foreach((json_t *)files->weight_map, name, value)
    {
        const size_t i =
            (size_t)json_integer_value(json_object_get(files->shard_of, json_string_value(value)));
        const struct upg_safetensors *directory = &files->shards[i].directory;
        if (!upg_safetensors_find(directory, name))
            return upg_fail(err, UPG_ERR_FORMAT,
                            "%s: tensor %.100s: is missing, but %s lists it here; download both "
                            "again",
                            directory->where, name, index_name);
    }
    return UPG_OK;
}

static upg_status open_shards(struct upg_hf_files *files, upg_error *err)
{
    const char *name;
    const json_t *number;

    json_object_foreach(files->shard_of, name, number)
    {
        const upg_status status = open_shard(files, (size_t)json_integer_value(number), name, err);
        if (status != UPG_OK)
            return status;
    }
    return check_weight_map(files, err);
}

upg_status upg_hf_open_weights(struct upg_hf_files *files, upg_error *err)
{
    struct upg_model *model = files->model;
    const char *single = join(files, single_name), *where = join(files, index_name);
    bool is_sharded;
    size_t n = 1;
    upg_status status = UPG_OK;

    if (!single || !where)
        return upg_fail_memory(err, "a file name", strlen(files->path));
    is_sharded = access(single, F_OK) != 0;
    if (is_sharded && access(where, F_OK) != 0)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: has neither %s nor %s; download the weights",
                        files->path, single_name, index_name);
    if (is_sharded) {
        status = upg_hf_read_json(files, index_name, false, MAX_INDEX_BYTES, &files->index, err);
        if (status == UPG_OK)
            status = list_shards(files, where, err);
        if (status != UPG_OK)
            return status;
        n = json_object_size(files->shard_of);
    }
    model->maps = upg_arena_alloc(&model->arena, n, sizeof *model->maps);
    files->shards = upg_arena_alloc(&model->arena, n, sizeof *files->shards);
    if (!model->maps || !files->shards)
        return upg_fail_memory(err, "a list of shards", n * sizeof *files->shards);
    model->n_maps = n;
    files->n_shards = n;
    return is_sharded ? open_shards(files, err) : open_shard(files, 0, single_name, err);
}

/* ---- Tensors */

const struct upg_safetensor *upg_hf_take(struct upg_hf_files *files, const char *name,
                                         upg_error *err)
{
    const struct upg_safetensor *tensor;
    struct upg_hf_shard *shard = files->shards;

    if (files->weight_map) {
        const char *file = json_string_value(json_object_get(files->weight_map, name));
        if (!file) {
            upg_fail(
                err, UPG_ERR_FORMAT,
                "%s: tensor %s: is missing from the weight_map of %s; download the model again",
                files->path, name, index_name);
            return NULL;
        }
        shard += json_integer_value(json_object_get(files->shard_of, file));
    }
    tensor = upg_safetensors_find(&shard->directory, name);
    if (tensor)
        shard->used[tensor - shard->directory.tensors] = true;
    else
        upg_fail(err, UPG_ERR_FORMAT, "%s: tensor %s: is missing; download the model again",
                 shard->directory.where, name);
    return tensor;
}

/* A tensor that takes part in the computation of some model, but not in ours: a bias, a norm of
 * queries, an adapter, a layer too many.  Stored tables of rotary angles are recomputed, not read.
 */
static bool is_missed(const char *name)
{
    const char *end = strrchr(name, '.');

    if (end && strcmp(end, ".inv_freq") == 0)
        return false;
    return strncmp(name, "model.layers.", strlen("model.layers.")) == 0 ||
           (end && strcmp(end, ".bias") == 0);
}

upg_status upg_hf_list_tensors(struct upg_hf_files *files, upg_error *err)
{
    struct upg_model *model = files->model;
    size_t n = 0;

    for (size_t i = 0; i < files->n_shards; i++)
        n += files->shards[i].directory.n_tensors;
    model->tensors = upg_arena_alloc(&model->arena, n, sizeof *model->tensors);
    if (!model->tensors)
        return upg_fail_memory(err, "a list of tensors", n * sizeof *model->tensors);
    for (size_t i = 0; i < files->n_shards; i++) {
        const struct upg_safetensors *directory = &files->shards[i].directory;
        for (size_t j = 0; j < directory->n_tensors; j++) {
            const struct upg_safetensor *tensor = &directory->tensors[j];
            if (!files->shards[i].used[j] && is_missed(tensor->name))
                return upg_fail(err, UPG_ERR_UNSUPPORTED,
                                "%s: tensor %s: is not part of %s as config.json describes it",
                                directory->where, tensor->name, model->config.architecture);
            upg_safetensor_info(tensor, &model->tensors[model->n_tensors++]);
        }
    }
    return UPG_OK;
}

void upg_hf_files_clear(struct upg_hf_files *files)
{
    for (size_t i = 0; i < files->n_shards; i++)
        upg_safetensors_clear(&files->shards[i].directory);
    json_decref(files->index);
    json_decref(files->shard_of);
}
