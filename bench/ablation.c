/* ablation.c -- what each step of the compressor is worth: KL divergence to the original with the
 * steps added one by one.
 *
 *   bench_ablation MODEL TEXT CALIBRATION WORK [TOKENS [STEPS]]
 *
 * MODEL is uncompressed and small.  The distance is measured on the first windows of TEXT (512
 * tokens each, second halves); CALIBRATION is another text, of which TOKENS (65536) tokens serve
 * Hessians and STEPS (60) steps of tuning.  WORK names a folder for what the compressor keeps.  The
 * first rows have 3 bits for every matrix:
 *
 *   scalar         eight levels at equal distances, the scale of each row that has the least error
 *   trellis        the code of docs/codec.md on the weights as they are
 *   incoherence    + both sides rotated
 *   feedback       + LDLQ with the Hessians of compressed predecessors, 32 columns at a time (normal
 *                  effort); then 4 at a time, the fewest that the code has, and 64
 *   plan           + bits by sensitivity, 3.15 on average
 *   fit            + each map moved towards what the original computes
 *   tuning         + scales, gains and norms by distillation */
#include "codec/encoder.h"
#include "codec/scale.h"
#include "compress/gemm.h"
#include "compress/layers.h"
#include "compress/plan.h"
#include "compress/tune.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/half.h"
#include "model/slots.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 512, TEXT_WINDOWS = 32, HELD_WINDOWS = 8, BATCH = 8, BITS = 3 };

struct ablation {
    upg_model *model;
    struct upg_pool *pool;
    struct upg_calibration text, calibration; /* what is measured on; what is fitted to */
    struct upg_sensitivity sensitivity;
    float *hidden; /* [TEXT_WINDOWS, WINDOW, d_model] of the original */
    const char *work;
    size_t n_windows, n_steps; /* calibration */
    upg_error err;
};

/* ---- Steps that need no text: each matrix replaced by what its bits mean ---- */

typedef upg_status (*replace_fn)(struct ablation *a, float *w, size_t n_rows, size_t n_cols);

static upg_status keep(struct ablation *a, float *w, size_t n_rows, size_t n_cols)
{
    (void)a, (void)w, (void)n_rows, (void)n_cols;
    return UPG_OK;
}

/* Squared error of a row at eight levels -3.5 .. 3.5 steps; writes the levels to out unless NULL.
 */
static double round_row(const float *w, size_t n, float step, float *out)
{
    double error = 0.0;

    for (size_t i = 0; i < n; i++) {
        const float level = fmaxf(-3.5f, fminf(3.5f, floorf(w[i] / step) + 0.5f)) * step;
        error += (double)(w[i] - level) * (double)(w[i] - level);
        if (out)
            out[i] = level;
    }
    return error;
}

static upg_status scalar(struct ablation *a, float *w, size_t n_rows, size_t n_cols)
{
    (void)a;
    for (size_t r = 0; r < n_rows; r++, w += n_cols) {
        float largest = 0.0f, best = 0.0f;
        double least = INFINITY;
        for (size_t i = 0; i < n_cols; i++)
            largest = fmaxf(largest, fabsf(w[i]));
        for (int i = 8; i <= 40 && largest > 0.0f; i++) {
            const float step = upg_f16_to_f32(upg_f32_to_f16(largest * (float)i / 140.0f));
            const double error = step > 0.0f ? round_row(w, n_cols, step, NULL) : INFINITY;
            if (error < least) {
                least = error;
                best = step;
            }
        }
        if (best > 0.0f)
            round_row(w, n_cols, best, w);
    }
    return UPG_OK;
}

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* padded[n, cols] := what the codes mean. */
static void decode(float *padded, size_t n, size_t cols, const uint8_t *codes,
                   const uint16_t *row_scale, const float *gain)
{
    const size_t block_bytes = (size_t)UPG_LANES * BITS;

    for (size_t row = 0; row < n; row += UPG_ROW_BLOCK)
        for (size_t col = 0; col < cols; col += UPG_COL_GROUP, codes += block_bytes) {
            int8_t v[UPG_ROW_BLOCK][UPG_COL_GROUP];
            upg_decode_block(BITS, codes, col ? codes - block_bytes : NULL, v);
            for (size_t r = 0; r < UPG_ROW_BLOCK; r++)
                for (size_t c = 0; c < UPG_COL_GROUP; c++)
                    padded[(row + r) * cols + col + c] = upg_f16_to_f32(row_scale[row + r]) *
                                                         gain[(col + c) / UPG_SCALE_BLOCK] *
                                                         (float)v[r][c];
        }
}

