/* backend_split.c -- every operation goes to the backend whose layers the step has reached.
 *
 * A layer, and the head, begins with a norm of the residual stream, which is all that one layer
 * hands to the next: the norm of the first layer of `rest` is where the stream changes hands, once a
 * step. */
#include "engine/backend_split.h"

struct split {
    struct upg_backend front, rest;
    const struct upg_backend *now; /* the one that computes */
    const float *first_norm;       /* of the first layer of rest; of the head if it has none */
    const struct upg_step *step;   /* from embed() to finish() */
};

static upg_status new_rows(void *state, size_t n_floats, float **rows, upg_error *err)
{
    struct split *split = state;

    return split->rest.new_rows(split->rest.state, n_floats, rows, err);
}

static void embed(void *state, struct upg_activation x, const struct upg_matrix *embedding,
                  const struct upg_step *step)
{
    struct split *split = state;

    split->now = &split->front;
    split->step = step;
    split->front.embed(split->front.state, x, embedding, step);
}

static void norm(void *state, struct upg_activation out, struct upg_activation x,
                 const uint32_t *pick, const float *weight, size_t n_rows)
{
    struct split *split = state;

    if (weight == split->first_norm) {
        split->now = &split->rest;
        split->rest.resume(split->rest.state, x, split->step);
    }
    split->now->norm(split->now->state, out, x, pick, weight, n_rows);
}

static void linear(void *state, struct upg_activation out, const struct upg_linear *map,
                   struct upg_activation x, size_t n_rows)
{
    const struct split *split = state;

    split->now->linear(split->now->state, out, map, x, n_rows);
}

static void rotate_and_append(void *state, struct upg_activation qkv, size_t layer,
                              const struct upg_step *step)
{
    const struct split *split = state;

    split->now->rotate_and_append(split->now->state, qkv, layer, step);
}

static void attend(void *state, struct upg_activation out, struct upg_activation qkv, size_t layer,
                   const struct upg_step *step)
{
    const struct split *split = state;

    split->now->attend(split->now->state, out, qkv, layer, step);
}

static void gate(void *state, struct upg_activation gate_up, size_t n_rows)
{
    const struct split *split = state;

    split->now->gate(split->now->state, gate_up, n_rows);
}

static void add(void *state, struct upg_activation x, struct upg_activation y, size_t n_rows)
{
    const struct split *split = state;

    split->now->add(split->now->state, x, y, n_rows);
}

static upg_status finish(void *state, upg_error *err)
{
    const struct split *split = state;
    upg_error later;
    const upg_status status = split->front.finish(split->front.state, err);
    const upg_status rest = split->rest.finish(split->rest.state, status == UPG_OK ? err : &later);

    return status == UPG_OK ? rest : status;
}

upg_status upg_backend_split(struct upg_backend *backend, const struct upg_backend *front,
                             const struct upg_backend *rest, const struct upg_model *model,
                             size_t first_layer, struct upg_arena *arena, upg_error *err)
{
    struct split *split = upg_arena_alloc(arena, 1, sizeof *split);

    if (!split)
        return upg_fail_memory(err, "a model's division among devices", sizeof *split);
    *split = (struct split){.front = *front,
                            .rest = *rest,
                            .first_norm = first_layer < model->config.n_layers
                                              ? model->layers[first_layer].attention_norm
                                              : model->norm};
    *backend = (struct upg_backend){.state = split,
                                    .max_rows = front->max_rows < rest->max_rows ? front->max_rows
                                                                                 : rest->max_rows,
                                    .new_rows = new_rows,
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
