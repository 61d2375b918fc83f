/* sensitivity.c -- one pass forward keeping each layer's input, one pass back.
 *
 * Activations of a layer are computed twice (forward, and again before its backward pass), so that
 * memory holds one layer's intermediates and the inputs of all layers. */
#include "compress/sensitivity.h"

#include "base/random.h"
#include "compress/dense_layer.h"
#include "compress/dense_model.h"
#include "compress/gemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_ROWS = 256 }; /* tokens whose logits are held at a time */

struct measurement {
    struct upg_sensitivity *result;
    struct upg_pool *pool;
    const struct upg_model *model;
    size_t n_tokens;
    struct upg_dense_pass pass;
    struct upg_dense_buffers buffers;
    struct upg_dense_weights weights;
    float *inputs;                     /* [n_layers + 1, T, d_model] */
    float *gradient;                   /* [T, d_model] */
    float *normed;                     /* [T, d_model] */
    double *half_squares;              /* [T] of what goes into a map */
    double *(*rows)[UPG_N_LAYER_MAPS]; /* of the layer whose backward pass runs */
    upg_progress_fn progress;
    void *progress_context;
    uint64_t seed;
    struct upg_arena arena;
};

static double square(const float *x, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

struct row_sums {
    double *sums;               /* [n_out] */
    const double *half_squares; /* [n_tokens] 1/2 |x_t|^2 */
    const float *dy;            /* [n_tokens, n_out] */
    size_t n_tokens, n_out;
};

/* sums[r] += 1/2 dy[t, r]^2 |x_t|^2 */
static void add_rows(void *context, size_t thread, size_t n_threads)
{
    const struct row_sums *s = context;
    size_t begin, end;

    upg_split(s->n_out, thread, n_threads, &begin, &end);
    for (size_t t = 0; t < s->n_tokens; t++) {
        const float *dy = s->dy + t * s->n_out;
        for (size_t r = begin; r < end; r++)
            s->sums[r] += s->half_squares[t] * (double)dy[r] * (double)dy[r];
    }
}

static void visit_linear(void *context, enum upg_linear_kind kind, const float *x, const float *y,
                         const float *dy, const float *dx, size_t n_tokens)
{
    const struct measurement *m = context;
    const struct upg_layer *shape = &m->model->layers[0];
    const struct upg_linear *linears[] = {&shape->qkv, &shape->o, &shape->gate_up, &shape->down};
    const size_t n_in = linears[kind]->n_cols;
    struct row_sums sums = {(*m->rows)[kind], m->half_squares, dy, n_tokens, linears[kind]->n_rows};
    (void)y;
    (void)dx;

    for (size_t t = 0; t < n_tokens; t++)
        m->half_squares[t] = 0.5 * square(x + t * n_in, n_in);
    upg_pool_run(m->pool, add_rows, &sums);
}

/* From sums to KL a token for NMSE 1: times the mean square of the row's weights. */
static void scale_rows(double *sums, const float *w, size_t n_rows, size_t n_cols, size_t n_tokens)
{
    for (size_t r = 0; r < n_rows; r++)
        sums[r] *= square(w + r * n_cols, n_cols) / (double)n_cols / (double)n_tokens;
}

static upg_status report(const struct measurement *m, size_t done, upg_error *err)
{
    const size_t total = 2 * m->model->config.n_layers;

    if (m->progress && m->progress(m->progress_context, "sensitivity", done, total))
        return upg_fail(err, UPG_ERR_CANCELLED, "stopped while sensitivities were measured");
    return UPG_OK;
}

static upg_status run_forward(struct measurement *m, const int32_t *ids, upg_error *err)
{
    const struct upg_config *config = &m->model->config;
    const size_t size = m->n_tokens * config->d_model;
    upg_status status = upg_dense_embed(m->model, ids, m->n_tokens, m->inputs, err);

    for (size_t layer = 0; layer < config->n_layers && status == UPG_OK; layer++) {
        status = upg_dense_read_layer(m->pool, m->model, layer, &m->buffers, &m->weights, err);
        if (status != UPG_OK)
            break;
        upg_dense_forward(&m->pass, &m->weights, m->inputs + layer * size,
                          m->inputs + (layer + 1) * size);
        status = report(m, layer + 1, err);
    }
    return status;
}

/* Tokens [first, first + n) at the head. */
struct head_rows {
    float *logits;              /* [n, n_vocab] */
    const double *half_squares; /* [n] */
    double *head;               /* [n_vocab] */
    size_t first, n, n_vocab;
    uint64_t seed;
};

/* logits -> p */
static void make_probabilities(void *context, size_t thread, size_t n_threads)
{
    const struct head_rows *h = context;

    for (size_t t = thread; t < h->n; t += n_threads) {
        float *p = h->logits + t * h->n_vocab, largest = p[0];
        double sum = 0.0;

        for (size_t i = 1; i < h->n_vocab; i++)
            largest = p[i] > largest ? p[i] : largest;
        for (size_t i = 0; i < h->n_vocab; i++)
            sum += (double)(p[i] = expf(p[i] - largest));
        for (size_t i = 0; i < h->n_vocab; i++)
            p[i] = (float)((double)p[i] / sum);
    }
}

/* The head's own sensitivity from p (1 - p), its Fisher diagonal. */
static void add_head(void *context, size_t thread, size_t n_threads)
{
    const struct head_rows *h = context;
    size_t begin, end;

    upg_split(h->n_vocab, thread, n_threads, &begin, &end);
    for (size_t t = 0; t < h->n; t++) {
        const float *p = h->logits + t * h->n_vocab;
        for (size_t i = begin; i < end; i++)
            h->head[i] += h->half_squares[t] * (double)p[i] * (1.0 - (double)p[i]);
    }
}

/* p -> d log-likelihood / d logits for a sampled label: -(p - onehot) up to its sign, which squares
 * away. */
static void sample_labels(void *context, size_t thread, size_t n_threads)
{
    const struct head_rows *h = context;

    for (size_t t = thread; t < h->n; t += n_threads) {
        struct upg_random random = {h->seed + h->first + t};
        float *p = h->logits + t * h->n_vocab;
        double at = upg_random_unit(&random);
        size_t label = 0;

        while (label + 1 < h->n_vocab && at >= (double)p[label])
            at -= (double)p[label++];
        p[label] -= 1.0f;
    }
}

/* What these tokens add to the negative log-likelihood of the first window. */
static double first_window_nll(const struct head_rows *h, const int32_t *ids, size_t window)
{
    double sum = 0.0;

    for (size_t t = 0; t < h->n && h->first + t + 1 < window; t++)
        sum -= log((double)h->logits[t * h->n_vocab + (size_t)ids[h->first + t + 1]] + 1e-30);
    return sum / (double)(window - 1);
}

/* The head and the final norm: fills m->gradient, the head's rows and its Hessian. */
static upg_status run_head(struct measurement *m, const int32_t *ids, double *head_rows,
                           upg_error *err)
{
    const struct upg_config *config = &m->model->config;
    const size_t d = config->d_model, v = config->n_vocab, t = m->n_tokens;
    const float *last = m->inputs + config->n_layers * t * d;
    float *w = upg_aligned_alloc(v * d, sizeof *w);
    float *logits = upg_aligned_alloc(HEAD_ROWS * v, sizeof *logits);
    float *d_normed = upg_aligned_alloc(t * d, sizeof *d_normed);
    float *d_weight = upg_aligned_alloc(d, sizeof *d_weight);
    upg_status status = UPG_OK;

    if (!w || !logits || !d_normed || !d_weight)
        status = upg_fail_memory(err, "the head in float32", v * d * sizeof *w);
    if (status == UPG_OK)
        status = upg_dense_linear(m->pool, &m->model->head, 0, v, w, err);
    if (status != UPG_OK)
        goto done;
    upg_dense_norm(m->pool, m->normed, last, m->model->norm, t, d, config->norm_eps);
    memcpy(m->result->hidden, m->normed, t * d * sizeof *m->normed);
    for (size_t i = 0; i < t; i++)
        m->half_squares[i] = 0.5 * square(m->normed + i * d, d);
    upg_gemm_gram(m->pool, m->result->head_hessian, m->normed, t, d);
    upg_gemm_gram_end(m->pool, m->result->head_hessian, d, 1.0f / (float)t);
    for (size_t begin = 0; begin < t; begin += HEAD_ROWS) {
        const size_t n = t - begin < HEAD_ROWS ? t - begin : HEAD_ROWS;
        struct head_rows rows = {logits, m->half_squares + begin, head_rows, begin, n, v, m->seed};
        upg_gemm_xwt(m->pool, logits, m->normed + begin * d, w, n, v, d);
        upg_pool_run(m->pool, make_probabilities, &rows);
        m->result->nll += first_window_nll(&rows, ids, m->pass.window);
        upg_pool_run(m->pool, add_head, &rows);
        upg_pool_run(m->pool, sample_labels, &rows);
        upg_gemm_dyw(m->pool, d_normed + begin * d, logits, w, n, v, d);
    }
    scale_rows(head_rows, w, v, d, t);
    memset(m->gradient, 0, t * d * sizeof *m->gradient);
    upg_dense_norm_backward(m->pool, m->gradient, d_weight, d_normed, last, m->model->norm, t, d,
                            config->norm_eps);
done:
    free(w);
    free(logits);
    free(d_normed);
    free(d_weight);
    return status;
}

static upg_status run_backward(struct measurement *m, upg_error *err)
{
    const struct upg_config *config = &m->model->config;
    const struct upg_gradient_visitor visitor = {m, visit_linear, NULL};
    const size_t size = m->n_tokens * config->d_model;
    float *out = m->normed; /* the forward pass's result is not needed again */

    for (size_t layer = config->n_layers; layer-- > 0;) {
        const struct upg_layer *l = &m->model->layers[layer];
        const struct upg_linear *linears[] = {&l->qkv, &l->o, &l->gate_up, &l->down};
        upg_status status =
            upg_dense_read_layer(m->pool, m->model, layer, &m->buffers, &m->weights, err);
        const float *w[] = {m->weights.qkv, m->weights.o, m->weights.gate_up, m->weights.down};

        if (status != UPG_OK)
            return status;
        m->rows = &m->result->layer[layer];
        upg_dense_forward(&m->pass, &m->weights, m->inputs + layer * size, out);
        upg_dense_backward(&m->pass, &m->weights, m->inputs + layer * size, m->gradient, &visitor);
        for (size_t i = 0; i < UPG_N_LAYER_MAPS; i++)
            scale_rows((*m->rows)[i], w[i], linears[i]->n_rows, linears[i]->n_cols, m->n_tokens);
        status = report(m, 2 * config->n_layers - layer, err);
        if (status != UPG_OK)
            return status;
    }
    return UPG_OK;
}

/* An error in the embedding's row moves the inputs of layer 0 where its token stands. */
static upg_status add_embedding(struct measurement *m, const int32_t *ids, upg_error *err)
{
    const size_t d = m->model->config.d_model;
    float *row = malloc(d * sizeof *row);
    upg_status status = row ? UPG_OK : upg_fail_memory(err, "an embedding row", d * sizeof *row);

    for (size_t t = 0; t < m->n_tokens && status == UPG_OK; t++) {
        status = upg_dense_embed(m->model, &ids[t], 1, row, err);
        m->result->embedding[ids[t]] +=
            0.5 * square(m->gradient + t * d, d) * square(row, d) / (double)d / (double)m->n_tokens;
    }
    free(row);
    return status;
}

static upg_status allocate(struct measurement *m, size_t n_windows, size_t window, upg_error *err)
{
    const struct upg_config *config = &m->model->config;
    const size_t t = n_windows * window, d = config->d_model;
    struct upg_sensitivity *result = m->result;
    upg_status status;

    result->embedding = upg_arena_alloc(&result->arena, config->n_vocab, sizeof(double));
    result->head = upg_arena_alloc(&result->arena, config->n_vocab, sizeof(double));
    result->layer = upg_arena_alloc(&result->arena, config->n_layers, sizeof *result->layer);
    result->head_hessian = upg_arena_alloc(&result->arena, d * d, sizeof(float));
    result->hidden = upg_arena_alloc(&result->arena, t, d * sizeof(float));
    if (!result->embedding || !result->head || !result->layer || !result->head_hessian ||
        !result->hidden)
        return upg_fail_memory(err, "sensitivities", d * d * sizeof(float));
    for (size_t layer = 0; layer < config->n_layers; layer++) {
        const struct upg_layer *l = &m->model->layers[layer];
        const size_t n_rows[] = {l->qkv.n_rows, l->o.n_rows, l->gate_up.n_rows, l->down.n_rows};
        for (size_t i = 0; i < UPG_N_LAYER_MAPS; i++) {
            result->layer[layer][i] = upg_arena_alloc(&result->arena, n_rows[i], sizeof(double));
            if (!result->layer[layer][i])
                return upg_fail_memory(err, "sensitivities", n_rows[i] * sizeof(double));
        }
    }
    m->inputs = upg_arena_alloc(&m->arena, (config->n_layers + 1) * t, d * sizeof(float));
    m->gradient = upg_arena_alloc(&m->arena, t, d * sizeof(float));
    m->normed = upg_arena_alloc(&m->arena, t, d * sizeof(float));
    m->half_squares = upg_arena_alloc(&m->arena, t, sizeof *m->half_squares);
    if (!m->inputs || !m->gradient || !m->normed || !m->half_squares)
        return upg_fail_memory(err, "inputs of all layers",
                               (config->n_layers + 1) * t * d * sizeof(float));
    status = upg_dense_buffers_init(&m->buffers, config, &m->arena, err);
    if (status != UPG_OK)
        return status;
    return upg_dense_pass_init(&m->pass, config, m->pool, n_windows, window, UPG_DENSE_GRADIENTS,
                               &m->arena, err);
}

upg_status upg_sensitivity_measure(struct upg_sensitivity *sensitivity, struct upg_pool *pool,
                                   const struct upg_model *model, const int32_t *ids,
                                   size_t n_windows, size_t window, uint64_t seed,
                                   upg_progress_fn progress, void *progress_context, upg_error *err)
{
    struct measurement m = {.result = sensitivity,
                            .pool = pool,
                            .model = model,
                            .n_tokens = n_windows * window,
                            .progress = progress,
                            .progress_context = progress_context,
                            .seed = seed};
    upg_status status;

    memset(sensitivity, 0, sizeof *sensitivity);
    status = allocate(&m, n_windows, window, err);
    if (status == UPG_OK)
        status = run_forward(&m, ids, err);
    if (status == UPG_OK)
        status = run_head(&m, ids, sensitivity->head, err);
    if (status == UPG_OK)
        status = run_backward(&m, err);
    if (status == UPG_OK)
        status = add_embedding(&m, ids, err);
    if (status == UPG_OK && model->config.tied_embeddings) {
        for (size_t i = 0; i < model->config.n_vocab; i++)
            sensitivity->embedding[i] += sensitivity->head[i];
        sensitivity->head = NULL;
    }
    upg_arena_clear(&m.arena);
    if (status != UPG_OK)
        upg_sensitivity_clear(sensitivity);
    return status;
}

void upg_sensitivity_clear(struct upg_sensitivity *sensitivity)
{
    upg_arena_clear(&sensitivity->arena);
    memset(sensitivity, 0, sizeof *sensitivity);
}
