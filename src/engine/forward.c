/* forward.c -- the block of Phi-3 (and of Llama, which is the same), once for all backends.
 *
 *     x = E[ids]
 *     for every layer:
 *         x = x + W_o attention(rope(W_qkv rms(x)))
 *         x = x + W_down (up * silu(gate)),   [gate; up] = W_gate_up rms(x)
 *     logits = W_head rms(x)
 *
 * No biases, no scaling of embedding or logits.  Touvron et al. 2023 (Llama), Abdin et al. 2024
 * (Phi-3, Phi-4). */
#include "engine/forward.h"

#include "base/size.h"

#include <assert.h>

static upg_status new_activation(struct upg_activation *activation, size_t n_rows, size_t n_cols,
                                 const struct upg_backend *backend, struct upg_arena *arena,
                                 upg_error *err)
{
    size_t n;

    if (!size_round_up(n_cols, UPG_CACHE_LINE / sizeof(float), &activation->stride) ||
        !size_mul(n_rows, activation->stride, &n))
        return upg_fail(err, UPG_ERR_ARGUMENT, "a step of %zu rows of %zu values is too large",
                        n_rows, n_cols);
    if (backend->new_rows)
        return backend->new_rows(backend->state, n, &activation->rows, err);
    activation->rows = upg_arena_alloc(arena, n, sizeof(float));
    if (!activation->rows)
        return upg_fail_memory(err, "the buffers of a step", n * sizeof(float));
    return UPG_OK;
}

upg_status upg_forward_init(struct upg_forward *f, const struct upg_model *model,
                            const struct upg_backend *backend, size_t max_rows,
                            struct upg_arena *arena, upg_error *err)
{
    const struct upg_config *c = &model->config;
    const size_t qkv_dim = (c->n_heads + 2 * c->n_kv_heads) * c->head_dim;
    const size_t n_angles = max_rows * (c->rotary_dim / 2);
    const struct {
        struct upg_activation *activation;
        size_t n_cols;
    } buffers[] = {{&f->x, c->d_model},
                   {&f->h, c->d_model},
                   {&f->qkv, qkv_dim},
                   {&f->heads, c->n_heads * c->head_dim},
                   {&f->gate_up, 2 * c->d_ff}};
    upg_status status;

    f->model = model;
    f->backend = *backend;
    f->max_rows = max_rows;
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        status =
            new_activation(buffers[i].activation, max_rows, buffers[i].n_cols, backend, arena, err);
        if (status != UPG_OK)
            return status;
    }
    f->cosine = upg_arena_alloc(arena, n_angles, sizeof(float));
    f->sine = upg_arena_alloc(arena, n_angles, sizeof(float));
    if (!f->cosine || !f->sine)
        return upg_fail_memory(err, "rotary angles", 2 * n_angles * sizeof(float));
    return UPG_OK;
}

static void observe_input(const struct upg_forward *f, size_t layer, enum upg_linear_kind kind,
                          struct upg_activation x, size_t n_rows, size_t n_cols)
{
    if (f->observer.linear_input)
        f->observer.linear_input(f->observer.context, layer, kind, x.rows, n_rows, n_cols,
                                 x.stride);
}

static void observe_hidden(const struct upg_forward *f, size_t n_layers, size_t n_rows)
{
    if (f->observer.hidden)
        f->observer.hidden(f->observer.context, n_layers, f->x.rows, n_rows,
                           f->model->config.d_model, f->x.stride);
}

/* f->x [n_rows, d_model] through one layer, in place. */
static void run_layer(const struct upg_forward *f, const struct upg_layer *w, size_t layer,
                      const struct upg_step *step)
{
    const struct upg_backend *b = &f->backend;
    const size_t n = step->n_rows;

    b->norm(b->state, f->h, f->x, NULL, w->attention_norm, n); /* h = rms(x) */
    observe_input(f, layer, UPG_LINEAR_QKV, f->h, n, w->qkv.n_cols);
    b->linear(b->state, f->qkv, &w->qkv, f->h, n);       /* qkv = W_qkv h */
    b->rotate_and_append(b->state, f->qkv, layer, step); /* q = rope(q), cache rope(k), v */
    b->attend(b->state, f->heads, f->qkv, layer, step);  /* heads = softmax(q k) v */
    observe_input(f, layer, UPG_LINEAR_O, f->heads, n, w->o.n_cols);
    b->linear(b->state, f->h, &w->o, f->heads, n); /* h = W_o heads */
    b->add(b->state, f->x, f->h, n);               /* x = x + h */

    b->norm(b->state, f->h, f->x, NULL, w->mlp_norm, n); /* h = rms(x) */
    observe_input(f, layer, UPG_LINEAR_GATE_UP, f->h, n, w->gate_up.n_cols);
    b->linear(b->state, f->gate_up, &w->gate_up, f->h, n); /* [gate; up] = W_gate_up h */
    b->gate(b->state, f->gate_up, n);                      /* gate = up * silu(gate) */
    observe_input(f, layer, UPG_LINEAR_DOWN, f->gate_up, n, w->down.n_cols);
    b->linear(b->state, f->h, &w->down, f->gate_up, n); /* h = W_down gate */
    b->add(b->state, f->x, f->h, n);                    /* x = x + h */
    observe_hidden(f, layer + 1, n);
}

/* The rotary angles of the step's rows, the same for all layers. */
static struct upg_step prepare_step(const struct upg_forward *f, const struct upg_row *rows,
                                    size_t n_rows)
{
    const size_t n_pairs = f->model->config.rotary_dim / 2;

    for (size_t i = 0; i < n_rows; i++)
        upg_rope_angles(rows[i].rope, rows[i].pos, f->cosine + i * n_pairs, f->sine + i * n_pairs);
    return (struct upg_step){.rows = rows, .n_rows = n_rows, .cosine = f->cosine, .sine = f->sine};
}

upg_status upg_forward_run(struct upg_forward *f, const struct upg_row *rows, size_t n_rows,
                           const uint32_t *wanted, size_t n_wanted, float *logits, upg_error *err)
{
    const struct upg_model *model = f->model;
    const struct upg_backend *b = &f->backend;
    const size_t n_layers = model->config.n_layers;
    const struct upg_step step = prepare_step(f, rows, n_rows);

    assert(n_rows >= 1 && n_rows <= f->max_rows);
    b->embed(b->state, f->x, &model->embedding, &step); /* x = E[ids] */
    observe_hidden(f, 0, n_rows);
    for (size_t layer = 0; layer < n_layers; layer++)
        run_layer(f, &model->layers[layer], layer, &step);
    if (n_wanted > 0) {
        const struct upg_activation out = {.rows = logits, .stride = model->config.n_vocab};

        b->norm(b->state, f->h, f->x, wanted, model->norm, n_wanted); /* h = rms(x) */
        observe_input(f, n_layers, UPG_LINEAR_HEAD, f->h, n_wanted, model->head.n_cols);
        b->linear(b->state, out, &model->head, f->h, n_wanted); /* logits = W_head h */
    }
    return b->finish(b->state, err);
}