static upg_status trellis(struct ablation *a, float *w, size_t n_rows, size_t n_cols)
{
    const size_t rows = round_up(n_rows, UPG_ROW_BLOCK), cols = round_up(n_cols, UPG_COL_UNIT);
    float *padded = upg_aligned_alloc(rows * cols, sizeof *padded);
    uint16_t *row_scale = calloc(rows, sizeof *row_scale);
    float *gain = calloc(cols / UPG_SCALE_BLOCK + 1, sizeof *gain);
    size_t n_bytes = 0;
    uint8_t *codes = upg_packed_code_bytes(BITS, n_rows, n_cols, &n_bytes)
                         ? upg_aligned_alloc(n_bytes, 1)
                         : NULL;
    upg_status status = padded && row_scale && gain && codes
                            ? UPG_OK
                            : upg_fail_memory(&a->err, "a matrix", n_bytes);

    if (status == UPG_OK) {
        for (size_t r = 0; r < n_rows; r++)
            memcpy(padded + r * cols, w + r * n_cols, n_cols * sizeof *w);
        status = upg_fit_scales(BITS, padded, rows, cols, row_scale, gain, &a->err);
    }
    if (status == UPG_OK)
        status =
            upg_encode_matrix(a->pool, BITS, padded, rows, cols, row_scale, gain, codes, &a->err);
    if (status == UPG_OK) {
        decode(padded, rows, cols, codes, row_scale, gain);
        for (size_t r = 0; r < n_rows; r++)
            memcpy(w + r * n_cols, padded + r * cols, n_cols * sizeof *w);
    }
    free(padded);
    free(row_scale);
    free(gain);
    free(codes);
    return status;
}

static upg_status rotated_trellis(struct ablation *a, float *w, size_t n_rows, size_t n_cols)
{
    struct upg_coded_map map = {
        .n_parts = 1, .n_cols = n_cols, .part[0] = {.k = BITS, .n_rows = n_rows}};
    upg_status status;

    upg_coded_map_layout(&map, 1, n_rows != a->model->config.n_vocab);
    status = upg_coded_map_allocate(&map, &a->err);
    if (status == UPG_OK)
        status = upg_encode_map(a->pool, &map, w, NULL, 0.01, upg_effort_of("normal"), &a->err);
    if (status == UPG_OK)
        status = upg_coded_map_decode(a->pool, &map, w, &a->err);
    upg_coded_map_clear(&map);
    return status;
}

/* All rows of a matrix with one part or several, replaced. */
static upg_status replaced(struct ablation *a, const struct upg_linear *linear, replace_fn replace,
                           float *w)
{
    const upg_status status = upg_dense_linear(a->pool, linear, 0, linear->n_rows, w, &a->err);

    return status == UPG_OK ? replace(a, w, linear->n_rows, linear->n_cols) : status;
}

static upg_status run_layers(struct ablation *a, replace_fn replace, float *x,
                             struct upg_arena *arena)
{
    const struct upg_config *config = &a->model->config;
    const size_t d = config->d_model;
    struct upg_dense_buffers buffers;
    struct upg_dense_weights weights;
    struct upg_dense_pass pass;
    upg_status status = upg_dense_buffers_init(&buffers, config, arena, &a->err);

    if (status == UPG_OK)
        status = upg_dense_pass_init(&pass, config, a->pool, BATCH, WINDOW, UPG_DENSE_FORWARD_ONLY,
                                     arena, &a->err);
    for (size_t layer = 0; layer < config->n_layers && status == UPG_OK; layer++) {
        const struct upg_layer *l = &a->model->layers[layer];
        const struct upg_linear *linears[] = {&l->qkv, &l->o, &l->gate_up, &l->down};
        float *const w[] = {buffers.qkv, buffers.o, buffers.gate_up, buffers.down};
        status = upg_dense_read_layer(a->pool, a->model, layer, &buffers, &weights, &a->err);
        for (size_t i = 0; i < UPG_N_LAYER_MAPS && status == UPG_OK; i++)
            status = replace(a, w[i], linears[i]->n_rows, linears[i]->n_cols);
        for (size_t i = 0; i < TEXT_WINDOWS && status == UPG_OK; i += BATCH)
            upg_dense_forward(&pass, &weights, x + i * WINDOW * d, x + i * WINDOW * d);
    }
    return status;
}

