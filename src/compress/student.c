/* student.c -- the chain rule through a compressed model, down to its scales.
 *
 * A coded map is  y = D_out H_out (rs * V (g * H_in D_in x)).  With y', dy' the output and its
 * gradient before D_out H_out, and x', dx' the input and its gradient after H_in D_in:
 *
 *     d loss / d ln rs[r] = sum over tokens of y'[r] dy'[r]
 *     d loss / d ln g[b]  = sum over tokens and columns c of block b of x'[c] dx'[c]
 *
 * so gradients of scales need no product beyond those of the backward pass itself.  The second
 * holds only if all rows have the gains: maps with plain rows (plain_rows.h) keep theirs. */
#include "compress/student.h"

#include "base/half.h"
#include "compress/gemm.h"
#include "compress/rotate.h"
#include "model/slots.h"

#include <string.h>

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static upg_status allocate_scales(struct upg_trainer *t, upg_error *err)
{
    for (size_t i = 0; i < t->n_slots; i++) {
        const struct upg_coded_map *map = &t->student->maps[i];
        struct upg_map_scales *s = &t->scales[i];
        size_t row = 0;

        for (size_t part = 0; part < map->n_parts; part++)
            s->n_rows += map->part[part].padded_rows;
        s->n_blocks = map->n_blocks;
        s->row = upg_arena_alloc(&t->arena, s->n_rows, sizeof(float));
        s->d_row = upg_arena_alloc(&t->arena, s->n_rows, sizeof(float));
        s->gain = upg_arena_alloc(&t->arena, s->n_blocks, sizeof(float));
        s->d_gain = upg_arena_alloc(&t->arena, s->n_blocks, sizeof(float));
        if (!s->row || !s->d_row || !s->gain || !s->d_gain)
            return upg_fail_memory(err, "scales to tune", s->n_rows * sizeof(float));
        for (size_t i_part = 0; i_part < map->n_parts; i_part++) {
            const struct upg_coded_part *part = &map->part[i_part];
            for (size_t r = 0; r < part->padded_rows; r++)
                s->row[row++] = part->k == UPG_PLAIN_BITS ? part->row_step[r]
                                                          : upg_f16_to_f32(part->row_scale[r]);
        }
        memcpy(s->gain, map->gain, s->n_blocks * sizeof *s->gain);
    }
    return UPG_OK;
}

static upg_status allocate_activations(struct upg_trainer *t, enum upg_dense_gradients gradients,
                                       upg_error *err)
{
    const struct upg_config *config = &t->student->original->config;
    const size_t n = t->n_windows * t->window, d = config->d_model, v = config->n_vocab;
    const size_t n_inputs = gradients == UPG_DENSE_GRADIENTS ? config->n_layers + 1 : 2;
    size_t scratch = 0, widest = 0;

    for (size_t i = 0; i < t->n_slots; i++) {
        const struct upg_coded_map *map = &t->student->maps[i];
        size_t rows = 0;
        for (size_t part = 0; part < map->n_parts; part++)
            rows = max_size(rows, map->part[part].padded_rows);
        scratch = max_size(scratch, upg_coded_map_scratch(map));
        widest = max_size(widest, max_size(rows, map->padded_cols));
    }
    const struct {
        float **buffer;
        size_t n_rows, n_cols;
    } wanted[] = {{&t->inputs, n_inputs * n, d},
                  {&t->teacher, n, d},
                  {&t->hidden, n, d},
                  {&t->d_hidden, n, d},
                  {&t->head, v, d},
                  {&t->teacher_head, v, d},
                  {&t->logits, UPG_HEAD_ROWS, v},
                  {&t->teacher_logits, UPG_HEAD_ROWS, v},
                  {&t->expand_scratch, scratch, 1},
                  {&t->rotated[0], max_size(n, UPG_HEAD_ROWS), widest},
                  {&t->rotated[1], max_size(n, UPG_HEAD_ROWS), widest}};

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        *wanted[i].buffer =
            upg_arena_alloc(&t->arena, wanted[i].n_rows, wanted[i].n_cols * sizeof(float));
        if (!*wanted[i].buffer)
            return upg_fail_memory(err, "tuning", wanted[i].n_rows * wanted[i].n_cols);
    }
    return UPG_OK;
}

