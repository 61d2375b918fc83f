/* weights.c -- loading a model.
 *
 * Each layer is measured, given a buffer, and filled, by the same functions run twice.  An embedding
 * whose rows decode alone goes along; others stay with the host, which decodes a row a token. */
#include "gpu/weights.h"

#include "base/half.h"
#include "gpu/upload.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ROW = 1 << 18 }; /* columns of a plain matrix that fit a piece of the staging buffer */

/* One bit an index: whether it is negated. */
static struct gpu_range load_signs(struct gpu_upload *upload, uint64_t seed, uint32_t n)
{
    uint32_t *bits = gpu_upload_bytes(upload, n / 8);

    for (uint32_t i = 0; bits && i < n / 32; i++) {
        bits[i] = 0;
        for (uint32_t j = 0; j < 32; j++)
            bits[i] |= (uint32_t)upg_transform_sign(seed, 32 * i + j) << j;
    }
    return gpu_upload_range(upload);
}

/* Codes, with the words of two column groups side by side: a thread reads both at once.
 *   from  [pair][2][vector * 16 + r]   ->   to  [pair][vector * 16 + r][2] */
static struct gpu_range load_codes(struct gpu_upload *upload, const struct upg_packed *from)
{
    const size_t n = (size_t)16 * (size_t)from->k; /* words of a column group */
    const size_t n_pairs =
        from->padded_rows / UPG_ROW_BLOCK * from->padded_cols / UPG_COL_GROUP / 2;
    const size_t each = 2048; /* pairs of a piece: 1 MiB at k = 4 */
    const uint32_t *words = (const uint32_t *)(const void *)from->codes; /* aligned to 64 */

    for (size_t first = 0; first < n_pairs; first += each) {
        const size_t n_here = n_pairs - first < each ? n_pairs - first : each;
        uint32_t *to = gpu_upload_bytes(upload, n_here * 2 * n * sizeof *to);

        for (size_t p = 0; to && p < n_here; p++, to += 2 * n)
            for (size_t i = 0; i < n; i++) {
                to[2 * i] = words[(first + p) * 2 * n + i];
                to[2 * i + 1] = words[(first + p) * 2 * n + n + i];
            }
    }
    return gpu_upload_range(upload);
}

