/* gpu.c -- what a GPU makes of a model: speed of decoding and prefill beside the memory's speed, and
 * where a token's time goes.
 *
 * usage: bench_gpu MODEL [DEVICE [CONTEXT [f16|q8|q4|f32]]]    DEVICE as in upg_engine_options, "gpu" by
 * default
 *
 * Asserts nothing.  Times are medians of single steps, wall clock of the host with logits read
 * back; the profile is of timestamps on the device, which cost some time of their own. */
#include "engine/engine.h"
#include "gpu/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N_DECODE = 64, N_PREFILL = 2048, N_BATCH = 16 };

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    return values[n / 2];
}

static void must(upg_status status, const upg_error *err)
{
    if (status == UPG_OK)
        return;
    fprintf(stderr, "bench_gpu: %s\n", err->message);
    exit(1);
}

/* Bytes of device memory copied a second: each is read and written. */
static void copy_speed(struct upg_gpu *gpu)
{
    const uint64_t n_bytes = gpu->device.limits.local_bytes > UINT64_C(8) << 30 ? 1 << 30 : 1 << 24;
    struct gpu_buffer from, to;
    double times[6];
    upg_error err;

    must(gpu_buffer_new(&gpu->device, &from, n_bytes, GPU_LOCAL, "a copy", &err), &err);
    must(gpu_buffer_new(&gpu->device, &to, n_bytes, GPU_LOCAL, "a copy", &err), &err);
    for (size_t i = 0; i < 6; i++) {
        const struct gpu_command copy = {
            .program = GPU_COPY, .n_ranges = 2, .ranges = {gpu_whole(&from), gpu_whole(&to)}};
        const double start = now();

        gpu_step_add(&gpu->step, &copy);
        must(gpu_step_run(&gpu->step, &err), &err);
        times[i] = now() - start;
    }
    printf("copy of %.0f MB: %.0f GB/s read and written\n", 1e-6 * (double)n_bytes,
           2e-9 * (double)n_bytes / median(times, 6));
    gpu_buffer_free(&gpu->device, &from);
    gpu_buffer_free(&gpu->device, &to);
}

static void append(upg_sequence *sequence, size_t n, size_t n_vocab)
{
    int32_t *ids = calloc(n, sizeof *ids);
    upg_error err;

    for (size_t i = 0; ids && i < n; i++)
        ids[i] = (int32_t)((upg_sequence_n_tokens(sequence) + i) * 7919 % n_vocab);
    must(upg_sequence_append(sequence, ids, n, 1, NULL, NULL, &err), &err);
    free(ids);
}

static void decode_speed(upg_engine *engine, upg_sequence *sequence, double n_bytes)
{
    const size_t n_vocab = engine->model->config.n_vocab;
    double times[N_DECODE];

    append(sequence, 1, n_vocab);
    for (size_t i = 0; i < N_DECODE; i++) {
        const double start = now();

        append(sequence, 1, n_vocab);
        times[i] = now() - start;
    }
    const double t = median(times, N_DECODE);
    printf("decode at %zu tokens: %.1f tokens/s, %.3f ms, %.0f GB/s of weights (%.3f .. %.3f ms)\n",
           upg_sequence_n_tokens(sequence), 1 / t, 1e3 * t, 1e-9 * n_bytes / t, 1e3 * times[0],
           1e3 * times[N_DECODE - 1]);
}

static void prefill_speed(upg_engine *engine, size_t n)
{
    upg_sequence *sequence;
    upg_error err;
    double start;

    for (size_t i = 0; i < 2; i++) {
        must(upg_sequence_new(&sequence, engine, &err), &err);
        start = now();
        append(sequence, n, engine->model->config.n_vocab);
        upg_sequence_free(sequence);
        printf("prefill of %zu: %.0f tokens/s%s\n", n, (double)n / (now() - start),
               i ? "" : " (first)");
    }
}

/* Where the time of the step that ran last went. */
static void print_profile(upg_engine *engine)
{
    double ns[GPU_N_PROGRAMS + 1], sum = 0;
    size_t counts[GPU_N_PROGRAMS + 1];
    upg_error err;

    must(gpu_step_times(&engine->gpu->step, ns, counts, &err), &err);
    for (size_t i = 0; i < GPU_N_PROGRAMS + 1; i++)
        sum += ns[i];
    printf("  %.3f ms on the device\n", 1e-6 * sum);
    for (size_t i = 0; i < GPU_N_PROGRAMS + 1; i++)
        if (counts[i] > 0)
            printf("  %-16s %4zu x %8.2f us = %7.3f ms\n",
                   gpu_program_name(i < GPU_N_PROGRAMS ? (enum gpu_program)i : GPU_COPY), counts[i],
                   1e-3 * ns[i] / (double)counts[i], 1e-6 * ns[i]);
}

