/* backend_cpu.c -- the operations on the kernel table, with a pool of threads.
 *
 * Matrices are split by rows, everything else by rows of the step; attention by (tile, key/value
 * head).  Splitting never cuts a sum, and kernels give a row of the step the same bits whatever
 * stands beside it, so results depend neither on the number of threads nor on the batch. */
#include "engine/backend_cpu.h"

#include "base/size.h"

/* Of attention: with fewer, threads wait for the one that has one more. */
enum { TASKS_A_THREAD = 4 };

static void grow(size_t *extent, size_t n)
{
    if (n > *extent)
        *extent = n;
}

/* ---- Rows of the step ---- */

static void embed_rows(void *context, size_t thread, size_t n_threads)
{
    const struct upg_cpu_job *job = context;
    size_t begin, end;

    upg_split(job->step->n_rows, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++)
        upg_matrix_rows(job->matrix, (size_t)job->step->rows[i].id, 1,
                        job->out.rows + i * job->out.stride, upg_cpu_scratch(job->cpu, thread));
}

static void embed(void *state, struct upg_activation x, const struct upg_matrix *embedding,
                  const struct upg_step *step)
{
    struct upg_cpu_job job = {.cpu = state, .step = step, .matrix = embedding, .out = x};

    upg_cpu_run(&job, embed_rows, step->n_rows);
}

static void norm_rows(void *context, size_t thread, size_t n_threads)
{
    const struct upg_cpu_job *job = context;
    const struct upg_config *config = upg_cpu_config(job->cpu);
    size_t begin, end;

    upg_split(job->n_rows, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t from = job->pick ? job->pick[i] : i;

        job->cpu->kernels->rms_norm(job->out.rows + i * job->out.stride,
                                    job->x.rows + from * job->x.stride, job->weight,
                                    config->d_model, (float)config->norm_eps);
    }
}

static void norm(void *state, struct upg_activation out, struct upg_activation x,
                 const uint32_t *pick, const float *weight, size_t n_rows)
{
    struct upg_cpu_job job = {
        .cpu = state, .out = out, .x = x, .pick = pick, .weight = weight, .n_rows = n_rows};

    upg_cpu_run(&job, norm_rows, n_rows);
}

static void rotate_rows(void *context, size_t thread, size_t n_threads)
{
    const struct upg_cpu_job *job = context;
    const struct upg_config *c = upg_cpu_config(job->cpu);
    const size_t n_pairs = c->rotary_dim / 2;
    size_t begin, end;

    upg_split(job->step->n_rows, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const struct upg_row *row = &job->step->rows[i];
        const float *cosine = job->step->cosine + i * n_pairs;
        const float *sine = job->step->sine + i * n_pairs;
        float *q = job->x.rows + i * job->x.stride;
        float *k = q + c->n_heads * c->head_dim;
        float *v = k + c->n_kv_heads * c->head_dim;

        for (size_t h = 0; h < c->n_heads + c->n_kv_heads; h++) /* q heads, then k heads */
            upg_rope_rotate(row->rope, q + h * c->head_dim, cosine, sine);
        if (upg_kv_is_coded(job->cpu->setup.cache->type))
            for (size_t h = 0; h < c->n_heads + 2 * c->n_kv_heads; h++)
                upg_hadamard(q + h * c->head_dim, c->head_dim);
        for (size_t g = 0; g < c->n_kv_heads; g++)
            upg_kv_write(job->cpu->setup.cache, row->list, job->layer, g, row->pos,
                         k + g * c->head_dim, v + g * c->head_dim);
    }
}

static void rotate_and_append(void *state, struct upg_activation qkv, size_t layer,
                              const struct upg_step *step)
{
    struct upg_cpu_job job = {.cpu = state, .step = step, .x = qkv, .layer = layer};

    upg_cpu_run(&job, rotate_rows, step->n_rows);
}

static void gate_rows(void *context, size_t thread, size_t n_threads)
{
    const struct upg_cpu_job *job = context;
    const size_t d_ff = upg_cpu_config(job->cpu)->d_ff;
    size_t begin, end;

    upg_split(job->n_rows, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        float *z = job->x.rows + i * job->x.stride;

        job->cpu->kernels->silu_gate(z, z, z + d_ff, d_ff);
    }
}

