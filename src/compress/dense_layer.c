/* dense_layer.c -- a decoder layer and its gradient, operation by operation.
 *
 * Forward:   h1 = rms(x) w1;  qkv = Wqkv h1;  a = attention(rope(qkv));  y = x + Wo a
 *            h2 = rms(y) w2;  [g, u] = Wgu h2;  out = y + Wd (u silu(g))
 * Backward goes through the same lines from the last to the first.  Sums over tokens run in a fixed
 * order, so the result does not depend on the number of threads. */
#include "compress/dense_layer.h"

#include "compress/gemm.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

static size_t count_tokens(const struct upg_dense_pass *pass)
{
    return pass->n_windows * pass->window;
}

static size_t heads_width(const struct upg_config *config)
{
    return config->n_heads * config->head_dim;
}

static size_t qkv_width(const struct upg_config *config)
{
    return (config->n_heads + 2 * config->n_kv_heads) * config->head_dim;
}

upg_status upg_dense_pass_init(struct upg_dense_pass *pass, const struct upg_config *config,
                               struct upg_pool *pool, size_t n_windows, size_t window,
                               enum upg_dense_gradients gradients, struct upg_arena *arena,
                               upg_error *err)
{
    const size_t t = n_windows * window, n_pairs = config->rotary_dim / 2;
    const size_t grad_t = gradients == UPG_DENSE_GRADIENTS ? t : 0;
    const struct {
        float **buffer;
        size_t n_rows, n_cols;
    } wanted[] = {
        {&pass->cosine, window, n_pairs},
        {&pass->sine, window, n_pairs},
        {&pass->h1, t, config->d_model},
        {&pass->qkv_out, t, qkv_width(config)},
        {&pass->qkv, t, qkv_width(config)},
        {&pass->heads, t, heads_width(config)},
        {&pass->y, t, config->d_model},
        {&pass->h2, t, config->d_model},
        {&pass->gate_up, t, 2 * config->d_ff},
        {&pass->act, t, config->d_ff},
        {&pass->o_out, t, config->d_model},
        {&pass->down_out, t, config->d_model},
        {&pass->d_h, grad_t, config->d_model},
        {&pass->d_qkv, grad_t, qkv_width(config)},
        {&pass->d_heads, grad_t, heads_width(config)},
        {&pass->d_gate_up, grad_t, 2 * config->d_ff},
        {&pass->d_act, grad_t, config->d_ff},
        {&pass->d_norm, 1, config->d_model},
        {&pass->scores, upg_pool_n_threads(pool) * 2 * window, window},
    };
    upg_status status;

    memset(pass, 0, sizeof *pass);
    pass->config = config;
    pass->pool = pool;
    pass->n_windows = n_windows;
    pass->window = window;
    pass->max_tokens = t;
    status = upg_rope_init(&pass->rope, config, false, arena, err);
    if (status != UPG_OK)
        return status;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        *wanted[i].buffer =
            upg_arena_alloc(arena, wanted[i].n_rows, wanted[i].n_cols * sizeof(float));
        if (!*wanted[i].buffer)
            return upg_fail_memory(err, "a layer's activations",
                                   wanted[i].n_rows * wanted[i].n_cols * sizeof(float));
    }
    for (size_t pos = 0; pos < window; pos++)
        upg_rope_angles(&pass->rope, pos, pass->cosine + pos * n_pairs, pass->sine + pos * n_pairs);
    return UPG_OK;
}

/* ---- Operations on rows ---- */

struct rows_job {
    const struct upg_dense_pass *pass;
    float *out, *out2;
    const float *a, *b, *c;
    size_t n_tokens, n;
    float eps;
};

static float inverse_rms(const float *x, size_t n, float eps)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return (float)(1.0 / sqrt(sum / (double)n + (double)eps));
}

static void norm_rows(void *context, size_t thread, size_t n_threads)
{
    const struct rows_job *job = context;
    size_t begin, end;

    upg_split(job->n_tokens, thread, n_threads, &begin, &end);
    for (size_t t = begin; t < end; t++) {
        const float *x = job->a + t * job->n;
        const float r = inverse_rms(x, job->n, job->eps);
        for (size_t i = 0; i < job->n; i++)
            job->out[t * job->n + i] = job->b[i] * (x[i] * r);
    }
}

