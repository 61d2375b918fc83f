/* layers.c -- Hessians from the compressed predecessors, map after map. */
#include "compress/layers.h"

#include "base/size.h"
#include "compress/fit.h"
#include "compress/gemm.h"
#include "compress/sensitivity.h"
#include "model/slots.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_WINDOWS = 8 };

static const double hessian_damping = 0.01;

struct walk {
    struct upg_layers *layers;
    struct upg_pool *pool;
    const struct upg_model *model;
    const struct upg_effort *effort;
    upg_progress_fn progress;
    void *progress_context;
    uint64_t done, total; /* thousands of weights */
    struct upg_spent spent;
    struct upg_dense_pass pass;
    struct upg_dense_buffers buffers;
    struct upg_dense_weights weights;
    float *x, *heads, *y; /* [T, d_model], [T, n_heads head_dim], [T, d_model] of all windows: those
                             for calibration, then the held ones */
    float *act;           /* [T, d_ff] */
    struct originals {    /* the same without compression; only if layers->fit */
        float *x, *next_x, *heads, *y, *act;
        float *normed; /* [batch tokens, d_model] */
    } original;
    struct upg_fit fit;
    float *hessian; /* [n, n] for the widest map input */
    struct upg_arena arena;
};

/* For calibration. */
static size_t n_tokens(const struct walk *w)
{
    return w->layers->n_windows * w->layers->window;
}

static size_t n_all_windows(const struct walk *w)
{
    return w->layers->n_windows + w->layers->held.n_windows;
}

static size_t map_rows(const struct upg_coded_map *map)
{
    size_t rows = 0;

    for (size_t i = 0; i < map->n_parts; i++)
        rows += map->part[i].n_rows;
    return rows;
}

upg_status upg_layers_load(struct upg_layers *layers, size_t slot, upg_error *err)
{
    struct upg_coded_map *map = &layers->maps[slot];
    upg_status status;
    int found;

    if (map->gain)
        return UPG_OK;
    status = upg_coded_map_allocate(map, err);
    if (status == UPG_OK)
        status = upg_store_load(&layers->store, slot, map, &found, err);
    if (status == UPG_OK && !found)
        status = upg_fail(err, UPG_ERR_IO, "%s: part %zu is gone; run the command again",
                          layers->store.folder, slot);
    return status;
}

static void count_spent(struct upg_spent *spent, const struct upg_coded_map *map)
{
    for (size_t i = 0; i < map->n_parts; i++) {
        const struct upg_matrix matrix = upg_coded_part_matrix(map, i);
        const double n = (double)matrix.n_rows * (double)matrix.n_cols;
        spent->weights += n;
        spent->bytes += (double)upg_matrix_stored_bytes(&matrix);
        spent->squared_error += n * map->part[i].nmse;
    }
}

/* Encode w (or find it done), store it, and put what the codes mean into w in its place. */
static upg_status encode_slot(struct walk *walk, size_t slot, float *w, const float *hessian,
                              upg_error *err)
{
    struct upg_coded_map *map = &walk->layers->maps[slot];
    upg_status status = upg_coded_map_allocate(map, err);
    int found = 0;

    if (status == UPG_OK)
        status = upg_store_load(&walk->layers->store, slot, map, &found, err);
    if (status == UPG_OK && !found) {
        status = upg_encode_map(walk->pool, map, w, hessian, hessian_damping, walk->effort, err);
        if (status == UPG_OK)
            status = upg_store_save(&walk->layers->store, slot, map, err);
    }
    if (status == UPG_OK)
        status = upg_coded_map_decode(walk->pool, map, w, err);
    count_spent(&walk->spent, map);
    walk->done += map_rows(map) * map->n_cols / 1000;
    if (!walk->layers->keep) {
        const struct upg_coded_map numbers = *map; /* the report wants the errors */
        upg_coded_map_clear(map);
        for (size_t i = 0; i < map->n_parts; i++) {
            map->part[i].nmse = numbers.part[i].nmse;
            map->part[i].proxy_loss = numbers.part[i].proxy_loss;
        }
    }
    if (status == UPG_OK && walk->progress &&
        walk->progress(walk->progress_context, "compress", walk->done, walk->total))
        status = upg_fail(err, UPG_ERR_CANCELLED,
                          "stopped; what is done is kept: the same command goes on");
    return status;
}