/* The rows at the head, normed, of a model whose maps are replaced: x[TEXT_WINDOWS, WINDOW,
 * d_model].  head[n_vocab, d_model] is left with the replaced head. */
static upg_status run_replaced(struct ablation *a, replace_fn replace, float *x, float *head)
{
    const struct upg_config *config = &a->model->config;
    const struct upg_linear embedding = {.n_parts = 1,
                                         .part = {a->model->embedding},
                                         .n_rows = config->n_vocab,
                                         .n_cols = config->d_model};
    const size_t d = config->d_model, n = (size_t)TEXT_WINDOWS * WINDOW;
    struct upg_arena arena = {0};
    upg_status status = replaced(a, &embedding, replace, head);

    for (size_t i = 0; i < n && status == UPG_OK; i++)
        memcpy(x + i * d, head + (size_t)a->text.ids[i] * d, d * sizeof *x);
    if (status == UPG_OK)
        status = run_layers(a, replace, x, &arena);
    if (status == UPG_OK && !config->tied_embeddings)
        status = replaced(a, &a->model->head, replace, head);
    if (status == UPG_OK)
        upg_dense_norm(a->pool, x, x, a->model->norm, n, d, config->norm_eps);
    upg_arena_clear(&arena);
    return status;
}

static void show(const char *step, double bits, const struct upg_distance *d)
{
    printf("| %s | %.2f | %.4f | %.4f | %.3f | %.1f %% |\n", step, bits, d->kld_mean, d->kld_median,
           d->kld_p99, 100.0 * d->top1_agreement);
    fflush(stdout);
}

static upg_status show_replaced(struct ablation *a, const char *step, replace_fn replace)
{
    const size_t d = a->model->config.d_model, v = a->model->config.n_vocab, n = WINDOW / 2;
    float *x = upg_aligned_alloc((size_t)TEXT_WINDOWS * WINDOW * d, sizeof *x);
    float *head = upg_aligned_alloc(v * d, sizeof *head),
          *original = upg_aligned_alloc(v * d, sizeof *original);
    float *p = upg_aligned_alloc(n * v, sizeof *p), *q = upg_aligned_alloc(n * v, sizeof *q);
    struct upg_held_rows rows = {0};
    upg_status status =
        x && head && original && p && q ? UPG_OK : upg_fail_memory(&a->err, "logits", n * v);

    if (status == UPG_OK)
        status = upg_held_rows_init(&rows, TEXT_WINDOWS, WINDOW, &a->err);
    if (status == UPG_OK)
        status = run_replaced(a, replace, x, head);
    if (status == UPG_OK)
        status = upg_dense_linear(a->pool, &a->model->head, 0, v, original, &a->err);
    rows.ids = a->text.ids;
    for (size_t i = 0; i < TEXT_WINDOWS && status == UPG_OK; i++) {
        const size_t row = i * WINDOW + n;
        upg_gemm_xwt(a->pool, p, a->hidden + row * d, original, n, v, d);
        upg_gemm_xwt(a->pool, q, x + row * d, head, n, v, d);
        upg_held_rows_add(&rows, p, q, row, n, v);
    }
    if (status == UPG_OK) {
        const struct upg_distance distance = upg_held_rows_distance(&rows);
        show(step, BITS, &distance);
    }
    upg_held_rows_clear(&rows);
    free(x);
    free(head);
    free(original);
    free(p);
    free(q);
    return status;
}

/* ---- Steps of the compressor itself ---- */

struct choice {
    const char *step;
    struct upg_effort effort;
    bool plan, fit, tune;
};

static double bits_of(const struct upg_plan *plan)
{
    double bits = 0.0, weights = 0.0;

    for (size_t i = 0; i < plan->n_slots; i++)
        for (size_t part = 0; part < plan->slots[i].n_parts; part++) {
            const struct upg_plan_part *p = &plan->slots[i].part[part];
            bits += (double)p->k * (double)p->n_rows * (double)plan->slots[i].n_cols;
            weights += (double)p->n_rows * (double)plan->slots[i].n_cols;
        }
    return bits / weights;
}

