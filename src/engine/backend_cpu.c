/* backend_cpu.c -- the operations on the kernel table, with a pool of threads.
 *
 * Matrices are split by rows, everything else by rows of the step; attention by (tile, key/value
 * head).  Splitting never cuts a sum, and kernels give a row of the step the same bits whatever
 * stands beside it, so results depend neither on the number of threads nor on the batch.
 *
 * Types without a kernel of their own (GGUF blocks, and plain types in files that do not align
 * them) are decoded DECODE_ROWS rows at a time and multiplied with all rows of the step. */
#include "base/pool.h"
#include "base/size.h"
#include "engine/attention.h"

#include <string.h>

enum {
    SPLIT_ROWS = 16, /* matrix rows are given to threads in this unit: a cache line of outputs */
    DECODE_ROWS = 16,
    TRANSFORM_BLOCKS = UPG_SCALE_BLOCK / UPG_ROW_BLOCK /* row blocks that a transform block has */
};

struct cpu {
    struct upg_backend_setup setup;
    struct upg_pool *pool;
    const struct upg_kernels *kernels;
    struct upg_attention attention;
    struct upg_tile *tiles;         /* [max_rows] */
    uint8_t *scratch;               /* [n_threads, scratch_bytes] */
    size_t scratch_bytes;           /* a multiple of 64 */
    struct upg_q8_rows quantized;   /* buffers for max_rows of the widest packed matrix */
    struct upg_activation unpadded; /* [max_rows] outputs of packed parts whose rows are padded */
};

/* A job for the pool: what all of its threads read.  Fields that a job does not need are zero. */
struct job {
    struct cpu *cpu;
    const struct upg_step *step;
    const struct upg_matrix *matrix; /* [n_parts] */
    struct upg_activation out, x;
    const uint32_t *pick;
    const float *weight;
    size_t n_rows, layer, n_tiles;
    size_t n_parts, unit; /* unit: row blocks that one thread has together */
};

static void *scratch_of(const struct cpu *cpu, size_t thread)
{
    return cpu->scratch + thread * cpu->scratch_bytes;
}

static const struct upg_config *config_of(const struct cpu *cpu)
{
    return &cpu->setup.model->config;
}

/* Run a job that splits n units; one unit is not worth waking the others. */
static void run(struct job *job, void (*function)(void *, size_t, size_t), size_t n)
{
    if (n > 1)
        upg_pool_run(job->cpu->pool, function, job);
    else
        function(job, 0, 1);
}

/* ---- Rows of the step ---- */

static void embed_rows(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    size_t begin, end;

    upg_split(job->step->n_rows, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++)
        upg_matrix_rows(job->matrix, (size_t)job->step->rows[i].id, 1,
                        job->out.rows + i * job->out.stride, scratch_of(job->cpu, thread));
}

static void embed(void *state, struct upg_activation x, const struct upg_matrix *embedding,
                  const struct upg_step *step)
{
    struct job job = {.cpu = state, .step = step, .matrix = embedding, .out = x};

    run(&job, embed_rows, step->n_rows);
}

static void norm_rows(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    const struct upg_config *config = config_of(job->cpu);
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
    struct job job = {
        .cpu = state, .out = out, .x = x, .pick = pick, .weight = weight, .n_rows = n_rows};

    run(&job, norm_rows, n_rows);
}

static void rotate_rows(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    const struct upg_config *c = config_of(job->cpu);
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
    struct job job = {.cpu = state, .step = step, .x = qkv, .layer = layer};

    run(&job, rotate_rows, step->n_rows);
}

static void gate_rows(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    const size_t d_ff = config_of(job->cpu)->d_ff;
    size_t begin, end;

    upg_split(job->n_rows, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        float *z = job->x.rows + i * job->x.stride;

        job->cpu->kernels->silu_gate(z, z, z + d_ff, d_ff);
    }
}

