/* hf.c -- models as Hugging Face directories: config.json and safetensors files.
 *
 * Matrices stay where they are, in the mapped files; only norms are converted.  A tensor that the
 * model needs and lacks is an error, and so is one inside a layer that the model has and this
 * engine would ignore. */
#include "model/hf.h"

#include "base/half.h"
#include "base/size.h"
#include "model/config.h"
#include "model/safetensors.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SHARDS = 4096 };
#define MAX_CONFIG_BYTES ((size_t)1 << 20)
#define MAX_INDEX_BYTES ((size_t)16 << 20)

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";

struct shard {
    struct upg_safetensors directory;
    bool *used; /* [directory.n_tensors] */
};

struct hf {
    struct upg_model *model;
    const char *directory;
    json_t *config, *generation, *index; /* owned; NULL where there is no such file */
    const json_t *weight_map;            /* in index: tensor name -> shard file; NULL: one file */
    json_t *shard_of;                    /* owned: shard file -> number */
    struct shard *shards;                /* [model->n_maps] in the arena */
};

/* directory/name in the arena; NULL when out of memory. */
static char *join(struct hf *hf, const char *name)
{
    const size_t n = strlen(hf->directory) + strlen(name) + 2;
    char *path = upg_arena_alloc(&hf->model->arena, n, 1);

    if (path)
        snprintf(path, n, "%s/%s", hf->directory, name);
    return path;
}

/* ---- JSON files */

/* *json stays NULL if an optional file is not there. */
static upg_status read_json(struct hf *hf, const char *name, bool optional, size_t max_bytes,
                            json_t **json, upg_error *err)
{
    struct upg_file_map map = {0};
    const char *path = join(hf, name);
    upg_status status;

    if (!path)
        return upg_fail_memory(err, "a file name", strlen(name));
    if (access(path, F_OK) != 0)
        return optional ? UPG_OK
                        : upg_fail(err, UPG_ERR_FORMAT,
                                   "%s: is missing: not a model's directory, or "
                                   "not all of it",
                                   path);
    status = upg_file_map_open(&map, path, err);
    if (status != UPG_OK)
        return status;
    if (map.n_bytes > max_bytes)
        status = upg_fail(err, UPG_ERR_FORMAT, "%s: has %zu bytes, at most %zu are read", path,
                          map.n_bytes, max_bytes);
    else
        status = upg_json_parse(json, path, (const char *)map.bytes, map.n_bytes, err);
    hf->model->n_file_bytes += map.n_bytes;
    upg_file_map_close(&map);
    return status;
}

static upg_status read_config(struct hf *hf, upg_error *err)
{
    struct upg_model *model = hf->model;
    const char *config_path = join(hf, "config.json");
    const char *generation_path = join(hf, "generation_config.json");
    upg_status status;

    if (!config_path || !generation_path)
        return upg_fail_memory(err, "a file name", strlen(hf->directory));
    status = read_json(hf, "config.json", false, MAX_CONFIG_BYTES, &hf->config, err);
    if (status == UPG_OK)
        status =
            read_json(hf, "generation_config.json", true, MAX_CONFIG_BYTES, &hf->generation, err);
    if (status == UPG_OK)
        status = upg_config_parse(&model->config, &model->arena, hf->config, config_path, err);
    if (status == UPG_OK)
        status = upg_config_stop_ids(hf->config, config_path, &model->stop_ids, err);
    if (status == UPG_OK)
        status = upg_config_stop_ids(hf->generation, generation_path, &model->stop_ids, err);
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
static upg_status list_shards(struct hf *hf, const char *where, upg_error *err)
{
    const char *name;
    const json_t *value;
    upg_status status;

    hf->shard_of = json_object();
    if (!hf->shard_of)
        return upg_fail_memory(err, "a list of shards", 0);
    hf->weight_map = json_object_get(hf->index, "weight_map");
    if (!json_is_object(hf->weight_map))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: weight_map: must be an object", where);
    json_object_foreach((json_t *)hf->weight_map, name, value)
    {
        const char *file = json_string_value(value);
        if (!file)
            return upg_fail(err, UPG_ERR_FORMAT, "%s: weight_map: %.100s: must name a file", where,
                            name);
        if (json_object_get(hf->shard_of, file))
            continue;
        status = check_shard_name(file, where, err);
        if (status != UPG_OK)
            return status;
        if (json_object_set_new(hf->shard_of, file,
                                json_integer((json_int_t)json_object_size(hf->shard_of))) != 0)
            return upg_fail_memory(err, "a list of shards", 0);
    }
    if (json_object_size(hf->shard_of) > MAX_SHARDS)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: weight_map: names %zu files, at most %d", where,
                        json_object_size(hf->shard_of), MAX_SHARDS);
    return UPG_OK;
}