static upg_status tune(struct ablation *a, const struct upg_layers *layers,
                       struct upg_distance *on_text)
{
    const size_t n_norms = upg_n_norms(&a->model->config), d = a->model->config.d_model;
    struct upg_arena arena = {0};
    float **norms = upg_arena_alloc(&arena, n_norms, sizeof *norms);
    struct upg_student student = {a->model, layers->maps, norms};
    const struct upg_tune_options options = {
        .n_steps = a->n_steps, .windows_per_step = 8, .learning_rate = 1e-3};
    struct upg_distance distance;
    upg_status status = norms ? UPG_OK : upg_fail_memory(&a->err, "norms", n_norms * d);

    for (size_t i = 0; i < n_norms && status == UPG_OK; i++) {
        norms[i] = upg_arena_alloc(&arena, d, sizeof **norms);
        if (norms[i])
            memcpy(norms[i], *upg_norm_of(a->model, i).values, d * sizeof **norms);
        else
            status = upg_fail_memory(&a->err, "norms", n_norms * d);
    }
    if (status == UPG_OK)
        status = upg_student_distance(a->pool, &student, &a->calibration, &distance, &a->err);
    if (status == UPG_OK)
        status = upg_tune(a->pool, &student, &a->calibration, &options, &distance, &a->err);
    if (status == UPG_OK)
        status = upg_student_distance(a->pool, &student, &a->text, on_text, &a->err);
    upg_arena_clear(&arena);
    return status;
}

static upg_status show_compressed(struct ablation *a, const struct choice *choice)
{
    const struct upg_config *config = &a->model->config;
    struct upg_layers layers = {
        .keep = true,
        .fit = choice->fit,
        .ids = a->calibration.ids + (size_t)HELD_WINDOWS * WINDOW,
        .n_windows = a->n_windows,
        .window = WINDOW,
        .held = {.ids = a->text.ids, .n_windows = TEXT_WINDOWS, .hidden = a->hidden},
        .tied_hessian = config->tied_embeddings ? a->sensitivity.head_hessian : NULL};
    struct upg_plan plan = {0};
    upg_status status = upg_plan_start(&plan, a->model, BITS, &a->err);
    const uint64_t budget = upg_plan_code_bytes(&plan) / 20 * 21;

    if (status == UPG_OK && choice->plan) {
        upg_plan_clear(&plan);
        status = upg_plan_make(&plan, a->model, &a->sensitivity, 0, budget, &a->err);
    }
    if (status == UPG_OK)
        status = upg_store_open(&layers.store, a->work, 0, &a->err);
    layers.maps = calloc(upg_n_slots(config), sizeof *layers.maps);
    if (status == UPG_OK && !layers.maps)
        status = upg_fail_memory(&a->err, "maps", sizeof *layers.maps);
    for (size_t i = 0; i < plan.n_slots && status == UPG_OK; i++)
        layers.maps[i] = upg_plan_map(&plan, i, 0);
    if (status == UPG_OK)
        status =
            upg_layers_encode(&layers, a->pool, a->model, &choice->effort, NULL, NULL, &a->err);
    if (status == UPG_OK)
        show(choice->step, bits_of(&plan), &layers.held.distance);
    if (status == UPG_OK && choice->tune) {
        status = tune(a, &layers, &layers.held.distance);
        if (status == UPG_OK)
            show("+ tuning of scales, gains and norms", bits_of(&plan), &layers.held.distance);
    }
    for (size_t i = 0; layers.maps && i < plan.n_slots; i++)
        upg_coded_map_clear(&layers.maps[i]);
    free(layers.maps);
    if (layers.store.folder)
        upg_store_remove(&layers.store, plan.n_slots);
    upg_store_close(&layers.store);
    upg_plan_clear(&plan);
    return status;
}

/* ---- */

