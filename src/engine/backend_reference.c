/* backend_reference.c -- the operations as their formulas say, one number after the other.
 *
 * This is the specification that the other backends are tested against.  It is never made faster.
 * Weights become float32 a row at a time, products are summed in float64, every stored value is a
 * float32; activations of packed matrices are not quantized.  The cache must be UPG_KV_F32. */
#include "engine/backend.h"

#include <assert.h>
#include <math.h>
#include <string.h>

struct reference {
    struct upg_backend_setup setup;
    float *weights;    /* [widest matrix] one row */
    float *scratch;    /* for packed rows */
    float *scores;     /* [context] */
    upg_error failure; /* the first since the last finish(); status UPG_OK: none */
};

static void embed(void *state, struct upg_activation x, const struct upg_matrix *embedding,
                  const struct upg_step *step)
{
    struct reference *r = state;

    for (size_t i = 0; i < step->n_rows; i++)
        upg_matrix_rows(embedding, (size_t)step->rows[i].id, 1, x.rows + i * x.stride, r->scratch);
}

static void norm(void *state, struct upg_activation out, struct upg_activation x,
                 const uint32_t *pick, const float *weight, size_t n_rows)
{
    const struct upg_config *config = &((struct reference *)state)->setup.model->config;
    const size_t d_model = config->d_model;

    for (size_t i = 0; i < n_rows; i++) {
        const float *in = x.rows + (pick ? pick[i] : i) * x.stride;
        double sum = 0, scale;

        for (size_t j = 0; j < d_model; j++)
            sum += (double)in[j] * in[j];
        scale = 1 / sqrt(sum / (double)d_model + config->norm_eps);
        for (size_t j = 0; j < d_model; j++)
            out.rows[i * out.stride + j] = (float)(in[j] * scale) * weight[j];
    }
}

/* y[n_rows of the part] = W x of one row. */
static void part_times_row(struct reference *r, const struct upg_matrix *part, const float *x,
                           float *y)
{
    if (part->type == UPG_TYPE_PACKED) {
        upg_error err = {.status = UPG_OK};

        if (upg_packed_matvec(&part->packed, x, y, &err) != UPG_OK && r->failure.status == UPG_OK)
            r->failure = err;
        return;
    }
    for (size_t row = 0; row < part->n_rows; row++) {
        double sum = 0;

        upg_matrix_rows(part, row, 1, r->weights, NULL);
        for (size_t j = 0; j < part->n_cols; j++)
            sum += (double)r->weights[j] * x[j];
        y[row] = (float)sum;
    }
}

static void linear(void *state, struct upg_activation out, const struct upg_linear *linear,
                   struct upg_activation x, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++) {
        float *y = out.rows + i * out.stride;

        for (size_t p = 0; p < linear->n_parts; p++) {
            part_times_row(state, &linear->part[p], x.rows + i * x.stride, y);
            y += linear->part[p].n_rows;
        }
    }
}

static void rotate_and_append(void *state, struct upg_activation qkv, size_t layer,
                              const struct upg_step *step)
{
    struct reference *r = state;
    const struct upg_config *c = &r->setup.model->config;
    const size_t n_pairs = c->rotary_dim / 2;

    for (size_t i = 0; i < step->n_rows; i++) {
        const struct upg_row *row = &step->rows[i];
        const float *cosine = step->cosine + i * n_pairs, *sine = step->sine + i * n_pairs;
        float *q = qkv.rows + i * qkv.stride;
        float *k = q + c->n_heads * c->head_dim;
        float *v = k + c->n_kv_heads * c->head_dim;

        for (size_t h = 0; h < c->n_heads; h++)
            upg_rope_rotate(row->rope, q + h * c->head_dim, cosine, sine);
        for (size_t g = 0; g < c->n_kv_heads; g++) {
            upg_rope_rotate(row->rope, k + g * c->head_dim, cosine, sine);
            upg_kv_write(r->setup.cache, row->list, layer, g, row->pos, k + g * c->head_dim,
                         v + g * c->head_dim);
        }
    }
}

/* One query head over positions 0 .. pos.
 *   keys of position j    block of j: [UPG_KV_BLOCK, head_dim], row j % UPG_KV_BLOCK
 *   values of position j  block of j: [head_dim, UPG_KV_BLOCK], column j % UPG_KV_BLOCK */