static upg_status open_shard(struct hf *hf, size_t i, const char *name, upg_error *err)
{
    struct upg_model *model = hf->model;
    struct upg_file_map *map = &model->maps[i];
    struct shard *shard = &hf->shards[i];
    const char *path = join(hf, name);
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
static upg_status check_weight_map(const struct hf *hf, upg_error *err)
{
    const char *name;
    const json_t *value;

    json_object_foreach((json_t *)hf->weight_map, name, value)
    {
        const size_t i =
            (size_t)json_integer_value(json_object_get(hf->shard_of, json_string_value(value)));
        const struct upg_safetensors *directory = &hf->shards[i].directory;
        if (!upg_safetensors_find(directory, name))
            return upg_fail(err, UPG_ERR_FORMAT,
                            "%s: tensor %.100s: is missing, but %s lists it here; download both "
                            "again",
                            directory->where, name, index_name);
    }
    return UPG_OK;
}

static upg_status open_shards(struct hf *hf, upg_error *err)
{
    struct upg_model *model = hf->model;
    const char *single = join(hf, single_name), *where = join(hf, index_name);
    bool is_sharded;
    size_t n = 1;
    upg_status status = UPG_OK;

    if (!single || !where)
        return upg_fail_memory(err, "a file name", strlen(hf->directory));
    is_sharded = access(single, F_OK) != 0;
    if (is_sharded && access(where, F_OK) != 0)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: has neither %s nor %s; download the weights",
                        hf->directory, single_name, index_name);
    if (is_sharded) {
        status = read_json(hf, index_name, false, MAX_INDEX_BYTES, &hf->index, err);
        if (status == UPG_OK)
            status = list_shards(hf, where, err);
        if (status != UPG_OK)
            return status;
        n = json_object_size(hf->shard_of);
    }
    model->maps = upg_arena_alloc(&model->arena, n, sizeof *model->maps);
    hf->shards = upg_arena_alloc(&model->arena, n, sizeof *hf->shards);
    if (!model->maps || !hf->shards)
        return upg_fail_memory(err, "a list of shards", n * sizeof *hf->shards);
    model->n_maps = n;
    if (!is_sharded)
        return open_shard(hf, 0, single_name, err);

    const char *name;
    const json_t *number;
    json_object_foreach(hf->shard_of, name, number)
    {
        status = open_shard(hf, (size_t)json_integer_value(number), name, err);
        if (status != UPG_OK)
            return status;
    }
    return check_weight_map(hf, err);
}

/* ---- Tensors */

/* The tensor of that name with that shape (n_cols 0: one dimension) in a type that we compute with,
 * marked as used. */
static upg_status take(struct hf *hf, const char *name, size_t n_rows, size_t n_cols,
                       const struct upg_safetensor **out, upg_error *err)
{
    size_t i = 0;
    const size_t n_dims = n_cols ? 2 : 1;
    const struct upg_safetensor *tensor = NULL;
    const char *file = NULL, *where = hf->shards ? hf->shards[0].directory.where : hf->directory;

    if (hf->weight_map) {
        file = json_string_value(json_object_get(hf->weight_map, name));
        where = hf->directory;
        i = (size_t)json_integer_value(json_object_get(hf->shard_of, file));
    }
    if (!hf->weight_map || file) {
        where = hf->shards[i].directory.where;
        tensor = upg_safetensors_find(&hf->shards[i].directory, name);
    }
    if (!tensor)
        return upg_fail(
            err, UPG_ERR_FORMAT, "%s: tensor %s: is missing%s; download the model again", where,
            name, hf->weight_map ? " from the weight_map of model.safetensors.index.json" : "");
    if (tensor->n_dims != n_dims || tensor->shape[0] != n_rows ||
        (n_cols && tensor->shape[1] != n_cols))
        return upg_fail(
            err, UPG_ERR_FORMAT,
            "%s: tensor %s: has %zu dimensions, [%zu, %zu]; config.json needs [%zu%s%.0zu]", where,
            name, tensor->n_dims, tensor->n_dims > 0 ? tensor->shape[0] : 0,
            tensor->n_dims > 1 ? tensor->shape[1] : 0, n_rows, n_cols ? ", " : "", n_cols);
    if (tensor->dtype != UPG_DTYPE_BF16 && tensor->dtype != UPG_DTYPE_F16 &&
        tensor->dtype != UPG_DTYPE_F32)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: tensor %s: is stored as %s; upg reads BF16, F16 and F32", where, name,
                        upg_dtype_name(tensor->dtype));
    hf->shards[i].used[tensor - hf->shards[i].directory.tensors] = true;
    *out = tensor;
    return UPG_OK;
}

