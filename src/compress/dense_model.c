/* dense_model.c -- rows of any stored type to float32, over the pool. */
#include "compress/dense_model.h"

#include <stdatomic.h>
#include <stdlib.h>

struct expansion {
    const struct upg_linear *linear;
    size_t begin, n;
    float *out;
    atomic_bool out_of_memory;
};

/* Rows of one thread: a run of consecutive rows, cut where a part ends. */
static void expand_rows(void *context, size_t thread, size_t n_threads)
{
    struct expansion *e = context;
    size_t row, end, part_begin = 0;

    upg_split(e->n, thread, n_threads, &row, &end);
    for (size_t i = 0; i < e->linear->n_parts && row < end; i++) {
        const struct upg_matrix *part = &e->linear->part[i];
        const size_t first = e->begin + row, part_end = part_begin + part->n_rows;
        if (first < part_end) {
            const size_t wanted = end - row, left = part_end - first;
            const size_t n = wanted < left ? wanted : left;
            float *scratch = NULL;
            if (part->type == UPG_TYPE_PACKED) {
                scratch = malloc(upg_packed_row_scratch(&part->packed) * sizeof *scratch + 1);
                if (!scratch) {
                    atomic_store(&e->out_of_memory, true);
                    return;
                }
            }
            upg_matrix_rows(part, first - part_begin, n, e->out + row * e->linear->n_cols, scratch);
            free(scratch);
            row += n;
        }
        part_begin = part_end;
    }
}

upg_status upg_dense_linear(struct upg_pool *pool, const struct upg_linear *linear, size_t begin,
                            size_t n, float *out, upg_error *err)
{
    struct expansion e = {.linear = linear, .begin = begin, .n = n, .out = out};

    upg_pool_run(pool, expand_rows, &e);
    if (atomic_load(&e.out_of_memory))
        return upg_fail_memory(err, "decoding a packed matrix", linear->n_cols * sizeof *out);
    return UPG_OK;
}

upg_status upg_dense_embed(const struct upg_model *model, const int32_t *ids, size_t n, float *out,
                           upg_error *err)
{
    const struct upg_matrix *embedding = &model->embedding;
    float *scratch = NULL;

    if (embedding->type == UPG_TYPE_PACKED) {
        scratch = malloc(upg_packed_row_scratch(&embedding->packed) * sizeof *scratch + 1);
        if (!scratch)
            return upg_fail_memory(err, "decoding a packed matrix", embedding->n_cols);
    }
    for (size_t t = 0; t < n; t++)
        upg_matrix_rows(embedding, (size_t)ids[t], 1, out + t * embedding->n_cols, scratch);
    free(scratch);
    return UPG_OK;
}

upg_status upg_dense_buffers_init(struct upg_dense_buffers *buffers,
                                  const struct upg_config *config, struct upg_arena *arena,
                                  upg_error *err)
{
    const size_t n_heads_dim = config->n_heads * config->head_dim;
    const size_t n_qkv = n_heads_dim + 2 * config->n_kv_heads * config->head_dim;

    buffers->qkv = upg_arena_alloc(arena, n_qkv, config->d_model * sizeof(float));
    buffers->o = upg_arena_alloc(arena, config->d_model, n_heads_dim * sizeof(float));
    buffers->gate_up = upg_arena_alloc(arena, 2 * config->d_ff, config->d_model * sizeof(float));
    buffers->down = upg_arena_alloc(arena, config->d_model, config->d_ff * sizeof(float));
    if (!buffers->qkv || !buffers->o || !buffers->gate_up || !buffers->down)
        return upg_fail_memory(err, "a layer in float32",
                               2 * config->d_ff * config->d_model * sizeof(float));
    return UPG_OK;
}

upg_status upg_dense_read_layer(struct upg_pool *pool, const struct upg_model *model, size_t layer,
                                struct upg_dense_buffers *buffers,
                                struct upg_dense_weights *weights, upg_error *err)
{
    const struct upg_layer *l = &model->layers[layer];
    const struct {
        const struct upg_linear *linear;
        float *out;
    } maps[] = {{&l->qkv, buffers->qkv},
                {&l->o, buffers->o},
                {&l->gate_up, buffers->gate_up},
                {&l->down, buffers->down}};

    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        const upg_status status =
            upg_dense_linear(pool, maps[i].linear, 0, maps[i].linear->n_rows, maps[i].out, err);
        if (status != UPG_OK)
            return status;
    }
    *weights = (struct upg_dense_weights){.attention_norm = l->attention_norm,
                                          .qkv = buffers->qkv,
                                          .o = buffers->o,
                                          .mlp_norm = l->mlp_norm,
                                          .gate_up = buffers->gate_up,
                                          .down = buffers->down};
    return UPG_OK;
}
