/* gguf_model.c -- a model from a GGUF file: weights by name, and the whole.
 *
 * phi3 has q, k, v in one tensor and gate, up in another, which is called ffn_up.  llama has five,
 * and stores the rows of q and k permuted so that RoPE's pairs are neighbours (2i, 2i + 1).  A
 * tensor that nobody asked for is refused by name. */
#include "model/gguf.h"

#include <stdio.h>
#include <string.h>

/* What the functions below share. */
struct reader {
    struct upg_gguf file;
    struct upg_model *model;
    upg_error *err;
};

/* The tensor `name`, which must be [n_rows, n_cols]. */
static upg_status read_matrix(struct reader *r, const char *name, size_t n_rows, size_t n_cols,
                              struct upg_matrix *matrix)
{
    const struct upg_gguf_tensor *tensor = upg_gguf_find_tensor(&r->file, name);

    if (!tensor)
        return upg_fail(r->err, UPG_ERR_FORMAT, "%s: tensor %s: is missing", r->file.path, name);
    if (tensor->shape[0] != n_cols || tensor->shape[1] != n_rows || tensor->shape[2] != 1 ||
        tensor->shape[3] != 1)
        return upg_fail(r->err, UPG_ERR_FORMAT,
                        "%s: tensor %s: has shape [%zu, %zu, %zu, %zu], the metadata ask for "
                        "[%zu, %zu]",
                        r->file.path, name, tensor->shape[0], tensor->shape[1], tensor->shape[2],
                        tensor->shape[3], n_cols, n_rows);
    *matrix = (struct upg_matrix){.name = tensor->name,
                                  .type = tensor->type,
                                  .n_rows = n_rows,
                                  .n_cols = n_cols,
                                  .data = tensor->data,
                                  .n_bytes = tensor->n_bytes};
    return UPG_OK;
}

/* Norms are short: they become aligned float32 in the arena whatever their type. */
static upg_status read_norm(struct reader *r, const char *name, const float **norm)
{
    const size_t n = r->model->config.d_model;
    struct upg_matrix matrix;
    float *values;
    const upg_status status = read_matrix(r, name, 1, n, &matrix);

    if (status != UPG_OK)
        return status;
    values = upg_arena_alloc(&r->model->arena, n, sizeof *values);
    if (!values)
        return upg_fail_memory(r->err, name, n * sizeof *values);
    upg_matrix_rows(&matrix, 0, 1, values, NULL);
    *norm = values;
    return UPG_OK;
}

/* Append the tensor `name` to a linear map. */
static upg_status add_part(struct reader *r, const char *name, size_t n_rows, size_t n_cols,
                           struct upg_linear *linear)
{
    const upg_status status = read_matrix(r, name, n_rows, n_cols, &linear->part[linear->n_parts]);

    if (status == UPG_OK) {
        linear->n_parts++;
        linear->n_rows += n_rows;
        linear->n_cols = n_cols;
    }
    return status;
}

static upg_status read_layer(struct reader *r, size_t number)
{
    const struct upg_config *config = &r->model->config;
    struct upg_layer *layer = &r->model->layers[number];
    const size_t d = config->d_model, ff = config->d_ff;
    const size_t q = config->n_heads * config->head_dim, kv = config->n_kv_heads * config->head_dim;
    const struct {
        const char *name;
        size_t n_rows, n_cols;
        struct upg_linear *linear;
    } phi3[] = {{"attn_qkv", q + 2 * kv, d, &layer->qkv},
                {"attn_output", d, q, &layer->o},
                {"ffn_up", 2 * ff, d, &layer->gate_up},
                {"ffn_down", d, ff, &layer->down}},
      llama[] = {{"attn_q", q, d, &layer->qkv},        {"attn_k", kv, d, &layer->qkv},
                 {"attn_v", kv, d, &layer->qkv},       {"attn_output", d, q, &layer->o},
                 {"ffn_gate", ff, d, &layer->gate_up}, {"ffn_up", ff, d, &layer->gate_up},
                 {"ffn_down", d, ff, &layer->down}},
      *parts = config->interleaved_pairs ? llama : phi3;
    const size_t n_parts =
        config->interleaved_pairs ? sizeof llama / sizeof *llama : sizeof phi3 / sizeof *phi3;
    char name[UPG_GGUF_MAX_NAME + 1];
    upg_status status;

    snprintf(name, sizeof name, "blk.%zu.attn_norm.weight", number);
    status = read_norm(r, name, &layer->attention_norm);
    snprintf(name, sizeof name, "blk.%zu.ffn_norm.weight", number);
    if (status == UPG_OK)
        status = read_norm(r, name, &layer->mlp_norm);
    for (size_t i = 0; i < n_parts && status == UPG_OK; i++) {
        snprintf(name, sizeof name, "blk.%zu.%s.weight", number, parts[i].name);
        status = add_part(r, name, parts[i].n_rows, parts[i].n_cols, parts[i].linear);
    }
    return status;
}