static enum upg_type type_of(enum upg_dtype dtype)
{
    return dtype == UPG_DTYPE_BF16  ? UPG_TYPE_BF16
           : dtype == UPG_DTYPE_F16 ? UPG_TYPE_F16
                                    : UPG_TYPE_F32;
}

/* Mapped, unless the file's header was not padded and elements lie across their alignment: such
 * files are made by hand and are small. */
static upg_status take_matrix(struct hf *hf, const char *name, size_t n_rows, size_t n_cols,
                              struct upg_matrix *matrix, upg_error *err)
{
    const struct upg_safetensor *tensor = NULL;
    const upg_status status = take(hf, name, n_rows, n_cols, &tensor, err);

    if (status != UPG_OK)
        return status;
    matrix->name = tensor->name;
    matrix->type = type_of(tensor->dtype);
    matrix->n_rows = n_rows;
    matrix->n_cols = n_cols;
    matrix->data = tensor->data;
    matrix->n_bytes = tensor->n_bytes;
    if ((uintptr_t)tensor->data % upg_dtype_bytes(tensor->dtype) != 0) {
        void *copy = upg_arena_alloc(&hf->model->arena, tensor->n_bytes, 1);
        if (!copy)
            return upg_fail_memory(err, name, tensor->n_bytes);
        memcpy(copy, tensor->data, tensor->n_bytes);
        matrix->data = copy;
    }
    return UPG_OK;
}

/* norm [n] as float32 in the arena. */
static upg_status take_norm(struct hf *hf, const char *name, size_t n, const float **norm,
                            upg_error *err)
{
    const struct upg_safetensor *tensor = NULL;
    float *values;
    const upg_status status = take(hf, name, n, 0, &tensor, err);

    if (status != UPG_OK)
        return status;
    values = upg_arena_alloc(&hf->model->arena, n, sizeof *values);
    if (!values)
        return upg_fail_memory(err, name, n * sizeof *values);
    if (tensor->dtype == UPG_DTYPE_F32) {
        memcpy(values, tensor->data, n * sizeof *values);
    } else {
        for (size_t i = 0; i < n; i++) {
            uint16_t bits;
            memcpy(&bits, tensor->data + i * sizeof bits, sizeof bits);
            values[i] =
                tensor->dtype == UPG_DTYPE_BF16 ? upg_bf16_to_f32(bits) : upg_f16_to_f32(bits);
        }
    }
    *norm = values;
    return UPG_OK;
}

struct part {
    const char *name; /* within the layer */
    size_t n_rows;
};

static upg_status take_linear(struct hf *hf, const char *prefix, const struct part *parts,
                              size_t n_parts, size_t n_cols, struct upg_linear *linear,
                              upg_error *err)
{
    linear->n_cols = n_cols;
    for (size_t i = 0; i < n_parts; i++) {
        char name[128];
        upg_status status;
        snprintf(name, sizeof name, "%s%s", prefix, parts[i].name);
        status = take_matrix(hf, name, parts[i].n_rows, n_cols, &linear->part[i], err);
        if (status != UPG_OK)
            return status;
        linear->n_parts++;
        linear->n_rows += parts[i].n_rows;
    }
    return UPG_OK;
}

static upg_status read_layer(struct hf *hf, size_t number, upg_error *err)
{
    const struct upg_config *c = &hf->model->config;
    struct upg_layer *layer = &hf->model->layers[number];
    const bool is_fused = strcmp(c->architecture, "Phi3ForCausalLM") == 0;
    const size_t q_rows = c->n_heads * c->head_dim, kv_rows = c->n_kv_heads * c->head_dim;
    const struct part fused_qkv = {"self_attn.qkv_proj.weight", q_rows + 2 * kv_rows};
    const struct part fused_gate_up = {"mlp.gate_up_proj.weight", 2 * c->d_ff};
    const struct part qkv[] = {{"self_attn.q_proj.weight", q_rows},
                               {"self_attn.k_proj.weight", kv_rows},
                               {"self_attn.v_proj.weight", kv_rows}};
    const struct part gate_up[] = {{"mlp.gate_proj.weight", c->d_ff},
                                   {"mlp.up_proj.weight", c->d_ff}};
    const struct part o = {"self_attn.o_proj.weight", c->d_model};
    const struct part down = {"mlp.down_proj.weight", c->d_model};
    char prefix[48], name[96];
    upg_status status;

    snprintf(prefix, sizeof prefix, "model.layers.%zu.", number);
    snprintf(name, sizeof name, "%sinput_layernorm.weight", prefix);
    status = take_norm(hf, name, c->d_model, &layer->attention_norm, err);
    if (status == UPG_OK)
        status = take_linear(hf, prefix, is_fused ? &fused_qkv : qkv, is_fused ? 1 : 3, c->d_model,
                             &layer->qkv, err);
    if (status == UPG_OK)
        status = take_linear(hf, prefix, &o, 1, q_rows, &layer->o, err);
    snprintf(name, sizeof name, "%spost_attention_layernorm.weight", prefix);
    if (status == UPG_OK)
        status = take_norm(hf, name, c->d_model, &layer->mlp_norm, err);
    if (status == UPG_OK)
        status = take_linear(hf, prefix, is_fused ? &fused_gate_up : gate_up, is_fused ? 1 : 2,
                             c->d_model, &layer->gate_up, err);
    if (status == UPG_OK)
        status = take_linear(hf, prefix, &down, 1, c->d_ff, &layer->down, err);
    return status;
}