static void gate(void *state, struct upg_activation gate_up, size_t n_rows)
{
    struct upg_cpu_job job = {.cpu = state, .x = gate_up, .n_rows = n_rows};

    upg_cpu_run(&job, gate_rows, n_rows);
}

static void add_rows(void *context, size_t thread, size_t n_threads)
{
    const struct upg_cpu_job *job = context;
    const size_t d_model = upg_cpu_config(job->cpu)->d_model;
    size_t begin, end;

    upg_split(job->n_rows, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        float *to = job->out.rows + i * job->out.stride;
        const float *from = job->x.rows + i * job->x.stride;

        for (size_t j = 0; j < d_model; j++)
            to[j] += from[j];
    }
}

static void add(void *state, struct upg_activation x, struct upg_activation y, size_t n_rows)
{
    struct upg_cpu_job job = {.cpu = state, .out = x, .x = y, .n_rows = n_rows};

    upg_cpu_run(&job, add_rows, n_rows);
}

/* ---- Attention ---- */

/* Later tiles of a prompt see more positions, so tasks are dealt out in turn. */
static void attend_tiles(void *context, size_t thread, size_t n_threads)
{
    const struct upg_cpu_job *job = context;
    const struct upg_cpu *cpu = job->cpu;
    const size_t n_kv_heads = upg_cpu_config(cpu)->n_kv_heads;

    for (size_t task = thread; task < job->n_tiles * n_kv_heads; task += n_threads)
        upg_attention_tile(&cpu->attention, job->out, job->x, job->layer, job->step,
                           &cpu->tiles[task / n_kv_heads], task % n_kv_heads,
                           upg_cpu_scratch(cpu, thread));
}

/* Few tiles, each of one row, with much before them: more threads than tasks, or nearly. */
static bool are_few(const struct upg_cpu *cpu, const struct upg_cpu_job *job)
{
    const size_t n_tasks = job->n_tiles * upg_cpu_config(cpu)->n_kv_heads;

    if (n_tasks >= TASKS_A_THREAD * upg_pool_n_threads(cpu->pool) ||
        n_tasks * job->n_spans > cpu->n_partials)
        return false;
    for (size_t i = 0; i < job->n_tiles; i++)
        if (cpu->tiles[i].n_rows > 1)
            return false;
    return job->n_spans > 1;
}

static float *partials_of(const struct upg_cpu_job *job, size_t tile, size_t kv_head)
{
    const struct upg_cpu *cpu = job->cpu;
    const size_t task = tile * upg_cpu_config(cpu)->n_kv_heads + kv_head;

    return cpu->partials + task * job->n_spans * upg_attention_partial(&cpu->attention);
}

static void attend_spans(void *context, size_t thread, size_t n_threads)
{
    const struct upg_cpu_job *job = context;
    const struct upg_cpu *cpu = job->cpu;
    const size_t n_heads = upg_cpu_config(cpu)->n_kv_heads, n_spans = job->n_spans;

    for (size_t i = thread; i < job->n_tiles * n_heads * n_spans; i += n_threads) {
        const size_t span = i % n_spans, head = i / n_spans % n_heads, t = i / n_spans / n_heads;
        const struct upg_tile *tile = &cpu->tiles[t];
        float *partial = partials_of(job, t, head) + span * upg_attention_partial(&cpu->attention);

        if (span < upg_attention_spans(job->step, tile))
            upg_attention_span(&cpu->attention, partial, job->x, job->layer, job->step, tile, head,
                               span, upg_cpu_scratch(cpu, thread));
    }
}

static void join_spans(void *context, size_t thread, size_t n_threads)
{
    const struct upg_cpu_job *job = context;
    const struct upg_cpu *cpu = job->cpu;
    const size_t n_heads = upg_cpu_config(cpu)->n_kv_heads;

    for (size_t i = thread; i < job->n_tiles * n_heads; i += n_threads) {
        const struct upg_tile *tile = &cpu->tiles[i / n_heads];

        upg_attention_join(&cpu->attention, job->out, partials_of(job, i / n_heads, i % n_heads),
                           upg_attention_spans(job->step, tile), tile, i % n_heads,
                           upg_cpu_scratch(cpu, thread));
    }
}

