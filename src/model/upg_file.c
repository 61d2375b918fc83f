/* upg_file.c -- the reader of .upg files; docs/format.md is the specification.
 *
 * A .upg file is a safetensors file whose metadata say which of its tensors make up which matrix.
 * Everything but norms stays where it is. */
#include "base/half.h"
#include "base/size.h"
#include "model/config.h"
#include "model/json_text.h"
#include "model/safetensors.h"
#include "model/upg_format.h"
#include "text/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct upg_model *model;
    const char *where;
    const uint8_t *bytes; /* the whole file, 64-byte aligned */
    struct upg_safetensors directory;
    bool *in_matrix;  /* [directory.n_tensors] codes, weights, scales */
    json_t *matrices; /* owned */
};

/* A string of __metadata__; NULL if it is not there. */
static const char *metadata(const struct reader *r, const char *key)
{
    return json_string_value(json_object_get(r->directory.metadata, key));
}

/* Parse the JSON object in the string metadata[key]; *json stays NULL if an optional one is not
 * there. */
static upg_status parse_metadata(const struct reader *r, const char *key, bool optional,
                                 json_t **json, upg_error *err)
{
    const char *text = metadata(r, key);
    char where[512];
    upg_status status;

    if (!text)
        return optional ? UPG_OK
                        : upg_fail(err, UPG_ERR_FORMAT, "%s: __metadata__: %s: is missing",
                                   r->where, key);
    snprintf(where, sizeof where, "%s: __metadata__: %s", r->where, key);
    status = upg_json_parse(json, where, text, strlen(text), err);
    if (status == UPG_OK && !json_is_object(*json))
        status = upg_fail(err, UPG_ERR_FORMAT, "%s: must be an object", where);
    return status;
}

static upg_status read_config(struct reader *r, upg_error *err)
{
    struct upg_model *model = r->model;
    json_t *config = NULL;
    char where[512];
    upg_status status = parse_metadata(r, UPG_KEY_CONFIG, false, &config, err);

    snprintf(where, sizeof where, "%s: __metadata__: " UPG_KEY_CONFIG, r->where);
    if (status == UPG_OK)
        status = upg_config_parse(&model->config, &model->arena, config, where, err);
    if (status == UPG_OK)
        status = upg_config_stop_ids(config, where, &model->stop_ids, err);
    json_decref(config);
    return status;
}

/* ---- Tensors */

/* The tensor NAME, or NAME.component of a matrix, which no other matrix may have; NULL with a
 * message if it is not there or lies across the alignment. */
static const struct upg_safetensor *take(struct reader *r, const char *name, const char *component,
                                         upg_error *err)
{
    char full[UPG_MAX_TENSOR_NAME + 16];
    const struct upg_safetensor *tensor;
    bool *in_matrix;

    snprintf(full, sizeof full, "%s%s%s", name, *component ? "." : "", component);
    tensor = upg_safetensors_find(&r->directory, full);
    if (!tensor) {
        upg_fail(err, UPG_ERR_FORMAT, "%s: tensor %s: is missing", r->where, full);
        return NULL;
    }
    if ((size_t)(tensor->data - r->bytes) % UPG_TENSOR_ALIGN != 0) {
        upg_fail(err, UPG_ERR_FORMAT, "%s: tensor %s: starts at byte %zu, not a multiple of %d",
                 r->where, full, (size_t)(tensor->data - r->bytes), UPG_TENSOR_ALIGN);
        return NULL;
    }
    in_matrix = &r->in_matrix[tensor - r->directory.tensors];
    if (*in_matrix) {
        upg_fail(err, UPG_ERR_FORMAT, "%s: tensor %s: belongs to two matrices", r->where, full);
        return NULL;
    }
    *in_matrix = *component != 0;
    return tensor;
}

/* The bytes of NAME.component if it has this type and shape (n_cols 0: one dimension), else NULL
 * with a message. */
static const void *take_as(struct reader *r, const char *name, const char *component,
                           enum upg_dtype dtype, size_t n_rows, size_t n_cols, upg_error *err)
{
    const struct upg_safetensor *tensor = take(r, name, component, err);