static void gate(void *state, struct upg_activation gate_up, size_t n_rows)
{
    struct job job = {.cpu = state, .x = gate_up, .n_rows = n_rows};

    run(&job, gate_rows, n_rows);
}

static void add_rows(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    const size_t d_model = config_of(job->cpu)->d_model;
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
    struct job job = {.cpu = state, .out = x, .x = y, .n_rows = n_rows};

    run(&job, add_rows, n_rows);
}

/* ---- Attention ---- */

/* Later tiles of a prompt see more positions, so tasks are dealt out in turn. */
static void attend_tiles(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    const struct cpu *cpu = job->cpu;
    const size_t n_kv_heads = config_of(cpu)->n_kv_heads;

    for (size_t task = thread; task < job->n_tiles * n_kv_heads; task += n_threads)
        upg_attention_tile(&cpu->attention, job->out, job->x, job->layer, job->step,
                           &cpu->tiles[task / n_kv_heads], task % n_kv_heads,
                           scratch_of(cpu, thread));
}

/* Tokens of partly filled last blocks, after attention has read what was there before. */
static void store_open_rows(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    const struct upg_config *c = config_of(job->cpu);
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
    struct cpu *cpu = state;
    struct job job = {.cpu = cpu, .step = step, .out = out, .x = qkv, .layer = layer};

    job.n_tiles = upg_attention_tiles(step, cpu->tiles);
    run(&job, attend_tiles, job.n_tiles * config_of(cpu)->n_kv_heads);
    if (upg_kv_has_open(cpu->setup.cache))
        run(&job, store_open_rows, step->n_rows);
}

/* ---- Linear maps ---- */

static bool is_aligned(const struct upg_matrix *matrix)
{
    const size_t alignment = matrix->type == UPG_TYPE_F32 ? sizeof(float) : sizeof(uint16_t);

    return (uintptr_t)matrix->data % alignment == 0;
}

/* Matrix rows [row, row + n) times all rows of x by a kernel that reads the stored type; false if
 * there is none. */
static bool multiply_stored(const struct job *job, size_t row, size_t n)
{
    const struct upg_kernels *kernels = job->cpu->kernels;
    const struct upg_matrix *w = job->matrix;
    const size_t first = row * w->n_cols;
    float *y = job->out.rows + row;

    if (w->type == UPG_TYPE_I8_ROWS)
        kernels->matmul_i8_rows(y, job->out.stride, (const int8_t *)w->data + first,
                                w->row_scale + row, job->x.rows, job->x.stride, n, w->n_cols,
                                job->n_rows);
    else if (!is_aligned(w))
        return false;
    else if (w->type == UPG_TYPE_F32)
        kernels->matmul_f32(y, job->out.stride, (const float *)w->data + first, job->x.rows,
                            job->x.stride, n, w->n_cols, job->n_rows);
    else if (w->type == UPG_TYPE_BF16)
        kernels->matmul_bf16(y, job->out.stride, (const uint16_t *)w->data + first, job->x.rows,
                             job->x.stride, n, w->n_cols, job->n_rows);
    else if (w->type == UPG_TYPE_F16)
        kernels->matmul_f16(y, job->out.stride, (const uint16_t *)w->data + first, job->x.rows,
                            job->x.stride, n, w->n_cols, job->n_rows);
    else
        return false;
    return true;
}

static void multiply_rows(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    const struct upg_matrix *w = job->matrix;
    float *decoded = scratch_of(job->cpu, thread);
    size_t begin, end;

    upg_split((w->n_rows + SPLIT_ROWS - 1) / SPLIT_ROWS, thread, n_threads, &begin, &end);
    begin *= SPLIT_ROWS;
    end = end * SPLIT_ROWS < w->n_rows ? end * SPLIT_ROWS : w->n_rows;
    if (begin >= end || multiply_stored(job, begin, end - begin))
        return;
    for (size_t row = begin; row < end; row += DECODE_ROWS) {
        const size_t n = end - row < DECODE_ROWS ? end - row : DECODE_ROWS;

        upg_matrix_rows(w, row, n, decoded, NULL);
        job->cpu->kernels->matmul_f32(job->out.rows + row, job->out.stride, decoded, job->x.rows,
                                      job->x.stride, n, w->n_cols, job->n_rows);
    }
}