static void attend_head(const struct reference *r, const struct upg_row *row, size_t layer,
                        size_t kv_head, const float *q, float *out)
{
    const struct upg_kv_cache *cache = r->setup.cache;
    const size_t head_dim = cache->head_dim, n = row->pos + 1;
    float greatest = -INFINITY;
    double sum = 0;

    for (size_t j = 0; j < n; j++) {
        const uint32_t block = row->list->blocks[j / UPG_KV_BLOCK];
        const float *keys = upg_kv_keys(cache, block, layer, kv_head);
        const float *k = keys + j % UPG_KV_BLOCK * head_dim;
        double score = 0;

        for (size_t i = 0; i < head_dim; i++)
            score += (double)q[i] * k[i];
        r->scores[j] = (float)(score / sqrt((double)head_dim));
        greatest = fmaxf(greatest, r->scores[j]);
    }
    for (size_t j = 0; j < n; j++) {
        r->scores[j] = expf(r->scores[j] - greatest);
        sum += (double)r->scores[j];
    }
    for (size_t i = 0; i < head_dim; i++) {
        double value = 0;

        for (size_t j = 0; j < n; j++) {
            const uint32_t block = row->list->blocks[j / UPG_KV_BLOCK];
            const float *values = upg_kv_values(cache, block, layer, kv_head);

            value += (double)r->scores[j] * values[i * UPG_KV_BLOCK + j % UPG_KV_BLOCK];
        }
        out[i] = (float)(value / sum);
    }
}

static void attend(void *state, struct upg_activation out, struct upg_activation qkv, size_t layer,
                   const struct upg_step *step)
{
    const struct reference *r = state;
    const struct upg_config *c = &r->setup.model->config;

    for (size_t i = 0; i < step->n_rows; i++)
        for (size_t h = 0; h < c->n_heads; h++)
            attend_head(r, &step->rows[i], layer, h * c->n_kv_heads / c->n_heads,
                        qkv.rows + i * qkv.stride + h * c->head_dim,
                        out.rows + i * out.stride + h * c->head_dim);
}

static void gate(void *state, struct upg_activation gate_up, size_t n_rows)
{
    const size_t d_ff = ((struct reference *)state)->setup.model->config.d_ff;

    for (size_t i = 0; i < n_rows; i++) {
        float *z = gate_up.rows + i * gate_up.stride, *up = z + d_ff;

        for (size_t j = 0; j < d_ff; j++)
            z[j] = up[j] * (z[j] / (1 + expf(-z[j])));
    }
}

static void add(void *state, struct upg_activation x, struct upg_activation y, size_t n_rows)
{
    const size_t d_model = ((struct reference *)state)->setup.model->config.d_model;

    for (size_t i = 0; i < n_rows; i++)
        for (size_t j = 0; j < d_model; j++)
            x.rows[i * x.stride + j] += y.rows[i * y.stride + j];
}

static upg_status finish(void *state, upg_error *err)
{
    struct reference *r = state;
    const upg_error failure = r->failure;

    r->failure.status = UPG_OK;
    if (failure.status != UPG_OK)
        return upg_fail(err, failure.status, "%s", failure.message);
    return UPG_OK;
}

static void widen(const struct upg_matrix *matrix, size_t *n_cols, size_t *n_scratch)
{
    if (matrix->n_cols > *n_cols)
        *n_cols = matrix->n_cols;
    if (matrix->type == UPG_TYPE_PACKED && upg_packed_row_scratch(&matrix->packed) > *n_scratch)
        *n_scratch = upg_packed_row_scratch(&matrix->packed);
}

upg_status upg_backend_reference(struct upg_backend *backend, const struct upg_backend_setup *setup,
                                 struct upg_arena *arena, upg_error *err)
{
    const struct upg_model *model = setup->model;
    struct reference *r = upg_arena_alloc(arena, 1, sizeof *r);
    size_t n_cols = model->config.d_ff, n_scratch = 0;

    assert(setup->cache->type == UPG_KV_F32);
    widen(&model->embedding, &n_cols, &n_scratch);
    for (size_t layer = 0; layer < model->config.n_layers; layer++)
        widen(&model->layers[layer].o.part[0], &n_cols, &n_scratch);
    if (r) {
        r->setup = *setup;
        r->weights = upg_arena_alloc(arena, n_cols, sizeof(float));
        r->scratch = upg_arena_alloc(arena, n_scratch, sizeof(float));
        r->scores = upg_arena_alloc(arena, setup->context, sizeof(float));
    }
    if (!r || !r->weights || !r->scratch || !r->scores)
        return upg_fail_memory(err, "the reference backend",
                               (n_cols + n_scratch + setup->context) * sizeof(float));
    *backend = (struct upg_backend){.state = r,
                                    .max_rows = setup->max_rows,
                                    .embed = embed,
                                    .norm = norm,
                                    .linear = linear,
                                    .rotate_and_append = rotate_and_append,
                                    .attend = attend,
                                    .gate = gate,
                                    .add = add,
                                    .finish = finish};
    return UPG_OK;
}