/* Tokens of partly filled last blocks, after attention has read what was there before. */
static void store_open_rows(void *context, size_t thread, size_t n_threads)
{
    const struct upg_cpu_job *job = context;
    const struct upg_config *c = upg_cpu_config(job->cpu);
    size_t begin, end;

    upg_split(job->step->n_rows, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const struct upg_row *row = &job->step->rows[i];
        const float *k = job->x.rows + i * job->x.stride + c->n_heads * c->head_dim;
        const float *v = k + c->n_kv_heads * c->head_dim;

        if (row->pos / UPG_KV_BLOCK < row->list->n_tokens / UPG_KV_BLOCK)
            continue;
        for (size_t g = 0; g < c->n_kv_heads; g++)
            upg_kv_write_open(job->cpu->setup.cache, row->list, job->layer, g, row->pos,
                              k + g * c->head_dim, v + g * c->head_dim);
    }
}

static void attend(void *state, struct upg_activation out, struct upg_activation qkv, size_t layer,
                   const struct upg_step *step)
{
    struct upg_cpu *cpu = state;
    struct upg_cpu_job job = {.cpu = cpu, .step = step, .out = out, .x = qkv, .layer = layer};

    job.n_tiles = upg_attention_tiles(step, cpu->tiles);
    for (size_t i = 0; i < job.n_tiles; i++)
        grow(&job.n_spans, upg_attention_spans(step, &cpu->tiles[i]));
    if (are_few(cpu, &job)) {
        upg_pool_run(cpu->pool, attend_spans, &job);
        upg_pool_run(cpu->pool, join_spans, &job);
    } else {
        upg_cpu_run(&job, attend_tiles, job.n_tiles * upg_cpu_config(cpu)->n_kv_heads);
    }
    if (upg_kv_has_open(cpu->setup.cache))
        upg_cpu_run(&job, store_open_rows, step->n_rows);
}

static upg_status finish(void *state, upg_error *err)
{
    (void)state, (void)err; /* everything is done when an operation returns, and nothing fails */
    return UPG_OK;
}

/* ---- Buffers ---- */

/* The largest extents over all matrices of a model. */
struct extents {
    size_t n_cols, packed_cols, padded_rows, row_scratch;
};

static void measure_matrix(struct extents *e, const struct upg_matrix *matrix)
{
    const struct upg_packed *packed = &matrix->packed;

    grow(&e->n_cols, matrix->n_cols);
    if (matrix->type != UPG_TYPE_PACKED)
        return;
    grow(&e->packed_cols, packed->padded_cols);
    grow(&e->row_scratch, upg_packed_row_scratch(packed));
    if (packed->padded_rows != packed->n_rows)
        grow(&e->padded_rows, packed->padded_rows);
}

static void measure_linear(struct extents *e, const struct upg_linear *linear)
{
    for (size_t p = 0; p < linear->n_parts; p++)
        measure_matrix(e, &linear->part[p]);
}

static struct extents measure_model(const struct upg_model *model)
{
    struct extents e = {0};

    measure_matrix(&e, &model->embedding);
    measure_linear(&e, &model->head);
    for (size_t i = 0; i < model->config.n_layers; i++) {
        measure_linear(&e, &model->layers[i].qkv);
        measure_linear(&e, &model->layers[i].o);
        measure_linear(&e, &model->layers[i].gate_up);
        measure_linear(&e, &model->layers[i].down);
    }
    return e;
}

/* Scratch of one thread: the largest of what its jobs need. */
static bool measure_scratch(const struct upg_cpu *cpu, const struct extents *e, size_t *n_bytes)
{
    size_t decoded, attention;

    if (!size_mul(e->n_cols, UPG_DECODE_ROWS * sizeof(float), &decoded) ||
        !upg_attention_scratch(&cpu->attention, &attention))
        return false;
    *n_bytes = cpu->kernels->scratch_bytes;
    grow(n_bytes, decoded);
    grow(n_bytes, attention);
    grow(n_bytes, e->row_scratch * sizeof(float));
    return size_round_up(*n_bytes, UPG_CACHE_LINE, n_bytes);
}