/* ---- Batches of windows ---- */

/* Point the pass at the rows of a batch in the buffers of all windows.  A batch is of one kind. */
static void enter_batch(struct walk *w, size_t first_window)
{
    const struct upg_config *config = &w->model->config;
    const size_t end =
        first_window < w->layers->n_windows ? w->layers->n_windows : n_all_windows(w);
    const size_t left = end - first_window;
    const size_t token = first_window * w->layers->window;

    w->pass.n_windows = left < BATCH_WINDOWS ? left : BATCH_WINDOWS;
    w->pass.heads = w->heads + token * config->n_heads * config->head_dim;
    w->pass.y = w->y + token * config->d_model;
    w->pass.act = w->act + token * config->d_ff;
}

static void begin_hessian(struct walk *w, size_t n)
{
    memset(w->hessian, 0, n * n * sizeof *w->hessian);
}

static void end_hessian(struct walk *w, size_t n)
{
    upg_gemm_gram_end(w->pool, w->hessian, n, 1.0f / (float)n_tokens(w));
}

/* What a map takes in, and what it gives out. */
static size_t map_inputs(const struct upg_config *config, enum upg_map_kind kind)
{
    return kind == UPG_MAP_O      ? config->n_heads * config->head_dim
           : kind == UPG_MAP_DOWN ? config->d_ff
                                  : config->d_model;
}

/* Run a batch up to the inputs of a map; returns them, [batch tokens, map_inputs()]. */
static const float *run_to(struct walk *w, enum upg_map_kind kind, size_t first_window)
{
    const struct upg_config *config = &w->model->config;
    const float *x = w->x + first_window * w->layers->window * config->d_model;

    enter_batch(w, first_window);
    switch (kind) {
    case UPG_MAP_QKV: upg_dense_enter_attention(&w->pass, &w->weights, x); return w->pass.h1;
    case UPG_MAP_O:
        upg_dense_enter_attention(&w->pass, &w->weights, x);
        upg_dense_attend(&w->pass, &w->weights);
        return w->pass.heads;
    case UPG_MAP_GATE_UP: upg_dense_enter_mlp(&w->pass, &w->weights, x); return w->pass.h2;
    default:
        upg_dense_norm(w->pool, w->pass.h2, w->pass.y, w->weights.mlp_norm,
                       w->pass.n_windows * w->layers->window, config->d_model, config->norm_eps);
        upg_dense_gate(&w->pass, &w->weights);
        return w->pass.act;
    }
}

/* The same rows in the original model, for the batch that run_to() ran. */
static const float *original_rows(struct walk *w, enum upg_map_kind kind, size_t first_window)
{
    const struct upg_config *config = &w->model->config;
    const size_t d = config->d_model, token = first_window * w->layers->window;
    const size_t n = w->pass.n_windows * w->layers->window;
    float *normed = w->original.normed;

    switch (kind) {
    case UPG_MAP_QKV:
        upg_dense_norm(w->pool, normed, w->original.x + token * d, w->weights.attention_norm, n, d,
                       config->norm_eps);
        return normed;
    case UPG_MAP_O: return w->original.heads + token * config->n_heads * config->head_dim;
    case UPG_MAP_GATE_UP:
        upg_dense_norm(w->pool, normed, w->original.y + token * d, w->weights.mlp_norm, n, d,
                       config->norm_eps);
        return normed;
    default: return w->original.act + token * config->d_ff;
    }
}

/* The layer as it was, for all windows. */
static void run_original(struct walk *w)
{
    const struct upg_config *config = &w->model->config;
    const size_t window = w->layers->window, d = config->d_model;
    float *x = w->original.x;

    for (size_t i = 0; i < w->layers->n_windows; i += BATCH_WINDOWS) {
        const size_t token = i * window;
        enter_batch(w, i);
        w->pass.heads = w->original.heads + token * config->n_heads * config->head_dim;
        w->pass.y = w->original.y + token * d;
        w->pass.act = w->original.act + token * config->d_ff;
        upg_dense_forward(&w->pass, &w->weights, x + token * d, w->original.next_x + token * d);
    }
}

