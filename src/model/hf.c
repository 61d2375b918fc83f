/* hf.c -- models as Hugging Face directories: config.json and safetensors files.
 *
 * Matrices stay where they are, in the mapped files; only norms are converted.  A tensor that the
 * model needs and lacks is an error, and so is one inside a layer that the model has and this
 * engine would ignore. */
#include "model/hf.h"

#include "base/half.h"
#include "model/config.h"
#include "model/hf_files.h"

#include <stdio.h>
#include <string.h>

#define MAX_CONFIG_BYTES ((size_t)1 << 20)

/* Config and stop ids of one of the two files that have them. */
static upg_status read_config(struct upg_hf_files *files, const char *name, bool is_generation,
                              upg_error *err)
{
    struct upg_model *model = files->model;
    char where[512];
    json_t *json = NULL;
    upg_status status = upg_hf_read_json(files, name, is_generation, MAX_CONFIG_BYTES, &json, err);

    snprintf(where, sizeof where, "%s/%s", files->path, name);
    if (status == UPG_OK && !is_generation)
        status = upg_config_parse(&model->config, &model->arena, json, where, err);
    if (status == UPG_OK)
        status = upg_config_stop_ids(json, where, &model->stop_ids, err);
    json_decref(json);
    return status;
}

/* ---- Tensors */

/* It has that shape (n_cols 0: one dimension) and a type that we compute with. */
static upg_status check_tensor(const struct upg_safetensor *tensor, size_t n_rows, size_t n_cols,
                               upg_error *err)
{
    const size_t n_dims = n_cols ? 2 : 1;

    if (tensor->n_dims != n_dims || tensor->shape[0] != n_rows ||
        (n_cols && tensor->shape[1] != n_cols))
        return upg_fail(
            err, UPG_ERR_FORMAT,
            "%s: tensor %s: has %zu dimensions, [%zu, %zu]; config.json needs [%zu%s%.0zu]",
            tensor->where, tensor->name, tensor->n_dims, tensor->n_dims > 0 ? tensor->shape[0] : 0,
            tensor->n_dims > 1 ? tensor->shape[1] : 0, n_rows, n_cols ? ", " : "", n_cols);
    if (tensor->dtype != UPG_DTYPE_BF16 && tensor->dtype != UPG_DTYPE_F16 &&
        tensor->dtype != UPG_DTYPE_F32)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: tensor %s: is stored as %s; upg reads BF16, F16 and F32",
                        tensor->where, tensor->name, upg_dtype_name(tensor->dtype));
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
static upg_status take_matrix(struct upg_hf_files *files, const char *name, size_t n_rows,
                              size_t n_cols, struct upg_matrix *matrix, upg_error *err)
{
    const struct upg_safetensor *tensor = upg_hf_take(files, name, err);
    upg_status status;

    if (!tensor)
        return UPG_ERR_FORMAT;
    status = check_tensor(tensor, n_rows, n_cols, err);
    if (status != UPG_OK)
        return status;
    matrix->name = tensor->name;
    matrix->type = type_of(tensor->dtype);
    matrix->n_rows = n_rows;
    matrix->n_cols = n_cols;
    matrix->data = tensor->data;
    matrix->n_bytes = tensor->n_bytes;
    if ((uintptr_t)tensor->data % upg_dtype_bytes(tensor->dtype) != 0) {
        void *copy = upg_arena_alloc(&files->model->arena, tensor->n_bytes, 1);
        if (!copy)
            return upg_fail_memory(err, name, tensor->n_bytes);
        memcpy(copy, tensor->data, tensor->n_bytes);
        matrix->data = copy;
    }
    return UPG_OK;
}