/* Partials of attention for fewer than TASKS_A_THREAD tasks a thread; none where a single row has
 * more tasks than that, or no sequence has two spans. */
static bool new_partials(struct upg_cpu *cpu, struct upg_arena *arena)
{
    const size_t n_tasks = TASKS_A_THREAD * upg_pool_n_threads(cpu->pool);
    size_t n_floats;

    if (n_tasks > upg_cpu_config(cpu)->n_kv_heads && cpu->setup.context > UPG_SPAN &&
        upg_pool_n_threads(cpu->pool) > 1 &&
        !size_mul(n_tasks, cpu->setup.context / UPG_SPAN + 1, &cpu->n_partials))
        return false;
    if (!size_mul(cpu->n_partials, upg_attention_partial(&cpu->attention), &n_floats))
        return false;
    cpu->partials = upg_arena_alloc(arena, n_floats, sizeof(float));
    return cpu->partials;
}

static bool new_buffers(struct upg_cpu *cpu, const struct extents *e, struct upg_arena *arena)
{
    const size_t n = cpu->setup.max_rows;
    const size_t n_blocks = (e->packed_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;
    size_t n_values, n_scales, n_outputs;

    if (!size_mul(n, e->packed_cols, &n_values) || !size_mul(n, n_blocks, &n_scales) ||
        !size_mul(n, e->padded_rows, &n_outputs))
        return false;
    cpu->tiles = upg_arena_alloc(arena, n, sizeof *cpu->tiles);
    cpu->scratch = upg_arena_alloc(arena, upg_pool_n_threads(cpu->pool), cpu->scratch_bytes);
    cpu->quantized.values = upg_arena_alloc(arena, n_values, sizeof *cpu->quantized.values);
    cpu->quantized.scales = upg_arena_alloc(arena, n_scales, sizeof *cpu->quantized.scales);
    cpu->quantized.sums = upg_arena_alloc(arena, n_scales, sizeof *cpu->quantized.sums);
    cpu->unpadded.stride = e->padded_rows;
    cpu->unpadded.rows = upg_arena_alloc(arena, n_outputs, sizeof(float));
    return new_partials(cpu, arena) && cpu->tiles && cpu->scratch && cpu->quantized.values &&
           cpu->quantized.scales && cpu->quantized.sums && cpu->unpadded.rows;
}

upg_status upg_backend_cpu(struct upg_backend *backend, const struct upg_backend_setup *setup,
                           struct upg_pool *pool, const struct upg_kernels *kernels,
                           struct upg_arena *arena, upg_error *err)
{
    const struct extents extents = measure_model(setup->model);
    struct upg_cpu *cpu = upg_arena_alloc(arena, 1, sizeof *cpu);

    if (!cpu)
        return upg_fail_memory(err, "the CPU backend", sizeof *cpu);
    cpu->setup = *setup;
    cpu->pool = pool;
    cpu->kernels = kernels;
    cpu->attention = (struct upg_attention){
        .kernels = kernels, .cache = setup->cache, .n_heads = setup->model->config.n_heads};
    if (!measure_scratch(cpu, &extents, &cpu->scratch_bytes))
        return upg_fail(err, UPG_ERR_ARGUMENT, "%s: matrices of %zu columns are too wide to run",
                        setup->model->path, extents.n_cols);
    if (!new_buffers(cpu, &extents, arena))
        return upg_fail(err, UPG_ERR_MEMORY,
                        "out of memory: the buffers of %zu rows for %zu threads; use fewer threads",
                        setup->max_rows, upg_pool_n_threads(pool));
    *backend = (struct upg_backend){.state = cpu,
                                    .max_rows = setup->max_rows,
                                    .embed = embed,
                                    .norm = norm,
                                    .linear = upg_cpu_linear,
                                    .rotate_and_append = rotate_and_append,
                                    .attend = attend,
                                    .gate = gate,
                                    .add = add,
                                    .finish = finish};
    return UPG_OK;
}