    if (!tensor)
        return NULL;
    if (tensor->dtype != dtype || tensor->n_dims != (n_cols ? 2u : 1u) ||
        tensor->shape[0] != n_rows || (n_cols && tensor->shape[1] != n_cols)) {
        upg_fail(err, UPG_ERR_FORMAT,
                 "%s: tensor %s: is %s with %zu dimensions and %zu values, must be %s [%zu, %zu]",
                 r->where, tensor->name, upg_dtype_name(tensor->dtype), tensor->n_dims,
                 tensor->n_values, upg_dtype_name(dtype), n_rows, n_cols ? n_cols : 1);
        return NULL;
    }
    return tensor->data;
}

/* A norm [n], stored as float32 or bfloat16, as float32 in the arena. */
static upg_status read_norm(struct reader *r, const struct upg_norm *norm, size_t n, upg_error *err)
{
    const struct upg_safetensor *tensor = take(r, norm->name, "", err);
    float *values;

    if (!tensor)
        return UPG_ERR_FORMAT;
    if (tensor->n_dims != 1 || tensor->shape[0] != n ||
        (tensor->dtype != UPG_DTYPE_F32 && tensor->dtype != UPG_DTYPE_BF16))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: tensor %s: must be F32 or BF16 [%zu]", r->where,
                        norm->name, n);
    values = upg_arena_alloc(&r->model->arena, n, sizeof *values);
    if (!values)
        return upg_fail_memory(err, norm->name, n * sizeof *values);
    if (tensor->dtype == UPG_DTYPE_F32)
        memcpy(values, tensor->data, n * sizeof *values);
    else
        for (size_t i = 0; i < n; i++)
            values[i] = upg_bf16_to_f32(((const uint16_t *)tensor->data)[i]);
    *norm->values = values;
    return UPG_OK;
}

/* ---- Matrices */

static upg_status parse_seed(const json_t *entry, const char *key, const struct reader *r,
                             const char *name, uint64_t *seed, upg_error *err)
{
    const char *text = json_string_value(json_object_get(entry, key));
    char *end = NULL;

    if (text && strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16)
        *seed = strtoull(text, &end, 16);
    return end ? UPG_OK
               : upg_fail(err, UPG_ERR_FORMAT, "%s: matrix %s: %s: must be 16 hexadecimal digits",
                          r->where, name, key);
}

static upg_status read_packed(struct reader *r, struct upg_matrix *m, const json_t *entry, int k,
                              upg_error *err)
{
    struct upg_packed *p = &m->packed;
    upg_status status;
    size_t n_gains;

    p->k = k;
    p->n_rows = m->n_rows;
    p->n_cols = m->n_cols;
    if (!upg_packed_code_bytes(k, m->n_rows, m->n_cols, &m->n_bytes) ||
        !size_round_up(m->n_rows, UPG_ROW_BLOCK, &p->padded_rows) ||
        !size_round_up(m->n_cols, UPG_COL_UNIT, &p->padded_cols))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: matrix %s: is larger than memory", r->where,
                        m->name);
    n_gains = (p->padded_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;
    status = parse_seed(entry, "seed_in", r, m->name, &p->seed_in, err);
    p->has_output_transform = json_object_get(entry, "seed_out") != NULL;
    if (status == UPG_OK && p->has_output_transform)
        status = parse_seed(entry, "seed_out", r, m->name, &p->seed_out, err);
    if (status != UPG_OK)
        return status;
    p->codes = take_as(r, m->name, "codes", UPG_DTYPE_U8, m->n_bytes, 0, err);
    if (p->codes)
        p->row_scale = take_as(r, m->name, "row_scale", UPG_DTYPE_F16, p->padded_rows, 0, err);
    if (p->row_scale)
        p->gain = take_as(r, m->name, "gain", UPG_DTYPE_F32, n_gains, 0, err);
    m->data = p->codes;
    return p->gain ? UPG_OK : UPG_ERR_FORMAT;
}