void upg_dense_norm(struct upg_pool *pool, float *out, const float *x, const float *weight,
                    size_t n_tokens, size_t n, double eps)
{
    struct rows_job job = {
        .out = out, .a = x, .b = weight, .n_tokens = n_tokens, .n = n, .eps = (float)eps};

    upg_pool_run(pool, norm_rows, &job);
}

/* d_x[i] += r (w[i] dy[i] - x[i] r^2 / n sum_j w[j] dy[j] x[j]) */
static void norm_backward_rows(void *context, size_t thread, size_t n_threads)
{
    const struct rows_job *job = context;
    size_t begin, end;

    upg_split(job->n_tokens, thread, n_threads, &begin, &end);
    for (size_t t = begin; t < end; t++) {
        const float *x = job->a + t * job->n, *dy = job->c + t * job->n;
        const float r = inverse_rms(x, job->n, job->eps);
        float *dx = job->out + t * job->n;
        double dot = 0.0;
        float factor;

        for (size_t i = 0; i < job->n; i++)
            dot += (double)(job->b[i] * dy[i]) * (double)x[i];
        factor = (float)(dot / (double)job->n) * r * r;
        for (size_t i = 0; i < job->n; i++)
            dx[i] += r * (job->b[i] * dy[i] - x[i] * factor);
    }
}

/* Columns of the weights' gradient: sum over tokens of dy x r, tokens in order. */
static void norm_weight_columns(void *context, size_t thread, size_t n_threads)
{
    const struct rows_job *job = context;
    size_t begin, end;

    upg_split(job->n, thread, n_threads, &begin, &end);
    memset(job->out2 + begin, 0, (end - begin) * sizeof *job->out2);
    for (size_t t = 0; t < job->n_tokens; t++) {
        const float *x = job->a + t * job->n, *dy = job->c + t * job->n;
        const float r = inverse_rms(x, job->n, job->eps);
        for (size_t i = begin; i < end; i++)
            job->out2[i] += dy[i] * x[i] * r;
    }
}

void upg_dense_norm_backward(struct upg_pool *pool, float *d_x, float *d_weight, const float *d_out,
                             const float *x, const float *weight, size_t n_tokens, size_t n,
                             double eps)
{
    struct rows_job job = {.out = d_x,
                           .out2 = d_weight,
                           .a = x,
                           .b = weight,
                           .c = d_out,
                           .n_tokens = n_tokens,
                           .n = n,
                           .eps = (float)eps};

    upg_pool_run(pool, norm_weight_columns, &job);
    upg_pool_run(pool, norm_backward_rows, &job);
}

static void add_rows(void *context, size_t thread, size_t n_threads)
{
    const struct rows_job *job = context;
    size_t begin, end;

    upg_split(job->n_tokens * job->n, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++)
        job->out[i] = job->a[i] + job->b[i];
}

static void add(struct upg_pool *pool, float *out, const float *a, const float *b, size_t n_tokens,
                size_t n)
{
    struct rows_job job = {.out = out, .a = a, .b = b, .n_tokens = n_tokens, .n = n};

    upg_pool_run(pool, add_rows, &job);
}

/* act = up * silu(gate) */
static void gate_rows(void *context, size_t thread, size_t n_threads)
{
    const struct rows_job *job = context;
    size_t begin, end;

    upg_split(job->n_tokens, thread, n_threads, &begin, &end);
    for (size_t t = begin; t < end; t++) {
        const float *gate = job->a + 2 * t * job->n, *up = gate + job->n;
        for (size_t i = 0; i < job->n; i++)
            job->out[t * job->n + i] = up[i] * (gate[i] / (1.0f + expf(-gate[i])));
    }
}

/* silu'(z) = s (1 + z (1 - s)), s = 1 / (1 + exp(-z)) */
static void gate_backward_rows(void *context, size_t thread, size_t n_threads)
{
    const struct rows_job *job = context;
    size_t begin, end;

    upg_split(job->n_tokens, thread, n_threads, &begin, &end);
    for (size_t t = begin; t < end; t++) {
        const float *gate = job->a + 2 * t * job->n, *up = gate + job->n;
        const float *d_act = job->b + t * job->n;
        float *d_gate = job->out + 2 * t * job->n, *d_up = d_gate + job->n;
        for (size_t i = 0; i < job->n; i++) {
            const float s = 1.0f / (1.0f + expf(-gate[i]));
            d_up[i] = d_act[i] * gate[i] * s;
            d_gate[i] = d_act[i] * up[i] * s * (1.0f + gate[i] * (1.0f - s));
        }
    }
}

