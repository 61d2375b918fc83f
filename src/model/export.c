/* export.c -- upg_export(): the list of tensors, and rows decoded by all threads.
 *
 * Rows come in tiles of 256, which is what the output side of the code's transform mixes: a tile
 * that begins where a part does is decoded once. */
#include "model/export.h"

#include "base/half.h"
#include "model/slots.h"

#include <stdio.h>
#include <string.h>

enum { TILE_ROWS = 256 };

void upg_export_options_defaults(upg_export_options *options)
{
    *options = (upg_export_options){.size = sizeof *options};
}

/* ---- The list ---- */

static bool is_phi3(const struct upg_config *config)
{
    return strcmp(config->architecture, "Phi3ForCausalLM") == 0;
}

/* A slot is written as one tensor, or as two or three. */
struct piece {
    const char *hf, *gguf;
    size_t n_rows;
    bool rotated;
};

static size_t pieces_of_slot(const struct upg_config *c, const struct upg_slot *slot,
                             struct piece pieces[UPG_MAX_PARTS])
{
    const size_t q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    const bool is_split = !is_phi3(c);
    const size_t n = slot->n_rows;

    switch (slot->kind) {
    case UPG_SLOT_EMBEDDING:
        pieces[0] = (struct piece){"model.embed_tokens", "token_embd", n, false};
        return 1;
    case UPG_SLOT_QKV:
        pieces[0] = (struct piece){"self_attn.qkv_proj", "attn_qkv", n, false};
        if (!is_split)
            return 1;
        pieces[0] = (struct piece){"self_attn.q_proj", "attn_q", q, true};
        pieces[1] = (struct piece){"self_attn.k_proj", "attn_k", kv, true};
        pieces[2] = (struct piece){"self_attn.v_proj", "attn_v", kv, false};
        return 3;
    case UPG_SLOT_O:
        pieces[0] = (struct piece){"self_attn.o_proj", "attn_output", n, false};
        return 1;
    case UPG_SLOT_GATE_UP:
        pieces[0] = (struct piece){"mlp.gate_up_proj", "ffn_up", n, false};
        if (!is_split)
            return 1;
        pieces[0] = (struct piece){"mlp.gate_proj", "ffn_gate", c->d_ff, false};
        pieces[1] = (struct piece){"mlp.up_proj", "ffn_up", c->d_ff, false};
        return 2;
    case UPG_SLOT_DOWN: pieces[0] = (struct piece){"mlp.down_proj", "ffn_down", n, false}; return 1;
    case UPG_SLOT_HEAD: break;
    }
    pieces[0] = (struct piece){"lm_head", "output", n, false};
    return 1;
}

static void set_name(const struct upg_export *e, struct upg_export_tensor *tensor, bool in_layer,
                     size_t layer, const char *hf, const char *gguf)
{
    const bool is_gguf = e->options->format == UPG_EXPORT_GGUF;
    const char *name = is_gguf ? gguf : hf;

    if (in_layer)
        snprintf(tensor->name, sizeof tensor->name, "%s.%zu.%s.weight",
                 is_gguf ? "blk" : "model.layers", layer, name);
    else
        snprintf(tensor->name, sizeof tensor->name, "%s.weight", name);
}

static void list_slot(struct upg_export *e, size_t i)
{
    const struct upg_config *config = &e->model->config;
    const struct upg_slot slot = upg_slot_of(e->model, i);
    const bool in_layer = slot.kind != UPG_SLOT_EMBEDDING && slot.kind != UPG_SLOT_HEAD;
    const bool wants_pairs = e->options->format == UPG_EXPORT_GGUF && !is_phi3(config);
    struct piece pieces[UPG_MAX_PARTS];
    const size_t n = pieces_of_slot(config, &slot, pieces);
    size_t begin = 0;

    for (size_t p = 0; p < n; p++) {
        struct upg_export_tensor *tensor = &e->tensors[e->n_tensors++];
        *tensor = (struct upg_export_tensor){
            .parts = slot.parts, .begin = begin, .n_rows = pieces[p].n_rows, .n_cols = slot.n_cols};
        if (pieces[p].rotated && wants_pairs != config->interleaved_pairs)
            tensor->order = wants_pairs ? UPG_ROWS_HALVES_TO_PAIRS : UPG_ROWS_PAIRS_TO_HALVES;
        set_name(e, tensor, in_layer, (i - 1) / 4, pieces[p].hf, pieces[p].gguf);
        begin += pieces[p].n_rows;
        e->n_all += (uint64_t)tensor->n_rows * tensor->n_cols / 1000;
        if (tensor->n_cols > e->max_cols)
            e->max_cols = tensor->n_cols;
    }
    for (size_t p = 0; p < upg_slot_n_parts(&slot); p++) {
        const struct upg_matrix *part = &slot.parts[p];
        const size_t need =
            part->type == UPG_TYPE_PACKED ? upg_packed_row_scratch(&part->packed) : 0;
        e->n_scratch = need > e->n_scratch ? need : e->n_scratch;
    }
}