static upg_status encode_layer_map(struct walk *w, size_t layer, enum upg_map_kind kind, float *map,
                                   upg_error *err)
{
    const size_t n = map_inputs(&w->model->config, kind);
    const size_t slot = 1 + UPG_N_LAYER_MAPS * layer + kind;
    upg_status status = UPG_OK;

    begin_hessian(w, n);
    if (w->layers->fit)
        upg_fit_begin(&w->fit, n);
    for (size_t i = 0; i < n_all_windows(w); i += w->pass.n_windows) {
        const float *rows = run_to(w, kind, i);
        const size_t n_rows = w->pass.n_windows * w->layers->window;
        if (i >= w->layers->n_windows)
            continue;
        upg_gemm_gram(w->pool, w->hessian, rows, n_rows, n);
        if (w->layers->fit)
            upg_fit_add(&w->fit, original_rows(w, kind, i), rows, n_rows, n);
    }
    end_hessian(w, n);
    if (w->layers->fit)
        status = upg_fit_apply(&w->fit, map, w->hessian, hessian_damping,
                               map_rows(&w->layers->maps[slot]), n, n_tokens(w), err);
    return status == UPG_OK ? encode_slot(w, slot, map, w->hessian, err) : status;
}

static upg_status encode_layer(struct walk *w, size_t layer, upg_error *err)
{
    const size_t d = w->model->config.d_model, window = w->layers->window;
    float *const maps[] = {w->buffers.qkv, w->buffers.o, w->buffers.gate_up, w->buffers.down};
    upg_status status =
        upg_dense_read_layer(w->pool, w->model, layer, &w->buffers, &w->weights, err);

    if (status == UPG_OK && w->layers->fit)
        run_original(w);
    for (size_t kind = 0; kind < UPG_N_LAYER_MAPS && status == UPG_OK; kind++)
        status = encode_layer_map(w, layer, (enum upg_map_kind)kind, maps[kind], err);
    for (size_t i = 0; i < n_all_windows(w) && status == UPG_OK; i += w->pass.n_windows) {
        enter_batch(w, i);
        upg_dense_leave(&w->pass, &w->weights, w->x + i * window * d);
    }
    if (w->layers->fit) {
        float *x = w->original.x;
        w->original.x = w->original.next_x;
        w->original.next_x = x;
    }
    return status;
}

/* rows[n_vocab, d_model] of n_windows windows of tokens. */
static void look_up(const struct walk *w, const float *rows, const int32_t *ids, size_t n_windows,
                    float *x)
{
    const size_t d = w->model->config.d_model;

    for (size_t i = 0; i < n_windows * w->layers->window; i++)
        memcpy(x + i * d, rows + (size_t)ids[i] * d, d * sizeof *x);
}

/* The embedding: encoded, then looked up for all calibration tokens. */
static upg_status encode_embedding(struct walk *w, upg_error *err)
{
    const size_t d = w->model->config.d_model, v = w->model->config.n_vocab;
    const struct upg_linear embedding = {
        .n_parts = 1, .part = {w->model->embedding}, .n_rows = v, .n_cols = d};
    float *rows = upg_aligned_alloc(v * d, sizeof *rows);
    upg_status status =
        rows ? UPG_OK : upg_fail_memory(err, "the embedding in float32", v * d * sizeof *rows);

    if (status == UPG_OK)
        status = upg_dense_linear(w->pool, &embedding, 0, v, rows, err);
    if (status == UPG_OK && w->layers->fit)
        look_up(w, rows, w->layers->ids, w->layers->n_windows, w->original.x);
    if (status == UPG_OK)
        status = encode_slot(w, 0, rows, w->layers->tied_hessian, err);
    if (status == UPG_OK) {
        const struct upg_held_windows *held = &w->layers->held;
        look_up(w, rows, w->layers->ids, w->layers->n_windows, w->x);
        look_up(w, rows, held->ids, held->n_windows, w->x + n_tokens(w) * d);
    }
    free(rows);
    return status;
}