/* norm [n] as float32 in the arena. */
static upg_status take_norm(struct upg_hf_files *files, const char *name, size_t n,
                            const float **norm, upg_error *err)
{
    const struct upg_safetensor *tensor = upg_hf_take(files, name, err);
    float *values;
    upg_status status;

    if (!tensor)
        return UPG_ERR_FORMAT;
    status = check_tensor(tensor, n, 0, err);
    if (status != UPG_OK)
        return status;
    values = upg_arena_alloc(&files->model->arena, n, sizeof *values);
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

static upg_status take_linear(struct upg_hf_files *files, const char *prefix,
                              const struct part *parts, size_t n_parts, size_t n_cols,
                              struct upg_linear *linear, upg_error *err)
{
    linear->n_cols = n_cols;
    for (size_t i = 0; i < n_parts; i++) {
        char name[128];
        upg_status status;
        snprintf(name, sizeof name, "%s%s", prefix, parts[i].name);
        status = take_matrix(files, name, parts[i].n_rows, n_cols, &linear->part[i], err);
        if (status != UPG_OK)
            return status;
        linear->n_parts++;
        linear->n_rows += parts[i].n_rows;
    }
    return UPG_OK;
}

static upg_status read_layer(struct upg_hf_files *files, size_t number, upg_error *err)
{
    const struct upg_config *c = &files->model->config;
    struct upg_layer *layer = &files->model->layers[number];
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
    status = take_norm(files, name, c->d_model, &layer->attention_norm, err);
    if (status == UPG_OK)
        status = take_linear(files, prefix, is_fused ? &fused_qkv : qkv, is_fused ? 1 : 3,
                             c->d_model, &layer->qkv, err);
    if (status == UPG_OK)
        status = take_linear(files, prefix, &o, 1, q_rows, &layer->o, err);
    snprintf(name, sizeof name, "%spost_attention_layernorm.weight", prefix);
    if (status == UPG_OK)
        status = take_norm(files, name, c->d_model, &layer->mlp_norm, err);
    if (status == UPG_OK)
        status = take_linear(files, prefix, is_fused ? &fused_gate_up : gate_up, is_fused ? 1 : 2,
                             c->d_model, &layer->gate_up, err);
    if (status == UPG_OK)
        status = take_linear(files, prefix, &down, 1, c->d_ff, &layer->down, err);
    return status;
}

static upg_status read_weights(struct upg_hf_files *files, const upg_model_options *options,
                               upg_error *err)
{
    struct upg_model *model = files->model;
    const struct upg_config *c = &model->config;
    const struct part head = {"lm_head.weight", c->n_vocab};
    upg_status status;

    model->layers = upg_arena_alloc(&model->arena, c->n_layers, sizeof *model->layers);
    if (!model->layers)
        return upg_fail_memory(err, "layers", c->n_layers * sizeof *model->layers);
    status = take_matrix(files, "model.embed_tokens.weight", c->n_vocab, c->d_model,
                         &model->embedding, err);
    for (size_t i = 0; i < c->n_layers && status == UPG_OK; i++) {
        if (options && options->progress &&
            options->progress(options->progress_context, "read tensors", i, c->n_layers) != 0)
            return upg_fail(err, UPG_ERR_CANCELLED, "%s: cancelled", files->path);
        status = read_layer(files, i, err);
    }
    if (status == UPG_OK)
        status = take_norm(files, "model.norm.weight", c->d_model, &model->norm, err);
    if (status == UPG_OK && !c->tied_embeddings)
        return take_linear(files, "", &head, 1, c->d_model, &model->head, err);
    model->head.n_parts = 1;
    model->head.part[0] = model->embedding;
    model->head.n_rows = c->n_vocab;
    model->head.n_cols = c->d_model;
    return status;
}

upg_status upg_read_hf(struct upg_model *model, const char *directory,
                       const upg_model_options *options, upg_error *err)
{
    struct upg_hf_files files = {.model = model, .path = directory};
    upg_status status = UPG_OK;

    model->format = "hf";
    model->path = upg_arena_text(&model->arena, directory, strlen(directory));
    if (!model->path)
        status = upg_fail_memory(err, "a file name", strlen(directory));
    if (status == UPG_OK)
        status = read_config(&files, "config.json", false, err);
    if (status == UPG_OK)
        status = read_config(&files, "generation_config.json", true, err);
    if (status == UPG_OK)
        status = upg_hf_open_weights(&files, err);
    if (status == UPG_OK)
        status = read_weights(&files, options, err);
    if (status == UPG_OK)
        status = upg_hf_list_tensors(&files, err);
    if (status == UPG_OK)
        status = upg_read_hf_tokenizer(&model->tokenizer, directory, &model->n_file_bytes, err);
    if (status == UPG_OK)
        status = upg_model_check(model, err);
    upg_hf_files_clear(&files);
    return status;
}