/* All but the codes. */
static void load_packed(struct gpu_upload *upload, struct gpu_matrix *to,
                        const struct upg_packed *from)
{
    to->k = from->k;
    to->padded_rows = (uint32_t)from->padded_rows;
    to->padded_cols = (uint32_t)from->padded_cols;
    to->n_blocks = (to->padded_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;
    to->has_output_transform = from->has_output_transform;
    to->row_scale = gpu_upload_copy(upload, from->row_scale, from->padded_rows * sizeof(uint16_t));
    to->gain = gpu_upload_copy(upload, from->gain, to->n_blocks * sizeof(float));
    to->signs_in = load_signs(upload, from->seed_in, to->padded_cols);
    to->signs_out = load_signs(upload, from->seed_out, to->padded_rows);
}

/* A row in the device's form; scratch[n_cols] for types that are converted. */
static void store_row(void *to, const struct upg_matrix *from, size_t row, size_t row_bytes,
                      float *scratch)
{
    if (from->type <= UPG_TYPE_I8_ROWS) {
        memcpy(to, (const uint8_t *)from->data + row * row_bytes, row_bytes);
        return;
    }
    upg_matrix_rows(from, row, 1, scratch, NULL);
    for (size_t i = 0; i < from->n_cols; i++) {
        const uint16_t half = upg_f32_to_f16(scratch[i]);

        memcpy((uint8_t *)to + i * sizeof half, &half, sizeof half);
    }
}

static void load_plain(struct gpu_upload *upload, struct gpu_matrix *to,
                       const struct upg_matrix *from)
{
    float *scratch = NULL;
    size_t row_bytes = 0;

    to->type = from->type <= UPG_TYPE_I8_ROWS ? from->type : UPG_TYPE_F16;
    upg_type_row_bytes(to->type, from->n_cols, &row_bytes); /* checked by the reader */
    to->row_words = (uint32_t)((row_bytes + 3) / 4);
    if (to->type != from->type && upload->buffer) {
        scratch = malloc(from->n_cols * sizeof *scratch);
        if (!scratch)
            upg_fail_memory(&upload->failure, "a row of weights", from->n_cols * sizeof *scratch);
    }
    for (size_t row = 0; row < from->n_rows; row++) {
        uint8_t *bytes = gpu_upload_bytes(upload, 4 * (uint64_t)to->row_words);

        if (!bytes)
            continue;
        memset(bytes + row_bytes, 0, 4 * (size_t)to->row_words - row_bytes);
        store_row(bytes, from, row, row_bytes, scratch);
    }
    free(scratch);
    to->codes = gpu_upload_range(upload);
    to->row_scale = to->codes; /* bound, not read */
    if (to->type == UPG_TYPE_I8_ROWS)
        to->row_scale =
            gpu_upload_copy(upload, from->row_scale, from->n_rows * sizeof *from->row_scale);
}

static void load_linear(struct gpu_upload *upload, struct gpu_linear *to,
                        const struct upg_linear *from)
{
    to->n_parts = from->n_parts;
    for (size_t i = 0; i < from->n_parts; i++) { /* codes of parts one behind the other: linear.c */
        const struct upg_matrix *part = &from->part[i];

        to->part[i] = (struct gpu_matrix){
            .type = part->type, .n_rows = (uint32_t)part->n_rows, .n_cols = (uint32_t)part->n_cols};
        if (part->type == UPG_TYPE_PACKED)
            to->part[i].codes = load_codes(upload, &part->packed);
    }
    for (size_t i = 0; i < from->n_parts; i++) {
        const struct upg_matrix *part = &from->part[i];

        if (part->type == UPG_TYPE_PACKED)
            load_packed(upload, &to->part[i], &part->packed);
        else
            load_plain(upload, &to->part[i], part);
    }
}

/* Layer i; behind the last one the head, and the embedding. */
static void load_layer(struct gpu_upload *upload, struct gpu_layer *to,
                       const struct upg_model *model, size_t i)
{
    const uint64_t n_bytes = model->config.d_model * sizeof(float);
    const struct upg_layer *from;

    if (i == model->config.n_layers + 1) {
        const struct upg_linear embedding = {.n_parts = 1, .part = {model->embedding}};

        load_linear(upload, &to->maps[0], &embedding);
        return;
    }
    if (i == model->config.n_layers) {
        to->norms[0] = gpu_upload_copy(upload, model->norm, n_bytes);
        load_linear(upload, &to->maps[0], &model->head);
        return;
    }
    from = &model->layers[i];
    to->norms[0] = gpu_upload_copy(upload, from->attention_norm, n_bytes);
    to->norms[1] = gpu_upload_copy(upload, from->mlp_norm, n_bytes);
    load_linear(upload, &to->maps[GPU_QKV], &from->qkv);
    load_linear(upload, &to->maps[GPU_O], &from->o);
    load_linear(upload, &to->maps[GPU_GATE_UP], &from->gate_up);
    load_linear(upload, &to->maps[GPU_DOWN], &from->down);
}

/* The device sees a matrix as one range, and indices of 32 bits. */
static upg_status check_matrix(const struct gpu_weights *weights, const struct upg_matrix *matrix,
                               upg_error *err)
{
    uint64_t n_bytes = upg_matrix_stored_bytes(matrix);

    if (matrix->type > UPG_TYPE_PACKED) /* becomes F16 */
        n_bytes = 2 * (uint64_t)matrix->n_rows * matrix->n_cols;
    if (n_bytes > weights->gpu->limits.max_range || n_bytes >> 32 || matrix->n_cols > MAX_ROW)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "GPU: %s has %zu x %zu weights in %.1f MB, %s takes at most %.1f MB in "
                        "one piece; use device cpu",
                        matrix->name, matrix->n_rows, matrix->n_cols, 1e-6 * (double)n_bytes,
                        weights->gpu->limits.name, 1e-6 * (double)weights->gpu->limits.max_range);
    return UPG_OK;
}

static upg_status check_linear(const struct gpu_weights *weights, const struct upg_linear *linear,
                               upg_error *err)
{
    upg_status status = UPG_OK;

    for (size_t i = 0; status == UPG_OK && i < linear->n_parts; i++)
        status = check_matrix(weights, &linear->part[i], err);
    return status;
}

static upg_status check_model(const struct gpu_weights *weights, upg_error *err)
{
    const struct upg_model *model = weights->model;
    upg_status status = check_linear(weights, &model->head, err);

    for (size_t i = weights->first; status == UPG_OK && i < model->config.n_layers; i++) {
        const struct upg_linear *maps[] = {&model->layers[i].qkv, &model->layers[i].o,
                                           &model->layers[i].gate_up, &model->layers[i].down};

        for (size_t j = 0; status == UPG_OK && j < GPU_N_MAPS; j++)
            status = check_linear(weights, maps[j], err);
    }
    return status;
}

/* The value of a window of 6 bits, biased. */
static uint32_t biased(const struct upg_code *code, int plane, unsigned window)
{
    const unsigned i = (window & 15) ^ code->xor_map[plane][window >> 4];

    return (uint32_t)(code->table[plane][i] + 64);
}

/* Pairs of values by the windows of two neighbouring steps, which overlap: 8 bits at 2 bits a
 * symbol, 7 bits at 1. */
