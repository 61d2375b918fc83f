/* kernel_speed.c -- how fast the kernels are where they are used: weights from memory, for one token
 * and for several, beside the bandwidth; many tokens beside the int8 peak; rows in microseconds.
 *
 * Matrices are the machine's memory, whatever is in it: no kernel's time depends on its data, as
 * long as floats are no subnormal numbers, which its bytes are in no type. */
#include "bench/kernel_speed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_COLS = 5120, /* Phi-4's d_model */
    MOST_TOKENS = 128,
    PREFILL_BLOCKS = 20, /* row blocks of a matrix that many tokens are multiplied with */
    Y_FLOATS = 8 << 20,
    HEAD_DIM = 128,
    GROUP = 4, /* query heads of a key head */
    N_CALLS = 100,
    MOST_REPS = 100
};

upg_status upg_speed_init(struct upg_speed *s, size_t scratch_bytes, upg_error *err)
{
    const size_t n_blocks = N_COLS / UPG_SCALE_BLOCK;

    s->scratch_bytes = scratch_bytes;
    s->scratch = upg_arena_alloc(&s->arena, upg_pool_n_threads(s->machine->pool), scratch_bytes);
    s->x = (struct upg_q8_rows){
        .values = upg_arena_alloc(&s->arena, MOST_TOKENS, N_COLS),
        .scales = upg_arena_alloc(&s->arena, MOST_TOKENS * n_blocks, sizeof(float)),
        .sums = upg_arena_alloc(&s->arena, MOST_TOKENS * n_blocks, sizeof(int32_t)),
        .n_tokens = MOST_TOKENS,
        .padded_cols = N_COLS,
        .n_blocks = n_blocks};
    s->row_scale = upg_arena_alloc(&s->arena, Y_FLOATS, sizeof *s->row_scale);
    s->gain = upg_arena_alloc(&s->arena, Y_FLOATS, sizeof *s->gain);
    s->y = upg_arena_alloc(&s->arena, Y_FLOATS, sizeof *s->y);
    if (!s->scratch || !s->x.values || !s->x.scales || !s->x.sums || !s->row_scale || !s->gain ||
        !s->y)
        return upg_fail_memory(err, "the operands of the kernels", Y_FLOATS * sizeof *s->y);
    memset(s->x.values, 1, (size_t)MOST_TOKENS * N_COLS);
    for (size_t i = 0; i < Y_FLOATS; i++) {
        s->row_scale[i] = 0x3C00; /* 1 */
        s->gain[i] = s->y[i] = 1;
    }
    return UPG_OK;
}

/* ---- Jobs: one timed call each ---- */

struct job {
    struct upg_speed *speed;
    struct upg_packed matrix;
    struct upg_q8_rows x;
    int weight_bytes; /* of a plain weight: 4, 2 (bf16), 3 (meaning f16), 1 */
    int bits;         /* of coded sides */
    bool keys;
    size_t n_rows, n_tokens;
};

static void multiply_packed(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    struct upg_speed *s = job->speed;
    size_t begin, end;

    upg_split(job->matrix.padded_rows / UPG_ROW_BLOCK, thread, n_threads, &begin, &end);
    if (begin < end)
        s->kernels->packed_matmul(s->y, job->matrix.padded_rows, &job->matrix, &job->x, begin, end,
                                  s->scratch + thread * s->scratch_bytes);
}

static void multiply_plain(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    const struct upg_speed *s = job->speed;
    const struct upg_kernels *k = s->kernels;
    const size_t bytes = job->weight_bytes == 3 ? 2 : (size_t)job->weight_bytes;
    size_t begin, end;

    upg_split(job->n_rows, thread, n_threads, &begin, &end);
    const void *w = s->machine->memory + begin * N_COLS * bytes;
    const float *x = s->gain;
    float *y = s->y + begin;

    switch (job->weight_bytes) {
    case 1: k->matmul_i8_rows(y, job->n_rows, w, s->gain, x, N_COLS, end - begin, N_COLS, 1); break;
    case 2: k->matmul_bf16(y, job->n_rows, w, x, N_COLS, end - begin, N_COLS, 1); break;
    case 3: k->matmul_f16(y, job->n_rows, w, x, N_COLS, end - begin, N_COLS, 1); break;
    default: k->matmul_f32(y, job->n_rows, w, x, N_COLS, end - begin, N_COLS, 1); break;
    }
}