static upg_status read_plain(struct reader *r, struct upg_matrix *m, upg_error *err)
{
    const enum upg_dtype dtype = m->type == UPG_TYPE_F32    ? UPG_DTYPE_F32
                                 : m->type == UPG_TYPE_F16  ? UPG_DTYPE_F16
                                 : m->type == UPG_TYPE_BF16 ? UPG_DTYPE_BF16
                                                            : UPG_DTYPE_I8;

    m->data = take_as(r, m->name, "weight", dtype, m->n_rows, m->n_cols, err);
    if (m->data && m->type == UPG_TYPE_I8_ROWS) {
        m->row_scale = take_as(r, m->name, "row_scale", UPG_DTYPE_F32, m->n_rows, 0, err);
        if (!m->row_scale)
            return UPG_ERR_FORMAT;
    }
    m->n_bytes = m->n_rows * m->n_cols * upg_dtype_bytes(dtype); /* the tensor has this size */
    return m->data ? UPG_OK : UPG_ERR_FORMAT;
}

/* A part's own name: short, and of characters that cannot disturb a tensor's name. */
static upg_status parse_part_name(const json_t *entry, const struct reader *r, const char *slot,
                                  const char **part, upg_error *err)
{
    const json_t *value = json_object_get(entry, "part");
    const char *text = json_string_value(value);
    const size_t n = text ? strlen(text) : 0;

    *part = text;
    if (value && (n == 0 || n > 16 || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") != n))
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: matrix %s: part: must be 1 to 16 small letters and digits", r->where,
                        slot);
    return UPG_OK;
}

static upg_status read_part(struct reader *r, const struct upg_slot *slot, struct upg_matrix *m,
                            const json_t *entry, upg_error *err)
{
    const char *part, *type;
    char name[UPG_MAX_TENSOR_NAME], where[512];
    int k;
    upg_status status = parse_part_name(entry, r, slot->name, &part, err);

    if (status != UPG_OK)
        return status;
    upg_matrix_name(name, slot->name, part);
    m->name = upg_arena_text(&r->model->arena, name, strlen(name));
    if (!m->name)
        return upg_fail_memory(err, "a matrix's name", strlen(name));
    snprintf(where, sizeof where, "%s: matrix %s", r->where, name);
    m->n_cols = slot->n_cols;
    status = upg_json_get_size(entry, where, "rows", 1, slot->n_rows, &m->n_rows, err);
    if (status == UPG_OK)
        status = upg_json_get_text(entry, where, "type", &type, err);
    if (status != UPG_OK)
        return status;
    if (!upg_stored_type_parse(type, &m->type, &k))
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: type %.20s is not known to this upg; get a newer one", where, type);
    return m->type == UPG_TYPE_PACKED ? read_packed(r, m, entry, k, err) : read_plain(r, m, err);
}

static upg_status read_slot(struct reader *r, const struct upg_slot *slot, upg_error *err)
{
    const json_t *parts = json_object_get(r->matrices, slot->name);
    const size_t n_parts = json_array_size(parts);
    size_t n_rows = 0;
    upg_status status = UPG_OK;

    if (n_parts == 0 || n_parts > slot->max_parts)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: __metadata__: " UPG_KEY_MATRICES
                        ": %s: must be a list of 1 to %zu parts, it has %zu",
                        r->where, slot->name, slot->max_parts, n_parts);
    for (size_t i = 0; i < n_parts && status == UPG_OK; i++) {
        status = read_part(r, slot, &slot->parts[i], json_array_get(parts, i), err);
        n_rows += slot->parts[i].n_rows;
    }
    if (status == UPG_OK && n_rows != slot->n_rows)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: matrix %s: its parts have %zu rows, the config needs %zu", r->where,
                        slot->name, n_rows, slot->n_rows);
    if (status == UPG_OK && slot->linear) {
        slot->linear->n_parts = n_parts;
        slot->linear->n_rows = n_rows;
        slot->linear->n_cols = slot->n_cols;
    }
    return status;
}