static void quantize_blocks(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    const struct upg_packed *w = &job->matrix->packed;
    struct upg_q8_rows *quantized = &job->cpu->quantized;
    size_t begin, end;

    upg_split(quantized->n_blocks, thread, n_threads, &begin, &end);
    if (begin < end)
        job->cpu->kernels->rotate_quantize(quantized, job->x.rows, job->x.stride, w->n_cols,
                                           w->seed_in, begin, end);
}

/* ---- Packed parts ---- */

static size_t row_blocks(const struct upg_matrix *part)
{
    return part->packed.padded_rows / UPG_ROW_BLOCK;
}

static size_t units_of(const struct upg_matrix *part, size_t unit)
{
    return (row_blocks(part) + unit - 1) / unit;
}

static size_t count_units(const struct job *job, size_t unit)
{
    size_t n = 0;

    for (size_t p = 0; p < job->n_parts; p++)
        n += units_of(&job->matrix[p], unit);
    return n;
}

/* Row blocks [begin, end) of a part whose outputs begin at column `first` of out, and their output
 * transform if no other thread has rows of the same transform block. */
static void multiply_blocks(const struct job *job, const struct upg_matrix *part, size_t first,
                            size_t begin, size_t end, size_t thread)
{
    const struct upg_kernels *kernels = job->cpu->kernels;
    const struct upg_packed *w = &part->packed;
    float *y = job->out.rows + first;

    kernels->packed_matmul(y, job->out.stride, w, &job->cpu->quantized, begin, end,
                           scratch_of(job->cpu, thread));
    if (!w->has_output_transform || job->unit != TRANSFORM_BLOCKS)
        return;
    y += begin * UPG_ROW_BLOCK;
    for (size_t i = 0; i < job->n_rows; i++) /* the sign of row r is that of seed + r */
        kernels->transform_out(y + i * job->out.stride, (end - begin) * UPG_ROW_BLOCK,
                               w->seed_out + begin * UPG_ROW_BLOCK);
}

/* The parts one after the other are one long row of units. */
static void multiply_parts(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    size_t first = 0, begin, end;

    upg_split(count_units(job, job->unit), thread, n_threads, &begin, &end);
    for (size_t p = 0; p < job->n_parts && end > 0; p++) {
        const struct upg_matrix *part = &job->matrix[p];
        const size_t n = units_of(part, job->unit), to = end < n ? end : n;

        if (begin < to)
            multiply_blocks(job, part, first, begin * job->unit,
                            to == n ? row_blocks(part) : to * job->unit, thread);
        begin -= begin < n ? begin : n;
        end -= to;
        first += part->n_rows;
    }
}

static void transform_rows(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    size_t begin, end, first = 0;

    upg_split(job->n_rows, thread, n_threads, &begin, &end);
    for (size_t p = 0; p < job->n_parts; p++) {
        const struct upg_packed *w = &job->matrix[p].packed;

        for (size_t i = begin; i < end && w->has_output_transform; i++)
            job->cpu->kernels->transform_out(job->out.rows + i * job->out.stride + first,
                                             w->padded_rows, w->seed_out);
        first += job->matrix[p].n_rows;
    }
}

/* Row blocks of a unit: as many as an output transform mixes, so that who has multiplied them can
 * transform them, if the threads' shares are as even as with single ones (to a sixteenth). */
static size_t choose_unit(const struct job *job)
{
    const size_t n_threads = upg_pool_n_threads(job->cpu->pool);
    const size_t n_blocks = (count_units(job, 1) + n_threads - 1) / n_threads;
    const size_t n_units = (count_units(job, TRANSFORM_BLOCKS) + n_threads - 1) / n_threads;

    return 16 * TRANSFORM_BLOCKS * n_units <= 17 * n_blocks ? TRANSFORM_BLOCKS : 1;
}