static upg_status encode_head(struct walk *w, upg_error *err)
{
    const struct upg_config *config = &w->model->config;
    const size_t d = config->d_model, v = config->n_vocab, window = w->layers->window;
    float *rows = upg_aligned_alloc(v * d, sizeof *rows);
    upg_status status =
        rows ? UPG_OK : upg_fail_memory(err, "the head in float32", v * d * sizeof *rows);

    if (status == UPG_OK)
        status = upg_dense_linear(w->pool, &w->model->head, 0, v, rows, err);
    if (status == UPG_OK) {
        begin_hessian(w, d);
        for (size_t i = 0; i < w->layers->n_windows; i += BATCH_WINDOWS) {
            enter_batch(w, i);
            upg_dense_norm(w->pool, w->pass.h1, w->x + i * window * d, w->model->norm,
                           w->pass.n_windows * window, d, config->norm_eps);
            upg_gemm_gram(w->pool, w->hessian, w->pass.h1, w->pass.n_windows * window, d);
        }
        end_hessian(w, d);
        status = encode_slot(w, 1 + 4 * config->n_layers, rows, w->hessian, err);
    }
    free(rows);
    return status;
}

/* ---- What was lost ---- */

/* Rows of the head in float32: the original's, or (from its codes) the compressed one's. */
static upg_status load_head(struct walk *w, bool compressed, float *rows, upg_error *err)
{
    const struct upg_config *config = &w->model->config;
    const size_t slot = config->tied_embeddings ? 0 : upg_n_slots(config) - 1;
    struct upg_coded_map *map = &w->layers->maps[slot];
    upg_status status;

    if (!compressed)
        return upg_dense_linear(w->pool, &w->model->head, 0, config->n_vocab, rows, err);
    status = upg_layers_load(w->layers, slot, err);
    if (status == UPG_OK)
        status = upg_coded_map_decode(w->pool, map, rows, err);
    if (!w->layers->keep)
        upg_coded_map_clear(map);
    return status;
}

/* The second halves of the held windows at the original's head and at the compressed one: only one
 * of the heads is in memory at a time, so the original's logits are kept. */
static upg_status measure_distance(struct walk *w, upg_error *err)
{
    const struct upg_config *config = &w->model->config;
    struct upg_held_windows *held = &w->layers->held;
    const size_t d = config->d_model, v = config->n_vocab, window = w->layers->window;
    const size_t first = window / 2, n = window - first;
    float *head = upg_aligned_alloc(v * d, sizeof *head);
    float *teacher = upg_aligned_alloc(held->n_windows * n * v, sizeof *teacher);
    float *student = upg_aligned_alloc(n * v, sizeof *student);
    struct upg_held_rows rows = {0};
    upg_status status = upg_held_rows_init(&rows, held->n_windows, window, err);

    if (!head || !teacher || !student)
        status = upg_fail_memory(err, "held-out logits", held->n_windows * n * v * sizeof(float));
    if (status == UPG_OK)
        status = load_head(w, false, head, err);
    for (size_t i = 0; i < held->n_windows && status == UPG_OK; i++)
        upg_gemm_xwt(w->pool, teacher + i * n * v, held->hidden + (i * window + first) * d, head, n,
                     v, d);
    if (status == UPG_OK)
        status = load_head(w, true, head, err);
    rows.ids = held->ids;
    for (size_t i = 0; i < held->n_windows && status == UPG_OK; i++) {
        const size_t row = i * window + first;
        enter_batch(w, w->layers->n_windows + i);
        upg_dense_norm(w->pool, w->pass.h1, w->x + (n_tokens(w) + row) * d, w->model->norm, n, d,
                       config->norm_eps);
        upg_gemm_xwt(w->pool, student, w->pass.h1, head, n, v, d);
        upg_held_rows_add(&rows, teacher + i * n * v, student, row, n, v);
    }
    if (status == UPG_OK)
        held->distance = upg_held_rows_distance(&rows);
    upg_held_rows_clear(&rows);
    free(head);
    free(teacher);
    free(student);
    return status;
}