upg_status upg_trainer_init(struct upg_trainer *t, struct upg_pool *pool,
                            const struct upg_student *student, size_t n_windows, size_t window,
                            enum upg_dense_gradients gradients, upg_error *err)
{
    const struct upg_config *config = &student->original->config;
    upg_status status;

    memset(t, 0, sizeof *t);
    t->pool = pool;
    t->student = student;
    t->n_windows = n_windows;
    t->window = window;
    t->n_slots = upg_n_slots(config);
    t->n_norms = upg_n_norms(config);
    t->scales = upg_arena_alloc(&t->arena, t->n_slots, sizeof *t->scales);
    t->d_norms = upg_arena_alloc(&t->arena, t->n_norms, sizeof *t->d_norms);
    if (!t->scales || !t->d_norms)
        return upg_fail_memory(err, "tuning", t->n_slots * sizeof *t->scales);
    for (size_t i = 0; i < t->n_norms; i++) {
        t->d_norms[i] = upg_arena_alloc(&t->arena, config->d_model, sizeof(float));
        if (!t->d_norms[i])
            return upg_fail_memory(err, "tuning", config->d_model * sizeof(float));
    }
    status = allocate_scales(t, err);
    if (status == UPG_OK)
        status = allocate_activations(t, gradients, err);
    if (status == UPG_OK)
        status = upg_dense_buffers_init(&t->buffers, config, &t->arena, err);
    if (status == UPG_OK)
        status = upg_dense_pass_init(&t->pass, config, pool, n_windows, window, gradients,
                                     &t->arena, err);
    return status;
}

void upg_trainer_clear(struct upg_trainer *t)
{
    upg_arena_clear(&t->arena);
    memset(t, 0, sizeof *t);
}

/* ---- Weights ---- */

static void expand_slot(struct upg_trainer *t, size_t slot, float *out)
{
    upg_coded_map_expand(t->pool, &t->student->maps[slot], t->scales[slot].row,
                         t->scales[slot].gain, out, t->expand_scratch);
}

static struct upg_dense_weights student_layer(struct upg_trainer *t, size_t layer)
{
    const size_t slot = 1 + 4 * layer;

    expand_slot(t, slot, t->buffers.qkv);
    expand_slot(t, slot + 1, t->buffers.o);
    expand_slot(t, slot + 2, t->buffers.gate_up);
    expand_slot(t, slot + 3, t->buffers.down);
    return (struct upg_dense_weights){.attention_norm = t->student->norms[2 * layer],
                                      .qkv = t->buffers.qkv,
                                      .o = t->buffers.o,
                                      .mlp_norm = t->student->norms[2 * layer + 1],
                                      .gate_up = t->buffers.gate_up,
                                      .down = t->buffers.down};
}

static size_t head_slot(const struct upg_trainer *t)
{
    return t->student->original->config.tied_embeddings ? 0 : t->n_slots - 1;
}

/* ---- Forward ---- */

static upg_status run_teacher(struct upg_trainer *t, const int32_t *ids, upg_error *err)
{
    const struct upg_model *model = t->student->original;
    const struct upg_config *config = &model->config;
    const size_t n = t->n_windows * t->window;
    upg_status status = upg_dense_embed(model, ids, n, t->hidden, err);

    for (size_t layer = 0; layer < config->n_layers && status == UPG_OK; layer++) {
        struct upg_dense_weights weights;
        status = upg_dense_read_layer(t->pool, model, layer, &t->buffers, &weights, err);
        if (status == UPG_OK)
            upg_dense_forward(&t->pass, &weights, t->hidden, t->hidden);
    }
    upg_dense_norm(t->pool, t->teacher, t->hidden, model->norm, n, config->d_model,
                   config->norm_eps);
    return status;
}