static void list_norm(struct upg_export *e, size_t i)
{
    const struct upg_norm norm = upg_norm_of(e->model, i);
    struct upg_export_tensor *tensor = &e->tensors[e->n_tensors++];
    const size_t layer = i / 2;

    *tensor = (struct upg_export_tensor){
        .vector = *norm.values, .n_rows = 1, .n_cols = e->model->config.d_model};
    if (layer == e->model->config.n_layers)
        set_name(e, tensor, false, 0, "model.norm", "output_norm");
    else if (i % 2 == 0)
        set_name(e, tensor, true, layer, "input_layernorm", "attn_norm");
    else
        set_name(e, tensor, true, layer, "post_attention_layernorm", "ffn_norm");
}

static upg_status list_tensors(struct upg_export *e, upg_error *err)
{
    const struct upg_config *config = &e->model->config;
    const size_t n_norms = upg_n_norms(config), n_slots = upg_n_slots(config);
    const size_t max = n_norms + n_slots * UPG_MAX_PARTS;

    e->tensors = upg_arena_alloc(&e->arena, max, sizeof *e->tensors);
    if (!e->tensors)
        return upg_fail_memory(err, "the list of tensors", max * sizeof *e->tensors);
    for (size_t i = 0; i < n_slots; i++)
        list_slot(e, i);
    for (size_t i = 0; i < n_norms; i++)
        list_norm(e, i);
    return UPG_OK;
}

/* ---- Rows ---- */

struct decode {
    struct upg_export *e;
    const struct upg_export_tensor *tensor;
    size_t begin, n; /* rows of the tensor; a whole number of heads where their order changes */
};

/* Rows [begin, begin + n) of parts that follow each other. */
static void read_rows(const struct upg_matrix *parts, size_t begin, size_t n, float *out,
                      float *scratch)
{
    while (n > 0) {
        size_t here;
        for (; begin >= parts->n_rows; parts++)
            begin -= parts->n_rows;
        here = parts->n_rows - begin < n ? parts->n_rows - begin : n;
        upg_matrix_rows(parts, begin, here, out, scratch);
        out += here * parts->n_cols;
        begin += here;
        n -= here;
    }
}

/* Where row r of a head of n rows goes. */
static size_t row_in_order(enum upg_row_order order, size_t r, size_t n)
{
    switch (order) {
    case UPG_ROWS_PAIRS_TO_HALVES: return r % 2 * (n / 2) + r / 2;
    case UPG_ROWS_HALVES_TO_PAIRS: return r % (n / 2) * 2 + r / (n / 2);
    case UPG_ROWS_AS_THEY_ARE: break;
    }
    return r;
}

static void decode_job(void *context, size_t thread, size_t n_threads)
{
    const struct decode *d = context;
    struct upg_export *e = d->e;
    const struct upg_export_tensor *t = d->tensor;
    const size_t head = e->model->config.head_dim;
    float *rows = e->rows + thread * TILE_ROWS * e->max_cols;
    size_t first, end;

    upg_split((d->n + TILE_ROWS - 1) / TILE_ROWS, thread, n_threads, &first, &end);
    for (size_t row = first * TILE_ROWS; row < d->n && row < end * TILE_ROWS; row += TILE_ROWS) {
        const size_t n = d->n - row < TILE_ROWS ? d->n - row : TILE_ROWS;
        if (e->fill) {
            e->fill(e->fill_context, t, d->begin + row, n, e->bits + row * t->n_cols);
            continue;
        }
        read_rows(t->parts, t->begin + d->begin + row, n, rows, e->scratch + thread * e->n_scratch);
        for (size_t r = 0; r < n; r++) {
            const size_t in_head = (row + r) % head, first_of_head = row + r - in_head;
            const size_t to = first_of_head + row_in_order(t->order, in_head, head);
            for (size_t c = 0; c < t->n_cols; c++)
                e->bits[to * t->n_cols + c] = upg_f32_to_bf16(rows[r * t->n_cols + c]);
        }
    }
}