static size_t side_bytes(int bits)
{
    return (size_t)UPG_CODED_TOKENS * HEAD_DIM * (size_t)bits / 8 +
           (size_t)UPG_CODED_TOKENS * HEAD_DIM / UPG_CODED_GROUP * sizeof(uint16_t);
}

static void multiply_coded(void *context, size_t thread, size_t n_threads)
{
    const struct job *job = context;
    const struct upg_speed *s = job->speed;
    const size_t x_stride = job->keys ? HEAD_DIM : UPG_CODED_TOKENS;
    size_t begin, end;

    upg_split(job->n_rows, thread, n_threads, &begin, &end); /* rows: sides */
    for (size_t i = begin; i < end; i++)
        (job->keys ? s->kernels->coded_keys : s->kernels->coded_values)(
            s->y + thread * GROUP * HEAD_DIM, HEAD_DIM, job->bits,
            s->machine->memory + i * side_bytes(job->bits), HEAD_DIM, s->gain, x_stride, GROUP);
}

static double time_job(struct job *job, void (*function)(void *, size_t, size_t))
{
    const double start = upg_machine_now();

    upg_pool_run(job->speed->machine->pool, function, job);
    return upg_machine_now() - start;
}

/* ---- Figures ---- */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_doubles);
    return values[n / 2];
}

static void tell(struct upg_speed *s, const char *kernel, const char *test, double rate,
                 const char *unit, double fraction, const char *limit)
{
    const upg_kernel_finding finding = {.tier = s->kernels->tier,
                                        .kernel = kernel,
                                        .test = test,
                                        .rate = rate,
                                        .unit = unit,
                                        .fraction = fraction,
                                        .limit = limit};

    if (!s->stopped && s->on_finding(s->context, &finding) != 0)
        s->stopped = true;
}

/* A job that reads n_bytes, beside the bandwidth right before it. */
static void tell_reading(struct upg_speed *s, const char *kernel, const char *test, struct job *job,
                         void (*function)(void *, size_t, size_t), double n_bytes)
{
    double rates[MOST_REPS], fractions[MOST_REPS];

    for (size_t i = 0; i < s->n_reps && !s->stopped; i++) {
        const double bandwidth = upg_machine_read_gb_per_s(s->machine);

        rates[i] = 1e-9 * n_bytes / time_job(job, function);
        fractions[i] = rates[i] / bandwidth;
    }
    if (!s->stopped)
        tell(s, kernel, test, median(rates, s->n_reps), "GB/s", median(fractions, s->n_reps),
             "bandwidth");
}

static struct job packed_job(struct upg_speed *s, int k, size_t n_blocks, size_t n_tokens)
{
    struct job job = {.speed = s, .x = s->x};

    job.matrix = (struct upg_packed){.k = k,
                                     .n_rows = n_blocks * UPG_ROW_BLOCK,
                                     .n_cols = N_COLS,
                                     .padded_rows = n_blocks * UPG_ROW_BLOCK,
                                     .padded_cols = N_COLS,
                                     .codes = s->machine->memory,
                                     .row_scale = s->row_scale,
                                     .gain = s->gain};
    job.x.n_tokens = n_tokens;
    return job;
}

/* As many row blocks, at most `most`, as take some tenths of a second: scalar is a thousand times
 * slower than others. */
static size_t choose_blocks(struct upg_speed *s, int k, size_t n_tokens, size_t most)
{
    const size_t least = upg_pool_n_threads(s->machine->pool);
    struct job job = packed_job(s, k, least, n_tokens);
    const double blocks_per_s = (double)least / time_job(&job, multiply_packed);
    const double n = 0.2 * blocks_per_s;

    return n < (double)least ? least : n < (double)most ? (size_t)n : most;
}