/* Every tensor was asked for: none holds a bias, an expert or a factor that would be ignored. */
static upg_status check_tensors(const struct reader *r)
{
    for (size_t i = 0; i < r->file.n_tensors; i++) {
        const char *name = r->file.tensors[i].name;
        if (r->file.tensors[i].used)
            continue;
        if (strcmp(name, "rope_freqs.weight") == 0)
            return upg_fail(r->err, UPG_ERR_UNSUPPORTED,
                            "%s: tensor %s: RoPE scaled as in Llama 3 is not supported",
                            r->file.path, name);
        return upg_fail(r->err, UPG_ERR_UNSUPPORTED,
                        "%s: tensor %s: upg does not know this tensor, and without it the model "
                        "would give wrong text",
                        r->file.path, name);
    }
    return UPG_OK;
}

static upg_status read_weights(struct reader *r)
{
    struct upg_model *model = r->model;
    const struct upg_config *config = &model->config;
    upg_status status;

    if (config->n_layers > r->file.n_tensors) /* each has several */
        return upg_fail(r->err, UPG_ERR_FORMAT, "%s: %s: %zu layers cannot be in %zu tensors",
                        r->file.path, "block_count", config->n_layers, r->file.n_tensors);
    model->layers = upg_arena_alloc(&model->arena, config->n_layers, sizeof *model->layers);
    if (!model->layers)
        return upg_fail_memory(r->err, "layers", config->n_layers * sizeof *model->layers);
    status =
        read_matrix(r, "token_embd.weight", config->n_vocab, config->d_model, &model->embedding);
    if (status == UPG_OK)
        status = add_part(r, config->tied_embeddings ? "token_embd.weight" : "output.weight",
                          config->n_vocab, config->d_model, &model->head);
    if (status == UPG_OK)
        status = read_norm(r, "output_norm.weight", &model->norm);
    for (size_t i = 0; i < config->n_layers && status == UPG_OK; i++)
        status = read_layer(r, i);
    return status == UPG_OK ? check_tensors(r) : status;
}

/* The directory for inspect, in the order of the bytes. */
static upg_status list_tensors(struct reader *r)
{
    struct upg_model *model = r->model;

    model->tensors = upg_arena_alloc(&model->arena, r->file.n_tensors, sizeof *model->tensors);
    if (!model->tensors)
        return upg_fail_memory(r->err, "tensors", r->file.n_tensors * sizeof *model->tensors);
    model->n_tensors = r->file.n_tensors;
    for (size_t i = 0; i < r->file.n_tensors; i++) {
        const struct upg_gguf_tensor *tensor = &r->file.tensors[i];
        const double n_weights = (double)tensor->shape[0] * (double)tensor->shape[1];
        const bool is_matrix = tensor->n_dims > 1;

        model->tensors[i] = (upg_tensor_info){
            .name = tensor->name,
            .type = upg_type_name(tensor->type),
            .n_dims = is_matrix ? 2 : 1,
            .shape = {is_matrix ? tensor->shape[1] : tensor->shape[0],
                      is_matrix ? tensor->shape[0] : 1},
            .bits = 8 * (double)tensor->n_bytes / n_weights,
            .n_bytes = tensor->n_bytes,
        };
    }
    return UPG_OK;
}

/* ---- The whole ---- */

upg_status upg_read_gguf_bytes(struct upg_model *model, const char *path, const uint8_t *bytes,
                               size_t n_bytes, upg_error *err)
{
    struct reader r = {.model = model, .err = err};
    upg_status status;

    model->format = "gguf";
    model->path = upg_arena_text(&model->arena, path, strlen(path));
    if (!model->path)
        return upg_fail_memory(err, "a file name", strlen(path) + 1);
    model->n_file_bytes = n_bytes;
    status = upg_gguf_read(&r.file, model->path, bytes, n_bytes, &model->arena, err);
    if (status == UPG_OK)
        status = upg_gguf_read_config(&r.file, &model->config, &model->arena, err);
    if (status == UPG_OK)
        status = read_weights(&r);
    if (status == UPG_OK)
        status = list_tensors(&r);
    if (status == UPG_OK)
        status = upg_gguf_read_tokenizer(&r.file, &model->tokenizer, err);
    if (status == UPG_OK)
        status = upg_gguf_read_stop_ids(&r.file, model->config.n_vocab, &model->stop_ids, err);
    return status == UPG_OK ? upg_model_check(model, err) : status;
}

upg_status upg_read_gguf(struct upg_model *model, const char *path,
                         const upg_model_options *options, upg_error *err)
{
    upg_status status;

    (void)options; /* nothing here takes long */
    model->maps = upg_arena_alloc(&model->arena, 1, sizeof *model->maps);
    if (!model->maps)
        return upg_fail_memory(err, "a file map", sizeof *model->maps);
    status = upg_file_map_open(&model->maps[0], path, err);
    if (status != UPG_OK)
        return status;
    model->n_maps = 1;
    return upg_read_gguf_bytes(model, path, model->maps[0].bytes, model->maps[0].n_bytes, err);
}