/* ---- Rotation ---- */

/* Rotates q and k of the rows in `out` in place; v stays.  direction -1 applies the transpose,
 * which is the rotation's gradient (the magnitude is part of both). */
struct rotate_job {
    const struct upg_dense_pass *pass;
    float *rows;
    float direction;
};

static void rotate_rows(void *context, size_t thread, size_t n_threads)
{
    const struct rotate_job *job = context;
    const struct upg_dense_pass *pass = job->pass;
    const struct upg_config *config = pass->config;
    const size_t n_rotated = config->n_heads + config->n_kv_heads;
    const size_t n_qkv = (config->n_heads + 2 * config->n_kv_heads) * config->head_dim;
    const size_t n_pairs = pass->rope.n_pairs;
    const size_t step = pass->rope.interleaved ? 2 : 1;
    const size_t distance = pass->rope.interleaved ? 1 : n_pairs;
    size_t begin, end;

    upg_split(pass->n_windows * pass->window, thread, n_threads, &begin, &end);
    for (size_t t = begin; t < end; t++) {
        const float *cosine = pass->cosine + t % pass->window * n_pairs;
        const float *sine = pass->sine + t % pass->window * n_pairs;
        for (size_t head = 0; head < n_rotated; head++) {
            float *x = job->rows + t * n_qkv + head * config->head_dim;
            for (size_t i = 0; i < n_pairs; i++) {
                const float a = x[i * step], b = x[i * step + distance];
                const float s = job->direction * sine[i];
                x[i * step] = a * cosine[i] - b * s;
                x[i * step + distance] = b * cosine[i] + a * s;
            }
        }
    }
}

/* ---- Attention: one job a window and kv head, so that heads that share k and v add in order ----
 */

/* scores[i, j] = softmax over j <= i of q_i . k_j / sqrt(head_dim), 0 for j > i. */
static void attention_scores(const struct upg_dense_pass *pass, float *scores, const float *q,
                             const float *k, size_t row_stride)
{
    const size_t n = pass->window, head_dim = pass->config->head_dim;
    const float scale = 1.0f / sqrtf((float)head_dim);

    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)n, (int)head_dim, scale, q,
                (int)row_stride, k, (int)row_stride, 0.0f, scores, (int)n);
    for (size_t i = 0; i < n; i++) {
        float *row = scores + i * n, largest = row[0], sum = 0.0f;
        for (size_t j = 1; j <= i; j++)
            largest = row[j] > largest ? row[j] : largest;
        for (size_t j = 0; j <= i; j++)
            sum += row[j] = expf(row[j] - largest);
        for (size_t j = 0; j <= i; j++)
            row[j] /= sum;
        memset(row + i + 1, 0, (n - i - 1) * sizeof *row);
    }
}

/* Where a window's head lies: q, k, v, o and their row strides. */
struct head_place {
    size_t q, k, v, o, qkv_stride, o_stride; /* elements */
};

static struct head_place place_head(const struct upg_dense_pass *pass, size_t window, size_t head)
{
    const struct upg_config *config = pass->config;
    const size_t kv_head = head / (config->n_heads / config->n_kv_heads);
    struct head_place place;

    place.qkv_stride = (config->n_heads + 2 * config->n_kv_heads) * config->head_dim;
    place.o_stride = config->n_heads * config->head_dim;
    place.q = window * pass->window * place.qkv_stride + head * config->head_dim;
    place.k =
        window * pass->window * place.qkv_stride + (config->n_heads + kv_head) * config->head_dim;
    place.v = place.k + config->n_kv_heads * config->head_dim;
    place.o = window * pass->window * place.o_stride + head * config->head_dim;
    return place;
}

static void attention_heads(void *context, size_t thread, size_t n_threads)
{
    const struct upg_dense_pass *pass = context;
    const struct upg_config *config = pass->config;
    const size_t n = pass->window, n_jobs = pass->n_windows * config->n_heads;
    float *scores = pass->scores + thread * 2 * n * n;

    for (size_t job = thread; job < n_jobs; job += n_threads) {
        const struct head_place at = place_head(pass, job / config->n_heads, job % config->n_heads);
        attention_scores(pass, scores, pass->qkv + at.q, pass->qkv + at.k, at.qkv_stride);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)config->head_dim,
                    (int)n, 1.0f, scores, (int)n, pass->qkv + at.v, (int)at.qkv_stride, 0.0f,
                    pass->heads + at.o, (int)at.o_stride);
    }
}