/* The student's embedding, expanded into `head` (which the head needs anyway when tied). */
static void embed_student(struct upg_trainer *t, const int32_t *ids)
{
    const size_t d = t->student->original->config.d_model;

    expand_slot(t, 0, t->head);
    for (size_t i = 0; i < t->n_windows * t->window; i++)
        memcpy(t->inputs + i * d, t->head + (size_t)ids[i] * d, d * sizeof *t->inputs);
}

/* Without gradients the inputs of two layers take turns. */
static float *input_of(struct upg_trainer *t, size_t layer, enum upg_dense_gradients gradients)
{
    const size_t size = t->n_windows * t->window * t->student->original->config.d_model;

    return t->inputs + (gradients == UPG_DENSE_GRADIENTS ? layer : layer % 2) * size;
}

static void run_student(struct upg_trainer *t, const int32_t *ids,
                        enum upg_dense_gradients gradients)
{
    const struct upg_config *config = &t->student->original->config;

    embed_student(t, ids);
    for (size_t layer = 0; layer < config->n_layers; layer++) {
        const struct upg_dense_weights weights = student_layer(t, layer);
        upg_dense_forward(&t->pass, &weights, input_of(t, layer, gradients),
                          input_of(t, layer + 1, gradients));
    }
    upg_dense_norm(t->pool, t->hidden, input_of(t, config->n_layers, gradients),
                   t->student->norms[t->n_norms - 1], t->n_windows * t->window, config->d_model,
                   config->norm_eps);
}

/* ---- Gradients of scales ---- */

struct column_sums {
    const float *a, *b; /* [n_tokens, n_cols] */
    size_t n_tokens, n_cols, block;
    float *sums; /* [ceil(n_cols / block)] */
};

/* sums[j] += over tokens and the columns of block j of a * b. */
static void add_column_sums(void *context, size_t thread, size_t n_threads)
{
    const struct column_sums *c = context;
    const size_t n_blocks = (c->n_cols + c->block - 1) / c->block;
    size_t begin, end;

    upg_split(n_blocks, thread, n_threads, &begin, &end);
    for (size_t token = 0; token < c->n_tokens; token++) {
        const float *a = c->a + token * c->n_cols, *b = c->b + token * c->n_cols;
        for (size_t j = begin; j < end; j++) {
            const size_t first = j * c->block;
            const size_t last = first + c->block < c->n_cols ? first + c->block : c->n_cols;
            float sum = 0.0f;
            for (size_t i = first; i < last; i++)
                sum += a[i] * b[i];
            c->sums[j] += sum;
        }
    }
}

/* Columns [begin, begin + n) of rows[n_tokens, stride] into out[n_tokens, n_padded]. */
static void gather(float *out, const float *rows, size_t n_tokens, size_t stride, size_t begin,
                   size_t n, size_t n_padded)
{
    for (size_t token = 0; token < n_tokens; token++) {
        memcpy(out + token * n_padded, rows + token * stride + begin, n * sizeof *out);
        memset(out + token * n_padded + n, 0, (n_padded - n) * sizeof *out);
    }
}