upg_status upg_export_matrix(struct upg_export *e, const struct upg_export_tensor *tensor,
                             upg_export_sink sink, void *context, upg_error *err)
{
    const uint64_t n_before = e->n_done;
    upg_status status = UPG_OK;

    for (size_t row = 0; row < tensor->n_rows && status == UPG_OK; row += e->chunk_rows) {
        const size_t left = tensor->n_rows - row, n = left < e->chunk_rows ? left : e->chunk_rows;
        struct decode decode = {e, tensor, row, n};
        upg_pool_run(e->pool, decode_job, &decode);
        status = sink(context, e->bits, n * tensor->n_cols * sizeof *e->bits, err);
        e->n_done = n_before + (uint64_t)(row + n) * tensor->n_cols / 1000;
        if (status == UPG_OK && e->options->progress &&
            e->options->progress(e->options->progress_context, "export", e->n_done, e->n_all) != 0)
            status = upg_fail(err, UPG_ERR_CANCELLED, "%s: cancelled", e->destination);
    }
    return status;
}

/* Memory for chunks: a tile a thread, and a whole number of heads. */
static upg_status allocate(struct upg_export *e, upg_error *err)
{
    const size_t n_threads = upg_pool_n_threads(e->pool), head = e->model->config.head_dim;
    const size_t rows = n_threads * TILE_ROWS;

    e->chunk_rows = (rows + head - 1) / head * head;
    e->rows = upg_arena_alloc(&e->arena, rows, e->max_cols * sizeof *e->rows);
    e->scratch = upg_arena_alloc(&e->arena, n_threads, e->n_scratch * sizeof *e->scratch);
    e->bits = upg_arena_alloc(&e->arena, e->chunk_rows, e->max_cols * sizeof *e->bits);
    if (!e->rows || !e->scratch || !e->bits)
        return upg_fail_memory(err, "rows to export", rows * e->max_cols * sizeof *e->rows);
    return UPG_OK;
}

/* Neither format's Llama can rotate a part of a head. */
static upg_status check_config(const struct upg_export *e, upg_error *err)
{
    const struct upg_config *c = &e->model->config;

    if (is_phi3(c) || c->rotary_dim == c->head_dim)
        return UPG_OK;
    return upg_fail(err, UPG_ERR_UNSUPPORTED,
                    "%s: rotates %zu of %zu values of a head, which %s cannot say for %s",
                    e->model->path, c->rotary_dim, c->head_dim,
                    e->options->format == UPG_EXPORT_GGUF ? "GGUF" : "config.json",
                    c->architecture);
}

upg_status upg_export_model(struct upg_export *e, upg_error *err)
{
    upg_status status = check_config(e, err);

    if (status == UPG_OK)
        status = upg_pool_new(&e->pool, e->options->n_threads, err);
    if (status == UPG_OK)
        status = list_tensors(e, err);
    if (status == UPG_OK)
        status = allocate(e, err);
    if (status == UPG_OK)
        status =
            e->options->format == UPG_EXPORT_GGUF ? upg_export_gguf(e, err) : upg_export_hf(e, err);
    upg_pool_free(e->pool);
    upg_arena_clear(&e->arena);
    return status;
}

upg_status upg_export(const char *source, const char *destination,
                      const upg_export_options *options, upg_error *err)
{
    upg_export_options defaults;
    struct upg_export e = {.destination = destination};
    upg_model_options model_options;
    upg_model *model = NULL;
    upg_status status;

    upg_export_options_defaults(&defaults);
    e.options = options ? options : &defaults;
    upg_model_options_defaults(&model_options);
    model_options.progress = e.options->progress;
    model_options.progress_context = e.options->progress_context;
    status = upg_model_open(&model, source, &model_options, err);
    e.model = model;
    if (status == UPG_OK)
        status = upg_export_model(&e, err);
    upg_model_free(model);
    return status;
}