/* With P the scores and S = Q K^T / sqrt(d):  dV = P^T dO,  dP = dO V^T,
 * dS = P (dP - rowsum(P dP)),  dQ = dS K / sqrt(d),  dK = dS^T Q / sqrt(d). */
static void attention_backward_head(const struct upg_dense_pass *pass, struct head_place at,
                                    float *scores, float *d_scores, float beta)
{
    const int n = (int)pass->window, head_dim = (int)pass->config->head_dim;
    const int qkv_stride = (int)at.qkv_stride, o_stride = (int)at.o_stride;
    const float scale = 1.0f / sqrtf((float)head_dim);
    const float *d_out = pass->d_heads + at.o;

    attention_scores(pass, scores, pass->qkv + at.q, pass->qkv + at.k, at.qkv_stride);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, head_dim, n, 1.0f, scores, n, d_out,
                o_stride, beta, pass->d_qkv + at.v, qkv_stride);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, head_dim, 1.0f, d_out, o_stride,
                pass->qkv + at.v, qkv_stride, 0.0f, d_scores, n);
    for (int i = 0; i < n; i++) {
        float *d = d_scores + (size_t)i * pass->window;
        const float *p = scores + (size_t)i * pass->window;
        float dot = 0.0f;
        for (int j = 0; j <= i; j++)
            dot += p[j] * d[j];
        for (int j = 0; j < n; j++)
            d[j] = p[j] * (d[j] - dot); /* p is 0 beyond the diagonal */
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, head_dim, n, scale, d_scores, n,
                pass->qkv + at.k, qkv_stride, 0.0f, pass->d_qkv + at.q, qkv_stride);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, head_dim, n, scale, d_scores, n,
                pass->qkv + at.q, qkv_stride, beta, pass->d_qkv + at.k, qkv_stride);
}

static void attention_backward_heads(void *context, size_t thread, size_t n_threads)
{
    const struct upg_dense_pass *pass = context;
    const struct upg_config *config = pass->config;
    const size_t n = pass->window, group = config->n_heads / config->n_kv_heads;
    float *scores = pass->scores + thread * 2 * n * n;

    for (size_t job = thread; job < pass->n_windows * config->n_kv_heads; job += n_threads) {
        const size_t window = job / config->n_kv_heads, first = job % config->n_kv_heads * group;
        for (size_t i = 0; i < group; i++)
            attention_backward_head(pass, place_head(pass, window, first + i), scores,
                                    scores + n * n, i == 0 ? 0.0f : 1.0f);
    }
}

/* ---- The layer ---- */

void upg_dense_enter_attention(struct upg_dense_pass *pass, const struct upg_dense_weights *weights,
                               const float *x)
{
    upg_dense_norm(pass->pool, pass->h1, x, weights->attention_norm, count_tokens(pass),
                   pass->config->d_model, pass->config->norm_eps);
}

void upg_dense_attend(struct upg_dense_pass *pass, const struct upg_dense_weights *weights)
{
    struct rotate_job rotate = {pass, pass->qkv, 1.0f};

    upg_gemm_xwt(pass->pool, pass->qkv_out, pass->h1, weights->qkv, count_tokens(pass),
                 qkv_width(pass->config), pass->config->d_model);
    memcpy(pass->qkv, pass->qkv_out,
           count_tokens(pass) * qkv_width(pass->config) * sizeof *pass->qkv);
    upg_pool_run(pass->pool, rotate_rows, &rotate);
    upg_pool_run(pass->pool, attention_heads, pass);
}

void upg_dense_enter_mlp(struct upg_dense_pass *pass, const struct upg_dense_weights *weights,
                         const float *x)
{
    const size_t d = pass->config->d_model;

    upg_gemm_xwt(pass->pool, pass->o_out, pass->heads, weights->o, count_tokens(pass), d,
                 heads_width(pass->config));
    add(pass->pool, pass->y, x, pass->o_out, count_tokens(pass), d);
    upg_dense_norm(pass->pool, pass->h2, pass->y, weights->mlp_norm, count_tokens(pass), d,
                   pass->config->norm_eps);
}