static upg_status read_weights(struct reader *r, const upg_model_options *options, upg_error *err)
{
    struct upg_model *model = r->model;
    const struct upg_config *c = &model->config;
    const size_t n_slots = upg_n_slots(c), n_norms = upg_n_norms(c);
    upg_status status = UPG_OK;

    model->layers = upg_arena_alloc(&model->arena, c->n_layers, sizeof *model->layers);
    r->in_matrix = upg_arena_alloc(&model->arena, r->directory.n_tensors, sizeof *r->in_matrix);
    if (!model->layers || !r->in_matrix)
        return upg_fail_memory(err, "layers", c->n_layers * sizeof *model->layers);
    for (size_t i = 0; i < n_norms && status == UPG_OK; i++) {
        const struct upg_norm norm = upg_norm_of(model, i);
        status = read_norm(r, &norm, c->d_model, err);
    }
    for (size_t i = 0; i < n_slots && status == UPG_OK; i++) {
        const struct upg_slot slot = upg_slot_of(model, i);
        if (options && options->progress &&
            options->progress(options->progress_context, "read tensors", i, n_slots) != 0)
            return upg_fail(err, UPG_ERR_CANCELLED, "%s: cancelled", r->where);
        status = read_slot(r, &slot, err);
    }
    if (c->tied_embeddings)
        model->head = (struct upg_linear){
            .n_parts = 1, .part = {model->embedding}, .n_rows = c->n_vocab, .n_cols = c->d_model};
    return status;
}

static upg_status read_tokenizer(struct reader *r, upg_error *err)
{
    const struct upg_safetensor *tensor = upg_safetensors_find(&r->directory, UPG_TOKENIZER_TENSOR);

    if (!tensor)
        return UPG_OK;
    if (tensor->dtype != UPG_DTYPE_U8)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: tensor %s: must be U8", r->where, tensor->name);
    return upg_tokenizer_unpack(&r->model->tokenizer, r->where, tensor->data, tensor->n_bytes, err);
}

/* ---- What inspect shows */

/* Nothing may hide in the padding. */
static upg_status check_padding(const struct reader *r, const struct upg_safetensor *tensor,
                                upg_error *err)
{
    for (size_t i = 0; i < tensor->n_bytes; i++)
        if (tensor->data[i] != 0)
            return upg_fail(err, UPG_ERR_FORMAT, "%s: tensor %s: padding is not zero at byte %zu",
                            r->where, tensor->name, i);
    return UPG_OK;
}

static void describe_matrix(const struct upg_matrix *m, upg_tensor_info *info)
{
    static const char *const packed_names[] = {[2] = "UPG2", [3] = "UPG3", [4] = "UPG4"};
    const uint64_t n_bytes = upg_matrix_stored_bytes(m);

    info->name = m->name;
    info->type = m->type == UPG_TYPE_PACKED ? packed_names[m->packed.k] : upg_type_name(m->type);
    info->n_dims = 2;
    info->shape[0] = m->n_rows;
    info->shape[1] = m->n_cols;
    info->bits = 8.0 * (double)n_bytes / ((double)m->n_rows * (double)m->n_cols);
    info->n_bytes = n_bytes;
}

/* Matrices, each with its scales, then the tensors that belong to none. */
static upg_status list_tensors(struct reader *r, upg_error *err)
{
    struct upg_model *model = r->model;
    const size_t n_slots = upg_n_slots(&model->config);
    size_t n = 0;
    upg_status status = UPG_OK;

    model->tensors = upg_arena_alloc(&model->arena, r->directory.n_tensors, sizeof *model->tensors);
    if (!model->tensors)
        return upg_fail_memory(err, "a list of tensors", r->directory.n_tensors);
    for (size_t i = 0; i < n_slots; i++) {
        const struct upg_slot slot = upg_slot_of(model, i);
        for (size_t p = 0; p < upg_slot_n_parts(&slot); p++)
            describe_matrix(&slot.parts[p], &model->tensors[n++]);
    }
    for (size_t i = 0; i < r->directory.n_tensors && status == UPG_OK; i++) {
        const struct upg_safetensor *tensor = &r->directory.tensors[i];
        if (strncmp(tensor->name, UPG_PAD_PREFIX, strlen(UPG_PAD_PREFIX)) == 0)
            status = check_padding(r, tensor, err);
        else if (!r->in_matrix[i])
            upg_safetensor_info(tensor, &model->tensors[n++]);
    }
    model->n_tensors = n;
    return status;
}