/* is_plain: decodes anew for each token, so that more tokens tell nothing. */
static void time_packed(struct upg_speed *s, int k, bool is_plain)
{
    static const size_t counts[] = {1, 4, 16};
    const size_t block_bytes = (size_t)N_COLS * UPG_ROW_BLOCK * (size_t)k / 8;
    char test[48];

    for (size_t i = 0; i < (is_plain ? 1 : sizeof counts / sizeof *counts); i++) {
        const size_t of_y = Y_FLOATS / UPG_ROW_BLOCK / counts[i];
        const size_t of_memory = s->machine->n_bytes / 2 / block_bytes; /* room to read ahead */
        const size_t most = of_y < of_memory ? of_y : of_memory;
        struct job job = packed_job(s, k, choose_blocks(s, k, counts[i], most), counts[i]);

        snprintf(test, sizeof test, "k=%d, %zu token%s", k, counts[i], counts[i] > 1 ? "s" : "");
        tell_reading(s, "packed_matmul", test, &job, multiply_packed,
                     (double)(job.matrix.padded_rows / UPG_ROW_BLOCK * block_bytes));
    }
}

/* Many tokens: beside the int8 peak right before. */
static void time_prefill(struct upg_speed *s, int k)
{
    const size_t n_blocks = choose_blocks(s, k, MOST_TOKENS, PREFILL_BLOCKS);
    struct job job = packed_job(s, k, n_blocks, MOST_TOKENS);
    const double n_ops = 2.0 * (double)n_blocks * UPG_ROW_BLOCK * N_COLS * MOST_TOKENS;
    double rates[MOST_REPS], fractions[MOST_REPS];
    char test[48];

    for (size_t i = 0; i < s->n_reps && !s->stopped; i++) {
        const double peak = upg_machine_int8_tops(s->machine);

        rates[i] = 1e-12 * n_ops / time_job(&job, multiply_packed);
        fractions[i] = rates[i] / peak;
    }
    snprintf(test, sizeof test, "k=%d, %d tokens", k, MOST_TOKENS);
    if (!s->stopped)
        tell(s, "packed_matmul", test, median(rates, s->n_reps), "TOPS",
             median(fractions, s->n_reps), "int8");
}

/* Fewer rows where all of them take more than some tenths of a second. */
static void limit_rows(struct job *job, void (*function)(void *, size_t, size_t))
{
    const size_t most = job->n_rows;
    double n;

    job->n_rows = most / 64 + 1;
    n = 0.2 * (double)job->n_rows / time_job(job, function);
    job->n_rows = n < 64 ? 64 : n < (double)most ? (size_t)n : most;
}

static void time_plain(struct upg_speed *s, const char *kernel, int weight_bytes)
{
    const size_t row_bytes = (size_t)(weight_bytes == 3 ? 2 : weight_bytes) * N_COLS;
    struct job job = {
        .speed = s, .weight_bytes = weight_bytes, .n_rows = s->machine->n_bytes / 4 / row_bytes};

    limit_rows(&job, multiply_plain);
    tell_reading(s, kernel, "1 token", &job, multiply_plain, (double)(job.n_rows * row_bytes));
}

static void time_coded(struct upg_speed *s, bool keys)
{
    for (int bits = 8; bits >= 4; bits -= 4) {
        struct job job = {.speed = s,
                          .bits = bits,
                          .keys = keys,
                          .n_rows = s->machine->n_bytes / 4 / side_bytes(bits)};

        limit_rows(&job, multiply_coded);
        tell_reading(s, keys ? "coded_keys" : "coded_values",
                     bits == 8 ? "q8, 4 query heads" : "q4, 4 query heads", &job, multiply_coded,
                     (double)(job.n_rows * side_bytes(bits)));
    }
}