void upg_dense_gate(struct upg_dense_pass *pass, const struct upg_dense_weights *weights)
{
    struct rows_job gate = {.out = pass->act,
                            .a = pass->gate_up,
                            .n_tokens = count_tokens(pass),
                            .n = pass->config->d_ff};

    upg_gemm_xwt(pass->pool, pass->gate_up, pass->h2, weights->gate_up, count_tokens(pass),
                 2 * pass->config->d_ff, pass->config->d_model);
    upg_pool_run(pass->pool, gate_rows, &gate);
}

void upg_dense_leave(struct upg_dense_pass *pass, const struct upg_dense_weights *weights,
                     float *out)
{
    upg_gemm_xwt(pass->pool, pass->down_out, pass->act, weights->down, count_tokens(pass),
                 pass->config->d_model, pass->config->d_ff);
    add(pass->pool, out, pass->y, pass->down_out, count_tokens(pass), pass->config->d_model);
}

void upg_dense_forward(struct upg_dense_pass *pass, const struct upg_dense_weights *weights,
                       const float *x, float *out)
{
    upg_dense_enter_attention(pass, weights, x);
    upg_dense_attend(pass, weights);
    upg_dense_enter_mlp(pass, weights, x);
    upg_dense_gate(pass, weights);
    upg_dense_leave(pass, weights, out);
}

static void visit_linear(const struct upg_gradient_visitor *visitor, enum upg_linear_kind kind,
                         const float *x, const float *y, const float *dy, const float *dx,
                         size_t n_tokens)
{
    if (visitor && visitor->linear)
        visitor->linear(visitor->context, kind, x, y, dy, dx, n_tokens);
}

void upg_dense_backward(struct upg_dense_pass *pass, const struct upg_dense_weights *weights,
                        const float *x, float *d_out, const struct upg_gradient_visitor *visitor)
{
    const struct upg_config *config = pass->config;
    const size_t t = count_tokens(pass), d = config->d_model;
    struct rotate_job rotate = {pass, pass->d_qkv, -1.0f};
    struct rows_job gate = {.out = pass->d_gate_up,
                            .a = pass->gate_up,
                            .b = pass->d_act,
                            .n_tokens = t,
                            .n = config->d_ff};

    /* out = y + Wd act: d_out is the gradient of down's output and of y */
    upg_gemm_dyw(pass->pool, pass->d_act, d_out, weights->down, t, d, config->d_ff);
    visit_linear(visitor, UPG_LINEAR_DOWN, pass->act, pass->down_out, d_out, pass->d_act, t);
    upg_pool_run(pass->pool, gate_backward_rows, &gate);
    upg_gemm_dyw(pass->pool, pass->d_h, pass->d_gate_up, weights->gate_up, t, 2 * config->d_ff, d);
    visit_linear(visitor, UPG_LINEAR_GATE_UP, pass->h2, pass->gate_up, pass->d_gate_up, pass->d_h,
                 t);
    upg_dense_norm_backward(pass->pool, d_out, pass->d_norm, pass->d_h, pass->y, weights->mlp_norm,
                            t, d, config->norm_eps);
    if (visitor && visitor->norm)
        visitor->norm(visitor->context, 1, pass->d_norm);

    /* y = x + Wo heads: d_out is now the gradient of y, so of o's output and of x */
    upg_gemm_dyw(pass->pool, pass->d_heads, d_out, weights->o, t, d, heads_width(config));
    visit_linear(visitor, UPG_LINEAR_O, pass->heads, pass->o_out, d_out, pass->d_heads, t);
    upg_pool_run(pass->pool, attention_backward_heads, pass);
    upg_pool_run(pass->pool, rotate_rows, &rotate);
    upg_gemm_dyw(pass->pool, pass->d_h, pass->d_qkv, weights->qkv, t, qkv_width(config), d);
    visit_linear(visitor, UPG_LINEAR_QKV, pass->h1, pass->qkv_out, pass->d_qkv, pass->d_h, t);
    upg_dense_norm_backward(pass->pool, d_out, pass->d_norm, pass->d_h, x, weights->attention_norm,
                            t, d, config->norm_eps);
    if (visitor && visitor->norm)
        visitor->norm(visitor->context, 0, pass->d_norm);
}