/* Provenance and quality as one object. */
static upg_status read_metadata(struct reader *r, upg_error *err)
{
    static const char *const keys[] = {UPG_KEY_PROVENANCE, UPG_KEY_QUALITY};
    json_t *all = json_object();
    struct upg_buffer text = {0};
    upg_status status = all ? UPG_OK : upg_fail_memory(err, "metadata", 0);

    for (size_t i = 0; i < 2 && status == UPG_OK; i++) {
        json_t *json = NULL;
        status = parse_metadata(r, keys[i], true, &json, err);
        if (status == UPG_OK && json && json_object_set(all, keys[i], json) != 0)
            status = upg_fail_memory(err, "metadata", 0);
        json_decref(json);
    }
    if (status == UPG_OK && json_object_size(all) > 0)
        status = upg_json_append(&text, all, 0, err);
    if (status == UPG_OK && text.n > 0) {
        r->model->metadata_json = upg_arena_text(&r->model->arena, text.bytes, text.n);
        if (!r->model->metadata_json)
            status = upg_fail_memory(err, "metadata", text.n);
    }
    upg_buffer_clear(&text);
    json_decref(all);
    return status;
}

static upg_status read_bytes(struct upg_model *model, const char *where, const uint8_t *bytes,
                             size_t n_bytes, const upg_model_options *options, upg_error *err)
{
    struct reader r = {.model = model, .where = where, .bytes = bytes};
    upg_status status;

    if ((uintptr_t)bytes % UPG_TENSOR_ALIGN != 0)
        return upg_fail(err, UPG_ERR_ARGUMENT, "%s: the bytes in memory are not aligned to %d",
                        where, UPG_TENSOR_ALIGN);
    model->format = "upg";
    model->n_file_bytes = n_bytes;
    model->path = upg_arena_text(&model->arena, where, strlen(where));
    if (!model->path)
        return upg_fail_memory(err, "a file name", strlen(where));
    status = upg_safetensors_read(&r.directory, where, bytes, n_bytes, &model->arena, err);
    if (status == UPG_OK)
        status = upg_check_version(r.directory.metadata, where, err);
    if (status == UPG_OK)
        status = read_config(&r, err);
    if (status == UPG_OK)
        status = parse_metadata(&r, UPG_KEY_MATRICES, false, &r.matrices, err);
    if (status == UPG_OK)
        status = read_weights(&r, options, err);
    if (status == UPG_OK)
        status = read_tokenizer(&r, err);
    if (status == UPG_OK)
        status = list_tensors(&r, err);
    if (status == UPG_OK)
        status = read_metadata(&r, err);
    if (status == UPG_OK)
        status = upg_model_check(model, err);
    json_decref(r.matrices);
    upg_safetensors_clear(&r.directory);
    return status;
}

upg_status upg_read_upg_bytes(struct upg_model *model, const char *where, const uint8_t *bytes,
                              size_t n_bytes, upg_error *err)
{
    return read_bytes(model, where, bytes, n_bytes, NULL, err);
}

upg_status upg_read_upg(struct upg_model *model, const char *path, const upg_model_options *options,
                        upg_error *err)
{
    upg_status status;

    model->maps = upg_arena_alloc(&model->arena, 1, sizeof *model->maps);
    if (!model->maps)
        return upg_fail_memory(err, "a file map", sizeof *model->maps);
    status = upg_file_map_open(model->maps, path, err);
    if (status != UPG_OK)
        return status;
    model->n_maps = 1;
    return read_bytes(model, path, model->maps->bytes, model->maps->n_bytes, options, err);
}