/* Steps of n sequences with one row each. */
static void batch_speed(upg_engine *engine, size_t n, bool with_profile)
{
    const size_t n_vocab = engine->model->config.n_vocab;
    float *logits = malloc(n * n_vocab * sizeof *logits);
    upg_sequence *sequences[N_BATCH];
    struct upg_share shares[N_BATCH];
    double times[16];
    upg_error err;

    for (size_t i = 0; i < n; i++) {
        must(upg_sequence_new(&sequences[i], engine, &err), &err);
        shares[i] = (struct upg_share){.sequence = sequences[i], .n_rows = 1, .n_logits = 1};
    }
    for (size_t step = 0; step < 16; step++) {
        const double start = now();

        for (size_t i = 0; i < n; i++)
            upg_sequence_push(sequences[i], (int32_t)(i + step));
        must(upg_engine_step(engine, shares, n, logits, &err), &err);
        times[step] = now() - start;
    }
    printf("decode of %zu sequences: %.1f tokens/s together\n", n, (double)n / median(times, 16));
    if (with_profile)
        print_profile(engine);
    for (size_t i = 0; i < n; i++)
        upg_sequence_free(sequences[i]);
    free(logits);
}

/* A step of n tokens behind n_before others. */
static void profile(upg_engine *engine, const char *what, size_t n, size_t n_before)
{
    upg_sequence *sequence;
    upg_error err;
    double start;

    must(upg_sequence_new(&sequence, engine, &err), &err);
    append(sequence, n_before, engine->model->config.n_vocab);
    start = now();
    append(sequence, n, engine->model->config.n_vocab);
    printf("%s: %.3f ms\n", what, 1e3 * (now() - start));
    print_profile(engine);
    upg_sequence_free(sequence);
}

int main(int argc, char **argv)
{
    upg_engine_options options;
    upg_sequence *sequence;
    upg_engine *engine;
    upg_model *model;
    upg_error err;
    double start = now(), n_bytes;

    if (argc < 2) {
        fprintf(stderr, "usage: bench_gpu MODEL [DEVICE [CONTEXT [f16|q8|q4|f32]]]\n");
        return 2;
    }
    must(upg_model_open(&model, argv[1], NULL, &err), &err);
    upg_engine_options_defaults(&options);
    options.device = argc > 2 ? argv[2] : "gpu";
    options.context = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    for (size_t i = 0; argc > 4 && i < 4; i++)
        if (!strcmp(argv[4], (const char *[]){"f16", "q8", "q4", "f32"}[i]))
            options.kv_type = (upg_kv_type)i;
    options.cache_tokens = options.context + N_BATCH * UPG_KV_BLOCK * 4;
    must(upg_engine_new(&engine, model, &options, &err), &err);
    must(upg_sequence_new(&sequence, engine, &err), &err);
    n_bytes = (double)engine->gpu->weights.n_bytes;
    printf("%s\n%.0f MB of weights on the device, %.0f MB of memory there\n",
           upg_engine_tier(engine), 1e-6 * n_bytes, 1e-6 * (double)upg_gpu_n_bytes(engine->gpu));
    append(sequence, 1, model->config.n_vocab);
    printf("from opening to the first token: %.2f s\n", now() - start);
    copy_speed(engine->gpu);
    decode_speed(engine, sequence, n_bytes);
    upg_sequence_free(sequence);
    for (size_t n = 2; n <= N_BATCH; n *= 2)
        batch_speed(engine, n, false);
    if (engine->context > N_PREFILL)
        prefill_speed(engine, N_PREFILL);
    if (engine->context > 2 * N_PREFILL + N_DECODE) {
        must(upg_sequence_new(&sequence, engine, &err), &err);
        append(sequence, engine->context - N_DECODE - 2, model->config.n_vocab);
        decode_speed(engine, sequence, n_bytes);
        upg_sequence_free(sequence);
    }
    must(gpu_step_measure(&engine->gpu->step, &err), &err);
    profile(engine, "a token", 1, 1);
    profile(engine, "a token behind all others", 1, engine->context - 1);
    batch_speed(engine, N_BATCH, true);
    if (engine->context >= 512) {
        profile(engine, "128 tokens", 128, 128);
        profile(engine, "256 tokens", 256, 256);
    }
    if (engine->context > 2 * engine->max_rows)
        profile(engine, "the most tokens of a step", engine->max_rows, engine->max_rows);
    upg_engine_free(engine);
    upg_model_free(model);
    return 0;
}