enum row_kernel { RMS_NORM, SILU_GATE, RUNNING_SOFTMAX, SCALE_ADD, ROTATE_QUANTIZE, TRANSFORM_OUT };

/* N_COLS positions of one query. */
static void soften_row(const struct upg_kernels *k, float *scores)
{
    float greatest = -INFINITY, total = 0;

    for (size_t i = 0; i < N_COLS; i += UPG_CODED_TOKENS)
        k->running_softmax(scores + i, UPG_CODED_TOKENS, &greatest, &total);
}

static void time_row(struct upg_speed *s, const char *name, enum row_kernel which)
{
    const struct upg_kernels *k = s->kernels;
    float *x = s->y, *out = s->y + N_COLS;
    struct upg_q8_rows q8 = s->x;
    double us[MOST_REPS];

    q8.n_tokens = 1;
    for (size_t rep = 0; rep < s->n_reps; rep++) {
        const double start = upg_machine_now();

        for (int i = 0; i < N_CALLS; i++)
            switch (which) {
            case RMS_NORM: k->rms_norm(out, s->gain, s->gain, N_COLS, 1e-5F); break;
            case SILU_GATE: k->silu_gate(out, s->gain, s->gain, N_COLS); break;
            case RUNNING_SOFTMAX: soften_row(k, x); break;
            case SCALE_ADD: k->scale_add(x, 0.5F, s->gain, N_COLS); break;
            case ROTATE_QUANTIZE:
                k->rotate_quantize(&q8, s->gain, N_COLS, N_COLS, 1, 0, q8.n_blocks);
                break;
            case TRANSFORM_OUT: k->transform_out(x, N_COLS, 1); break;
            }
        us[rep] = 1e6 * (upg_machine_now() - start) / N_CALLS;
    }
    tell(s, name, "5120 values, 1 thread", median(us, s->n_reps), "us", NAN, "none");
}

void upg_speed_tier(struct upg_speed *s, const struct upg_kernels *kernels,
                    const struct upg_kernels *lower)
{
    struct upg_kernels *of_machine = &s->machine->kernels;
    const struct upg_kernels best = *of_machine;

    s->kernels = kernels;
    of_machine->int8_products = kernels->int8_products; /* the peak of the tier's instructions */
    s->machine->n_rounds = 0;
    for (int k = 2; k <= 4 && kernels->packed_matmul != lower->packed_matmul; k++) {
        const bool is_plain = !lower->packed_matmul; /* scalar */

        time_packed(s, k, is_plain);
        if (!is_plain)
            time_prefill(s, k);
    }
    if (kernels->matmul_i8_rows != lower->matmul_i8_rows)
        time_plain(s, "matmul_i8_rows", 1);
    if (kernels->matmul_bf16 != lower->matmul_bf16)
        time_plain(s, "matmul_bf16", 2);
    if (kernels->matmul_f16 != lower->matmul_f16)
        time_plain(s, "matmul_f16", 3);
    if (kernels->matmul_f32 != lower->matmul_f32)
        time_plain(s, "matmul_f32", 4);
    if (kernels->coded_keys != lower->coded_keys)
        time_coded(s, true);
    if (kernels->coded_values != lower->coded_values)
        time_coded(s, false);
    if (kernels->rms_norm != lower->rms_norm)
        time_row(s, "rms_norm", RMS_NORM);
    if (kernels->silu_gate != lower->silu_gate)
        time_row(s, "silu_gate", SILU_GATE);
    if (kernels->running_softmax != lower->running_softmax)
        time_row(s, "running_softmax", RUNNING_SOFTMAX);
    if (kernels->scale_add != lower->scale_add)
        time_row(s, "scale_add", SCALE_ADD);
    if (kernels->rotate_quantize != lower->rotate_quantize)
        time_row(s, "rotate_quantize", ROTATE_QUANTIZE);
    if (kernels->transform_out != lower->transform_out)
        time_row(s, "transform_out", TRANSFORM_OUT);
    *of_machine = best;
    s->machine->n_rounds = 0;
}