/* Gradients of a slot's scales from rows at both of its sides. */
static void add_scale_gradients(struct upg_trainer *t, size_t slot, const float *x, const float *dx,
                                const float *y, const float *dy, size_t n_tokens)
{
    const struct upg_coded_map *map = &t->student->maps[slot];
    struct upg_map_scales *s = &t->scales[slot];
    size_t n_out = 0, row = 0, padded_row = 0;
    bool all_have_gains = true;

    for (size_t i = 0; i < map->n_parts; i++) {
        n_out += map->part[i].n_rows;
        all_have_gains = all_have_gains && map->part[i].k != UPG_PLAIN_BITS;
    }
    for (size_t i = 0; i < map->n_parts; i++) {
        const struct upg_coded_part *part = &map->part[i];
        struct column_sums sums = {
            t->rotated[0], t->rotated[1], n_tokens, part->padded_rows, 1, s->d_row + padded_row};
        gather(t->rotated[0], y, n_tokens, n_out, row, part->n_rows, part->padded_rows);
        gather(t->rotated[1], dy, n_tokens, n_out, row, part->n_rows, part->padded_rows);
        if (part->has_output_transform) {
            upg_rotate_rows(t->pool, t->rotated[0], n_tokens, part->padded_rows, part->seed_out);
            upg_rotate_rows(t->pool, t->rotated[1], n_tokens, part->padded_rows, part->seed_out);
        }
        upg_pool_run(t->pool, add_column_sums, &sums);
        row += part->n_rows;
        padded_row += part->padded_rows;
    }
    if (x && all_have_gains) {
        struct column_sums sums = {t->rotated[0],    t->rotated[1],   n_tokens,
                                   map->padded_cols, UPG_SCALE_BLOCK, s->d_gain};
        gather(t->rotated[0], x, n_tokens, map->n_cols, 0, map->n_cols, map->padded_cols);
        gather(t->rotated[1], dx, n_tokens, map->n_cols, 0, map->n_cols, map->padded_cols);
        upg_rotate_rows(t->pool, t->rotated[0], n_tokens, map->padded_cols, map->seed_in);
        upg_rotate_rows(t->pool, t->rotated[1], n_tokens, map->padded_cols, map->seed_in);
        upg_pool_run(t->pool, add_column_sums, &sums);
    }
}

struct layer_gradients {
    struct upg_trainer *trainer;
    size_t layer;
};

static void visit_linear(void *context, enum upg_linear_kind kind, const float *x, const float *y,
                         const float *dy, const float *dx, size_t n_tokens)
{
    const struct layer_gradients *g = context;

    add_scale_gradients(g->trainer, 1 + 4 * g->layer + (size_t)kind, x, dx, y, dy, n_tokens);
}

/* Gradient with respect to a relative change of a norm's weights. */
static void keep_norm(struct upg_trainer *t, size_t norm, const float *gradient)
{
    for (size_t i = 0; i < t->student->original->config.d_model; i++)
        t->d_norms[norm][i] = gradient[i] * t->student->norms[norm][i];
}

static void visit_norm(void *context, int is_mlp, const float *gradient)
{
    const struct layer_gradients *g = context;

    keep_norm(g->trainer, 2 * g->layer + (size_t)is_mlp, gradient);
}

/* An embedding row is its scale times a transformed row: d ln rs = x dx, d ln g as for inputs. */
static void add_embedding_gradients(struct upg_trainer *t, const int32_t *ids, const float *x,
                                    const float *dx)
{
    const struct upg_coded_map *map = &t->student->maps[0];
    const size_t n = t->n_windows * t->window, d = map->n_cols;
    struct column_sums sums = {t->rotated[0],    t->rotated[1],   n,
                               map->padded_cols, UPG_SCALE_BLOCK, t->scales[0].d_gain};

    for (size_t i = 0; i < n; i++) {
        float sum = 0.0f;
        for (size_t c = 0; c < d; c++)
            sum += x[i * d + c] * dx[i * d + c];
        t->scales[0].d_row[ids[i]] += sum;
    }
    gather(t->rotated[0], x, n, d, 0, d, map->padded_cols);
    gather(t->rotated[1], dx, n, d, 0, d, map->padded_cols);
    upg_rotate_rows(t->pool, t->rotated[0], n, map->padded_cols, map->seed_in);
    upg_rotate_rows(t->pool, t->rotated[1], n, map->padded_cols, map->seed_in);
    upg_pool_run(t->pool, add_column_sums, &sums);
}