static upg_status read_weights(struct hf *hf, const upg_model_options *options, upg_error *err)
{
    struct upg_model *model = hf->model;
    const struct upg_config *c = &model->config;
    const struct part head = {"lm_head.weight", c->n_vocab};
    upg_status status;

    model->layers = upg_arena_alloc(&model->arena, c->n_layers, sizeof *model->layers);
    if (!model->layers)
        return upg_fail_memory(err, "layers", c->n_layers * sizeof *model->layers);
    status = take_matrix(hf, "model.embed_tokens.weight", c->n_vocab, c->d_model, &model->embedding,
                         err);
    for (size_t i = 0; i < c->n_layers && status == UPG_OK; i++) {
        if (options && options->progress &&
            options->progress(options->progress_context, "read tensors", i, c->n_layers) != 0)
            return upg_fail(err, UPG_ERR_CANCELLED, "%s: cancelled", hf->directory);
        status = read_layer(hf, i, err);
    }
    if (status == UPG_OK)
        status = take_norm(hf, "model.norm.weight", c->d_model, &model->norm, err);
    if (status == UPG_OK && !c->tied_embeddings)
        return take_linear(hf, "", &head, 1, c->d_model, &model->head, err);
    model->head.n_parts = 1;
    model->head.part[0] = model->embedding;
    model->head.n_rows = c->n_vocab;
    model->head.n_cols = c->d_model;
    return status;
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

/* Also lists the files' tensors for upg_model_get_tensor(). */
static upg_status list_tensors(struct hf *hf, upg_error *err)
{
    struct upg_model *model = hf->model;
    size_t n = 0;

    for (size_t i = 0; i < model->n_maps; i++)
        n += hf->shards[i].directory.n_tensors;
    model->tensors = upg_arena_alloc(&model->arena, n, sizeof *model->tensors);
    if (!model->tensors)
        return upg_fail_memory(err, "a list of tensors", n * sizeof *model->tensors);
    for (size_t i = 0; i < model->n_maps; i++) {
        const struct upg_safetensors *directory = &hf->shards[i].directory;
        for (size_t j = 0; j < directory->n_tensors; j++) {
            const struct upg_safetensor *tensor = &directory->tensors[j];
            if (!hf->shards[i].used[j] && is_missed(tensor->name))
                return upg_fail(err, UPG_ERR_UNSUPPORTED,
                                "%s: tensor %s: is not part of %s as config.json describes it",
                                directory->where, tensor->name, model->config.architecture);
            upg_safetensor_info(tensor, &model->tensors[model->n_tensors++]);
        }
    }
    return UPG_OK;
}

upg_status upg_read_hf(struct upg_model *model, const char *directory,
                       const upg_model_options *options, upg_error *err)
{
    struct hf hf = {.model = model, .directory = directory};
    upg_status status = UPG_OK;

    model->format = "hf";
    model->path = upg_arena_text(&model->arena, directory, strlen(directory));
    if (!model->path)
        status = upg_fail_memory(err, "a file name", strlen(directory));
    if (status == UPG_OK)
        status = read_config(&hf, err);
    if (status == UPG_OK)
        status = open_shards(&hf, err);
    if (status == UPG_OK)
        status = read_weights(&hf, options, err);
    if (status == UPG_OK)
        status = list_tensors(&hf, err);
    if (status == UPG_OK)
        status = upg_read_hf_tokenizer(&model->tokenizer, directory, &model->n_file_bytes, err);
    if (status == UPG_OK)
        status = upg_model_check(model, err);
    for (size_t i = 0; hf.shards && i < model->n_maps; i++)
        upg_safetensors_clear(&hf.shards[i].directory);
    json_decref(hf.config);
    json_decref(hf.generation);
    json_decref(hf.index);
    json_decref(hf.shard_of);
    return status;
}
