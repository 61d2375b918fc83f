/* backend_cpu_linear.c -- linear maps on the kernel table.
 *
 * Types without a kernel of their own (GGUF blocks, and plain types in files that do not align
 * them) are decoded UPG_DECODE_ROWS rows at a time and multiplied with all rows of the step. */
#include "engine/backend_cpu.h"

#include <string.h>

enum {
    SPLIT_ROWS = 16, /* matrix rows are given to threads in this unit: a cache line of outputs */
    TRANSFORM_BLOCKS = UPG_SCALE_BLOCK / UPG_ROW_BLOCK /* row blocks that a transform block has */
};

static bool is_aligned(const struct upg_matrix *matrix)
{
    const size_t alignment = matrix->type == UPG_TYPE_F32 ? sizeof(float) : sizeof(uint16_t);

    return (uintptr_t)matrix->data % alignment == 0;
}

/* Matrix rows [row, row + n) times all rows of x by a kernel that reads the stored type; false if
 * there is none. */
static bool multiply_stored(const struct upg_cpu_job *job, size_t row, size_t n)
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
    const struct upg_cpu_job *job = context;
    const struct upg_matrix *w = job->matrix;
    float *decoded = upg_cpu_scratch(job->cpu, thread);
    size_t begin, end;

    upg_split((w->n_rows + SPLIT_ROWS - 1) / SPLIT_ROWS, thread, n_threads, &begin, &end);
    begin *= SPLIT_ROWS;
    end = end * SPLIT_ROWS < w->n_rows ? end * SPLIT_ROWS : w->n_rows;
    if (begin >= end || multiply_stored(job, begin, end - begin))
        return;
    for (size_t row = begin; row < end; row += UPG_DECODE_ROWS) {
        const size_t n = end - row < UPG_DECODE_ROWS ? end - row : UPG_DECODE_ROWS;

        upg_matrix_rows(w, row, n, decoded, NULL);
        job->cpu->kernels->matmul_f32(job->out.rows + row, job->out.stride, decoded, job->x.rows,
                                      job->x.stride, n, w->n_cols, job->n_rows);
    }
}

static void quantize_blocks(void *context, size_t thread, size_t n_threads)
{
    const struct upg_cpu_job *job = context;
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

static size_t count_units(const struct upg_cpu_job *job, size_t unit)
{
    size_t n = 0;

    for (size_t p = 0; p < job->n_parts; p++)
        n += units_of(&job->matrix[p], unit);
    return n;
}

/* Row blocks [begin, end) of a part whose outputs begin at column `first` of out, and their output
 * transform if no other thread has rows of the same transform block. */
static void multiply_blocks(const struct upg_cpu_job *job, const struct upg_matrix *part,
                            size_t first, size_t begin, size_t end, size_t thread)
{
    const struct upg_kernels *kernels = job->cpu->kernels;
    const struct upg_packed *w = &part->packed;
    float *y = job->out.rows + first;

    kernels->packed_matmul(y, job->out.stride, w, &job->cpu->quantized, begin, end,
                           upg_cpu_scratch(job->cpu, thread));
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
    const struct upg_cpu_job *job = context;
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
    const struct upg_cpu_job *job = context;
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
static size_t choose_unit(const struct upg_cpu_job *job)
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
static void packed_parts(struct upg_cpu_job *job)
{
    struct upg_cpu *cpu = job->cpu;
    const struct upg_packed *w = &job->matrix->packed;
    const struct upg_activation out = job->out;
    const bool is_padded = w->padded_rows != w->n_rows;

    cpu->quantized.n_tokens = job->n_rows;
    cpu->quantized.padded_cols = w->padded_cols;
    cpu->quantized.n_blocks = (w->padded_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;
    upg_cpu_run(job, quantize_blocks, cpu->quantized.n_blocks);
    if (is_padded)
        job->out = cpu->unpadded;
    job->unit = choose_unit(job);
    upg_cpu_run(job, multiply_parts, count_units(job, job->unit));
    if (job->unit != TRANSFORM_BLOCKS)
        upg_cpu_run(job, transform_rows, job->n_rows);
    for (size_t i = 0; is_padded && i < job->n_rows; i++)
        memcpy(out.rows + i * out.stride, job->out.rows + i * job->out.stride,
               w->n_rows * sizeof(float));
}

void upg_cpu_linear(void *state, struct upg_activation out, const struct upg_linear *linear,
                    struct upg_activation x, size_t n_rows)
{
    for (size_t p = 0, n; p < linear->n_parts; p += n) {
        const size_t together = parts_together(linear, p);
        struct upg_cpu_job job = {
            .cpu = state, .matrix = &linear->part[p], .out = out, .x = x, .n_rows = n_rows};

        n = job.n_parts = together > 0 ? together : 1;
        if (job.matrix->type == UPG_TYPE_PACKED)
            packed_parts(&job);
        else
            upg_cpu_run(&job, multiply_rows, job.matrix->n_rows);
        for (size_t i = 0; i < n; i++)
            out.rows += job.matrix[i].n_rows;
    }
}