static void clear_gradients(struct upg_trainer *t)
{
    for (size_t i = 0; i < t->n_slots; i++) {
        memset(t->scales[i].d_row, 0, t->scales[i].n_rows * sizeof(float));
        memset(t->scales[i].d_gain, 0, t->scales[i].n_blocks * sizeof(float));
    }
}

/* Logits chunk by chunk; with gradients, d_hidden and the head's scales. */
static upg_status run_heads(struct upg_trainer *t, upg_logits_fn on_logits, void *context,
                            enum upg_dense_gradients gradients, upg_error *err)
{
    const struct upg_model *model = t->student->original;
    const size_t n = t->n_windows * t->window, d = model->config.d_model, v = model->config.n_vocab;
    const upg_status status = upg_dense_linear(t->pool, &model->head, 0, v, t->teacher_head, err);

    if (status != UPG_OK)
        return status;
    expand_slot(t, head_slot(t), t->head);
    for (size_t begin = 0; begin < n; begin += UPG_HEAD_ROWS) {
        const size_t rows = n - begin < UPG_HEAD_ROWS ? n - begin : UPG_HEAD_ROWS;
        float *student_rows = t->hidden + begin * d, *d_rows = t->d_hidden + begin * d;

        upg_gemm_xwt(t->pool, t->teacher_logits, t->teacher + begin * d, t->teacher_head, rows, v,
                     d);
        upg_gemm_xwt(t->pool, t->logits, student_rows, t->head, rows, v, d);
        on_logits(context, t->teacher_logits, t->logits, begin, rows, v);
        if (gradients != UPG_DENSE_GRADIENTS)
            continue;
        upg_gemm_dyw(t->pool, d_rows, t->logits, t->head, rows, v, d);
        /* the callback replaced the logits by their gradient: compute the outputs again, beside the
         * teacher's, which are done with */
        upg_gemm_xwt(t->pool, t->teacher_logits, student_rows, t->head, rows, v, d);
        add_scale_gradients(t, head_slot(t), student_rows, d_rows, t->teacher_logits, t->logits,
                            rows);
    }
    return UPG_OK;
}

static void run_backward(struct upg_trainer *t, const int32_t *ids)
{
    const struct upg_config *config = &t->student->original->config;
    const size_t n = t->n_windows * t->window, d = config->d_model;
    float *gradient = t->teacher; /* the teacher's rows are done with */
    struct layer_gradients context = {t, 0};
    const struct upg_gradient_visitor visitor = {&context, visit_linear, visit_norm};

    memset(gradient, 0, n * d * sizeof *gradient);
    upg_dense_norm_backward(t->pool, gradient, t->pass.d_norm, t->d_hidden,
                            input_of(t, config->n_layers, UPG_DENSE_GRADIENTS),
                            t->student->norms[t->n_norms - 1], n, d, config->norm_eps);
    keep_norm(t, t->n_norms - 1, t->pass.d_norm);
    for (size_t layer = config->n_layers; layer-- > 0;) {
        const struct upg_dense_weights weights = student_layer(t, layer);
        const float *x = input_of(t, layer, UPG_DENSE_GRADIENTS);
        context.layer = layer;
        upg_dense_forward(&t->pass, &weights, x, t->hidden);
        upg_dense_backward(&t->pass, &weights, x, gradient, &visitor);
    }
    add_embedding_gradients(t, ids, t->inputs, gradient);
}

upg_status upg_trainer_run(struct upg_trainer *t, const int32_t *ids, upg_logits_fn on_logits,
                           void *context, enum upg_dense_gradients gradients, upg_error *err)
{
    upg_status status = run_teacher(t, ids, err);

    if (status != UPG_OK)
        return status;
    clear_gradients(t);
    run_student(t, ids, gradients);
    status = run_heads(t, on_logits, context, gradients, err);
    if (status == UPG_OK && gradients == UPG_DENSE_GRADIENTS)
        run_backward(t, ids);
    return status;
}