static upg_status allocate_originals(struct walk *w, size_t batch, size_t widest, upg_error *err)
{
    const struct upg_config *config = &w->model->config;
    const size_t n_heads_dim = config->n_heads * config->head_dim, t = n_tokens(w);
    struct originals *o = &w->original;
    size_t most_rows = 0;

    for (size_t i = 0; i < upg_n_slots(config); i++)
        if (map_rows(&w->layers->maps[i]) > most_rows)
            most_rows = map_rows(&w->layers->maps[i]);
    o->x = upg_arena_alloc(&w->arena, t, config->d_model * sizeof(float));
    o->next_x = upg_arena_alloc(&w->arena, t, config->d_model * sizeof(float));
    o->heads = upg_arena_alloc(&w->arena, t, n_heads_dim * sizeof(float));
    o->y = upg_arena_alloc(&w->arena, t, config->d_model * sizeof(float));
    o->act = upg_arena_alloc(&w->arena, t, config->d_ff * sizeof(float));
    o->normed =
        upg_arena_alloc(&w->arena, batch * w->layers->window, config->d_model * sizeof(float));
    if (!o->x || !o->next_x || !o->heads || !o->y || !o->act || !o->normed)
        return upg_fail_memory(err, "rows of the original", t * config->d_ff * sizeof(float));
    return upg_fit_init(&w->fit, w->pool, most_rows, widest, batch * w->layers->window, &w->arena,
                        err);
}

static upg_status allocate(struct walk *w, upg_error *err)
{
    const struct upg_config *config = &w->model->config;
    const size_t n_heads_dim = config->n_heads * config->head_dim;
    const size_t t = n_all_windows(w) * w->layers->window;
    const size_t widest = config->d_ff > n_heads_dim ? config->d_ff : n_heads_dim;
    const size_t n = widest > config->d_model ? widest : config->d_model;
    const size_t batch = n_all_windows(w) < BATCH_WINDOWS ? n_all_windows(w) : BATCH_WINDOWS;
    upg_status status;

    w->x = upg_arena_alloc(&w->arena, t, config->d_model * sizeof(float));
    w->heads = upg_arena_alloc(&w->arena, t, n_heads_dim * sizeof(float));
    w->y = upg_arena_alloc(&w->arena, t, config->d_model * sizeof(float));
    w->act = upg_arena_alloc(&w->arena, t, config->d_ff * sizeof(float));
    w->hessian = upg_arena_alloc(&w->arena, n, n * sizeof(float));
    if (!w->x || !w->heads || !w->y || !w->act || !w->hessian)
        return upg_fail_memory(err, "calibration rows", t * widest * sizeof(float));
    status = upg_dense_buffers_init(&w->buffers, config, &w->arena, err);
    if (status == UPG_OK && w->layers->fit)
        status = allocate_originals(w, batch, n, err);
    if (status != UPG_OK)
        return status;
    return upg_dense_pass_init(&w->pass, config, w->pool, batch, w->layers->window,
                               UPG_DENSE_FORWARD_ONLY, &w->arena, err);
}

upg_status upg_layers_encode(struct upg_layers *layers, struct upg_pool *pool,
                             const struct upg_model *model, const struct upg_effort *effort,
                             upg_progress_fn progress, void *progress_context, upg_error *err)
{
    struct walk w = {.layers = layers,
                     .pool = pool,
                     .model = model,
                     .effort = effort,
                     .progress = progress,
                     .progress_context = progress_context};
    upg_status status = allocate(&w, err);

    for (size_t i = 0; i < upg_n_slots(&model->config); i++)
        w.total += map_rows(&layers->maps[i]) * layers->maps[i].n_cols / 1000;
    if (status == UPG_OK)
        status = encode_embedding(&w, err);
    for (size_t layer = 0; layer < model->config.n_layers && status == UPG_OK; layer++) {
        status = encode_layer(&w, layer, err);
        w.spent.n_layers = layer + 1;
        if (status == UPG_OK && layers->on_layer)
            layers->on_layer(layers->layer_context, &w.spent);
    }
    if (status == UPG_OK && !model->config.tied_embeddings)
        status = encode_head(&w, err);
    if (status == UPG_OK)
        status = measure_distance(&w, err);
    upg_arena_clear(&w.arena);
    return status;
}