static upg_status first_windows(struct ablation *a, const char *path)
{
    struct upg_buffer text = {0};
    upg_tokens tokens = {0};
    const size_t n = (size_t)TEXT_WINDOWS * WINDOW;
    upg_status status = upg_buffer_read_file(&text, path, 1 << 28, &a->err);

    if (status == UPG_OK)
        status =
            upg_tokenize(a->model->tokenizer, text.bytes, text.n, UPG_TEXT_PLAIN, &tokens, &a->err);
    if (status == UPG_OK && tokens.n < n)
        status = upg_fail(&a->err, UPG_ERR_ARGUMENT, "%s: has %zu tokens, %zu are needed", path,
                          tokens.n, n);
    a->text = (struct upg_calibration){
        .ids = tokens.ids, .n_windows = TEXT_WINDOWS, .window = WINDOW, .n_held = TEXT_WINDOWS};
    upg_buffer_clear(&text);
    return status;
}

static upg_status prepare(struct ablation *a, char **argv)
{
    const char *calibration[] = {argv[3]};
    upg_status status = upg_model_open(&a->model, argv[1], NULL, &a->err);
    float *head = NULL;

    upg_gemm_init(UPG_GEMM_BFLOAT16);
    a->work = argv[4];
    if (status == UPG_OK)
        status = upg_pool_new(&a->pool, upg_gemm_threads(0), &a->err);
    if (status == UPG_OK)
        status = first_windows(a, argv[2]);
    if (status == UPG_OK)
        status = upg_calibration_open(&a->calibration, a->model->tokenizer, calibration, 1, WINDOW,
                                      HELD_WINDOWS, 1, &a->err);
    if (status == UPG_OK && a->calibration.n_windows - HELD_WINDOWS < a->n_windows)
        a->n_windows = a->calibration.n_windows - HELD_WINDOWS;
    if (status == UPG_OK)
        status = upg_sensitivity_measure(&a->sensitivity, a->pool, a->model, a->calibration.ids,
                                         HELD_WINDOWS, WINDOW, 1, NULL, NULL, &a->err);
    if (status != UPG_OK)
        return status;
    a->hidden = upg_aligned_alloc((size_t)TEXT_WINDOWS * WINDOW * a->model->config.d_model,
                                  sizeof *a->hidden);
    head = upg_aligned_alloc(a->model->config.n_vocab * a->model->config.d_model, sizeof *head);
    status = a->hidden && head ? run_replaced(a, keep, a->hidden, head)
                               : upg_fail_memory(&a->err, "the head", 0);
    free(head);
    return status;
}

int main(int argc, char **argv)
{
    static const struct choice choices[] = {
        {"+ error feedback, 32 columns at a time", {8, 8}, false, false, false},
        {"the same, 4 columns at a time", {1, 15}, false, false, false},
        {"the same, 64 columns at a time", {16, 8}, false, false, false},
        {"+ bits by sensitivity", {8, 8}, true, false, false},
        {"+ maps fitted to what the original computes", {8, 8}, true, true, true},
    };
    struct ablation a = {.n_windows = (argc > 5 ? strtoul(argv[5], NULL, 10) : 65536) / WINDOW,
                         .n_steps = argc > 6 ? strtoul(argv[6], NULL, 10) : 60};
    upg_status status;

    if (argc < 5) {
        fprintf(stderr, "usage: bench_ablation MODEL TEXT CALIBRATION WORK [TOKENS [STEPS]]\n");
        return 2;
    }
    status = prepare(&a, argv);
    printf("| step | bits of the codes | KLD mean | median | p99 | same top-1 "
           "|\n|---|---|---|---|---|---|\n");
    if (status == UPG_OK)
        status = show_replaced(&a, "scalar", scalar);
    if (status == UPG_OK)
        status = show_replaced(&a, "trellis code", trellis);
    if (status == UPG_OK)
        status = show_replaced(&a, "+ incoherence (both sides rotated)", rotated_trellis);
    for (size_t i = 0; i < sizeof choices / sizeof *choices && status == UPG_OK; i++)
        status = show_compressed(&a, &choices[i]);
    if (status != UPG_OK)
        fprintf(stderr, "%s\n", a.err.message);
    free(a.hidden);
    upg_sensitivity_clear(&a.sensitivity);
    upg_calibration_clear(&a.text);
    upg_calibration_clear(&a.calibration);
    upg_pool_free(a.pool);
    upg_model_free(a.model);
    return status == UPG_OK ? 0 : 1;
}