/* Parts from `part` on that take the same quantized rows and are as long as their outputs. */
static size_t parts_together(const struct upg_linear *linear, size_t part)
{
    const struct upg_packed *first = &linear->part[part].packed;
    size_t n = 0;

    for (size_t p = part; p < linear->n_parts; p++, n++) {
        const struct upg_packed *w = &linear->part[p].packed;

        if (linear->part[p].type != UPG_TYPE_PACKED || w->seed_in != first->seed_in ||
            w->padded_cols != first->padded_cols || w->padded_rows != w->n_rows)
            break;
    }
    return n;
}

/* Kernels write padded_rows outputs.  Where that is more than a part has, n_parts is 1, and they go
 * to a buffer of their own first. */
static void packed_parts(struct job *job)
{
    struct cpu *cpu = job->cpu;
    const struct upg_packed *w = &job->matrix->packed;
    const struct upg_activation out = job->out;
    const bool is_padded = w->padded_rows != w->n_rows;

    cpu->quantized.n_tokens = job->n_rows;
    cpu->quantized.padded_cols = w->padded_cols;
    cpu->quantized.n_blocks = (w->padded_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;
    run(job, quantize_blocks, cpu->quantized.n_blocks);
    if (is_padded)
        job->out = cpu->unpadded;
    job->unit = choose_unit(job);
    run(job, multiply_parts, count_units(job, job->unit));
    if (job->unit != TRANSFORM_BLOCKS)
        run(job, transform_rows, job->n_rows);
    for (size_t i = 0; is_padded && i < job->n_rows; i++)
        memcpy(out.rows + i * out.stride, job->out.rows + i * job->out.stride,
               w->n_rows * sizeof(float));
}

static void linear(void *state, struct upg_activation out, const struct upg_linear *linear,
                   struct upg_activation x, size_t n_rows)
{
    for (size_t p = 0, n; p < linear->n_parts; p += n) {
        const size_t together = parts_together(linear, p);
        struct job job = {
            .cpu = state, .matrix = &linear->part[p], .out = out, .x = x, .n_rows = n_rows};

        n = job.n_parts = together > 0 ? together : 1;
        if (job.matrix->type == UPG_TYPE_PACKED)
            packed_parts(&job);
        else
            run(&job, multiply_rows, job.matrix->n_rows);
        for (size_t i = 0; i < n; i++)
            out.rows += job.matrix[i].n_rows;
    }
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

static void grow(size_t *extent, size_t n)
{
    if (n > *extent)
        *extent = n;
}

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
static bool measure_scratch(const struct cpu *cpu, const struct extents *e, size_t *n_bytes)
{
    size_t decoded, attention;

    if (!size_mul(e->n_cols, DECODE_ROWS * sizeof(float), &decoded) ||
        !upg_attention_scratch(&cpu->attention, &attention))
        return false;
    *n_bytes = cpu->kernels->scratch_bytes;
    grow(n_bytes, decoded);
    grow(n_bytes, attention);
    grow(n_bytes, e->row_scratch * sizeof(float));
    return size_round_up(*n_bytes, UPG_CACHE_LINE, n_bytes);
}

static bool new_buffers(struct cpu *cpu, const struct extents *e, struct upg_arena *arena)
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
    return cpu->tiles && cpu->scratch && cpu->quantized.values && cpu->quantized.scales &&
           cpu->quantized.sums && cpu->unpadded.rows;
}

upg_status upg_backend_cpu(struct upg_backend *backend, const struct upg_backend_setup *setup,
                           struct upg_pool *pool, const struct upg_kernels *kernels,
                           struct upg_arena *arena, upg_error *err)
{
    const struct extents extents = measure_model(setup->model);
    struct cpu *cpu = upg_arena_alloc(arena, 1, sizeof *cpu);

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