static void load_tables(struct gpu_upload *upload)
{
    for (int k = 2; k <= 4; k++) {
        uint32_t *pairs = gpu_upload_bytes(upload, 256 * sizeof *pairs);
        const struct upg_code *code = upg_code_of(k);

        for (unsigned i = 0; pairs && i < 256; i++) {
            pairs[i] = 0;
            for (int plane = 0; plane < 2; plane++) {
                const uint32_t first = biased(code, plane, i & 63);
                const uint32_t second = biased(code, plane, i >> code->rate[plane] & 63);

                pairs[i] |= (first | second << 8) << (16 * plane);
            }
        }
    }
    gpu_upload_range(upload);
}

/* Whether embed.comp can decode an embedding. */
static bool is_for_device(const struct gpu_device *gpu, const struct upg_matrix *embedding)
{
    const uint64_t n_bytes = upg_matrix_stored_bytes(embedding);

    return embedding->type == UPG_TYPE_PACKED && !embedding->packed.has_output_transform &&
           n_bytes <= gpu->limits.max_range && n_bytes >> 32 == 0;
}

const struct gpu_matrix *gpu_embedding(const struct gpu_weights *weights)
{
    const size_t n_layers = weights->model->config.n_layers;

    return weights->n == n_layers + 2 ? &weights->layers[n_layers + 1].maps[0].part[0] : NULL;
}

upg_status gpu_weights_load(struct gpu_weights *weights, struct gpu_device *gpu,
                            const struct upg_model *model, size_t first, upg_error *err)
{
    const bool with_embedding = first == 0 && is_for_device(gpu, &model->embedding);
    const size_t n = model->config.n_layers + (with_embedding ? 2 : 1);
    struct gpu_upload upload = {0};
    upg_status status;

    weights->gpu = gpu;
    weights->model = model;
    weights->n = n;
    weights->first = first;
    weights->layers = calloc(n, sizeof *weights->layers);
    if (!weights->layers)
        return upg_fail_memory(err, "the table of layers", n * sizeof *weights->layers);
    status = check_model(weights, err);
    if (status == UPG_OK)
        status = gpu_upload_init(&upload, gpu, err);
    if (status == UPG_OK)
        status = gpu_buffer_new(gpu, &weights->tables, (uint64_t)3 * 256 * sizeof(uint32_t),
                                GPU_LOCAL, "tables", err);
    if (status == UPG_OK) {
        gpu_upload_begin(&upload, &weights->tables);
        load_tables(&upload);
    }
    for (size_t i = first; status == UPG_OK && i < n; i++) {
        struct gpu_layer *layer = &weights->layers[i];

        gpu_upload_begin(&upload, NULL);
        load_layer(&upload, layer, model, i);
        if (i <= model->config.n_layers)
            weights->n_bytes += upload.used;
        status =
            gpu_buffer_new(gpu, &layer->buffer, upload.used, GPU_LOCAL, "a layer's weights", err);
        if (status != UPG_OK)
            break;
        gpu_upload_begin(&upload, &layer->buffer);
        load_layer(&upload, layer, model, i);
        if (upload.failure.status != UPG_OK)
            status = upg_fail(err, upload.failure.status, "%s", upload.failure.message);
    }
    gpu_upload_clear(&upload);
    return status;
}

void gpu_weights_clear(struct gpu_weights *weights)
{
    for (size_t i = 0; weights->layers && i < weights->n; i++)
        gpu_buffer_free(weights->gpu, &weights->layers[i].buffer);
    if (weights->gpu)
        gpu_buffer_free(weights->gpu, &weights->tables);
    free(weights->layers);
    memset(weights, 0, sizeof *weights);
}

const struct gpu_linear *gpu_find_linear(const struct gpu_weights *weights,
                                         const struct upg_linear *linear)
{
    const struct upg_model *model = weights->model;
    const size_t n = model->config.n_layers;
    const size_t i = ((uintptr_t)linear - (uintptr_t)model->layers) / sizeof *model->layers;

    if (linear == &model->head)
        return &weights->layers[n].maps[0];
    if (i >= n)
        return NULL;
    return &weights->layers[i].maps[linear == &model->layers[i].qkv       ? GPU_QKV
                                    : linear == &model->layers[i].o       ? GPU_O
                                    : linear == &model->layers[i].gate_up ? GPU_GATE_UP
                                                                          : GPU_DOWN];
}

const struct gpu_range *gpu_find_norm(const struct gpu_weights *weights, const float *norm)
{
    const struct upg_model *model = weights->model;

    for (size_t i = 0; i < model->config.n_layers; i++) {
        if (norm == model->layers[i].attention_norm)
            return &weights->layers[i].norms[0];
        if (norm == model->layers[i].mlp_norm)
            return &weights->layers[i].norms[1];
    }
    return norm == model->norm ? &weights->layers[model->config.n_layers].norms[0] : NULL;
}

struct gpu_range gpu_pairs(const struct gpu_weights *weights, int k)
{
    const uint64_t n_bytes = 256 * sizeof(uint32_t);

    return (struct gpu_range){weights->tables.buffer, (uint64_t)(k - 2) * n_bytes, n_bytes};
}
