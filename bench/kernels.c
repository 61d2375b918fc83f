/* kernels.c -- the speed of the kernels beside the limits of the machine, measured in the same run.
 *
 *   bench_kernels [--tier NAME] [--threads N] [--gib X] [--reps N] [--k K] [--tokens N] [SUBJECT...]
 *
 * Subjects: packed (packed matrices from memory and from L2), prefill (many tokens beside the int8
 * peaks), plain (float matrices), rows (norm, gate, rotation).  Without one: all.  Every figure is
 * the median of the repetitions; a bandwidth is measured right before each of them. */
#include "base/random.h"
#include "kernels/levels.h"
#include "kernels_peaks.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { N_COLS = 5120, MOST_THREADS = 64, MOST_REPS = 99, MOST_TOKENS = 512 };

struct settings {
    const char *tier; /* NULL: all that the machine has */
    size_t n_threads, n_reps;
    double gib;
    int k;           /* 0: 2, 3 and 4 */
    size_t n_tokens; /* 0: the usual ones */
    const char *const *subjects;
    size_t n_subjects;
};

/* What all measurements share. */
struct bench {
    struct settings settings;
    struct upg_kernels kernels; /* of the tier that is measured */
    uint8_t *codes;             /* random bytes, larger than all caches */
    size_t code_bytes;
    struct upg_q8_rows x; /* MOST_TOKENS rows of N_COLS */
    uint16_t *row_scale;  /* for the most rows that the codes can hold */
    float *gain;
    float *y; /* shared scratch for results: nobody reads them */
    size_t y_floats;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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

static void *allocate(size_t n_bytes)
{
    void *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        perror("bench_kernels: memory");
        exit(1);
    }
    madvise(memory, n_bytes, MADV_HUGEPAGE);
    return memory;
}

/* ---- threads ---- */

struct part {
    void (*job)(void *context, size_t thread, size_t n_threads);
    void *context;
    size_t thread, n_threads;
};

static void *run_part(void *argument)
{
    const struct part *part = argument;

    part->job(part->context, part->thread, part->n_threads);
    return NULL;
}

/* Seconds that the job takes on n threads, the caller being one of them. */
static double time_job(size_t n_threads, void (*job)(void *, size_t, size_t), void *context)
{
    pthread_t threads[MOST_THREADS];
    struct part parts[MOST_THREADS];
    const double begin = now();

    for (size_t i = 0; i < n_threads; i++) {
        parts[i] = (struct part){job, context, i, n_threads};
        if (i > 0 && pthread_create(&threads[i], NULL, run_part, &parts[i]) != 0)
            abort();
    }
    run_part(&parts[0]);
    for (size_t i = 1; i < n_threads; i++)
        pthread_join(threads[i], NULL);
    return now() - begin;
}

/* ---- limits ---- */

static void read_job(void *context, size_t thread, size_t n_threads)
{
    const struct bench *bench = context;
    const size_t each = bench->code_bytes / 4 / n_threads / 4096 * 4096;

    bench_read(bench->codes + thread * each, each);
}

/* GB/s of reading a quarter of the codes. */
static double read_bandwidth(struct bench *bench, size_t n_threads)
{
    const size_t each = bench->code_bytes / 4 / n_threads / 4096 * 4096;

    return (double)(each * n_threads) / time_job(n_threads, read_job, bench) / 1e9;
}

static void peak_job(void *context, size_t thread, size_t n_threads)
{
    (void)thread;
    (void)n_threads;
    bench_int8_products(*(const enum bench_unit *)context, 40000);
}

/* 10^12 int8 operations a second, a multiplication and an addition being two. */
static double int8_peak(struct bench *bench, enum bench_unit unit)
{
    double tops[MOST_REPS];
    const double n_ops = bench_int8_products(unit, 0) * 40000;

    for (size_t i = 0; i < bench->settings.n_reps; i++)
        tops[i] = n_ops * (double)bench->settings.n_threads /
                  time_job(bench->settings.n_threads, peak_job, &unit) / 1e12;
    return median(tops, bench->settings.n_reps);
}

/* ---- packed matrices ---- */

struct packed_job {
    struct bench *bench;
    struct upg_packed matrix;
    struct upg_q8_rows x;
    size_t n_repeats;
};

static void packed_part(void *context, size_t thread, size_t n_threads)
{
    const struct packed_job *job = context;
    const struct upg_kernels *kernels = &job->bench->kernels;
    const size_t n_blocks = job->matrix.padded_rows / UPG_ROW_BLOCK;
    void *scratch = aligned_alloc(64, kernels->scratch_bytes + 64);

    for (size_t i = 0; scratch && i < job->n_repeats; i++)
        kernels->packed_matmul(job->bench->y, job->matrix.padded_rows, &job->matrix, &job->x,
                               thread * n_blocks / n_threads, (thread + 1) * n_blocks / n_threads,
                               scratch);
    free(scratch);
}

static struct packed_job packed_job(struct bench *bench, int k, size_t n_blocks, size_t n_tokens)
{
    struct packed_job job = {.bench = bench, .x = bench->x, .n_repeats = 1};

    job.matrix = (struct upg_packed){.k = k,
                                     .n_rows = n_blocks * UPG_ROW_BLOCK,
                                     .n_cols = N_COLS,
                                     .padded_rows = n_blocks * UPG_ROW_BLOCK,
                                     .padded_cols = N_COLS,
                                     .codes = bench->codes,
                                     .row_scale = bench->row_scale,
                                     .gain = bench->gain};
    job.x.n_tokens = n_tokens;
    return job;
}

static size_t block_bytes(int k)
{
    return (size_t)N_COLS * UPG_ROW_BLOCK * (size_t)k / 8;
}

/* Packed GB/s from memory beside the bandwidth, and from L2 on one thread. */
static void measure_packed(struct bench *bench, int k, size_t n_tokens)
{
    const size_t n_threads = bench->settings.n_threads, n_reps = bench->settings.n_reps;
    /* results go through memory too: keep them few */
    const size_t most_blocks = bench->y_floats / UPG_ROW_BLOCK / n_tokens;
    size_t n_blocks = bench->code_bytes / block_bytes(k);
    double rates[MOST_REPS], bandwidths[MOST_REPS], ratios[MOST_REPS], cached[MOST_REPS];

    n_blocks = n_blocks < most_blocks ? n_blocks : most_blocks;
    for (size_t i = 0; i < n_reps; i++) {
        struct packed_job job = packed_job(bench, k, n_blocks, n_tokens);
        bandwidths[i] = read_bandwidth(bench, n_threads);
        rates[i] =
            (double)(n_blocks * block_bytes(k)) / time_job(n_threads, packed_part, &job) / 1e9;
        ratios[i] = rates[i] / bandwidths[i];

        struct packed_job small = packed_job(bench, k, 2, n_tokens);
        small.n_repeats = 20 / n_tokens + 2;
        cached[i] =
            (double)(small.n_repeats * 2 * block_bytes(k)) / time_job(1, packed_part, &small) / 1e9;
    }
    const double rate = median(rates, n_reps);
    printf(
        "%-12s k=%d %3zu tokens: %6.2f GB/s = %3.0f %% of %5.2f; %7.2f G weights/s; from L2 on one "
        "thread %6.2f GB/s\n",
        bench->kernels.tier, k, n_tokens, rate, 100 * median(ratios, n_reps),
        median(bandwidths, n_reps), rate * 8 / k * (double)n_tokens, median(cached, n_reps));
    fflush(stdout);
}

static void bench_packed(struct bench *bench)
{
    static const size_t counts[] = {1, 2, 4, 8, 16};

    for (int k = 2; k <= 4; k++)
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            if (bench->settings.k && bench->settings.k != k)
                continue;
            if (bench->settings.n_tokens && bench->settings.n_tokens != counts[i])
                continue;
            measure_packed(bench, k, counts[i]);
        }
}

static void bench_prefill(struct bench *bench)
{
    static const size_t counts[] = {32, 128, 512};
    enum { N_BLOCKS = 20 };
    const size_t n_threads = bench->settings.n_threads, n_reps = bench->settings.n_reps;
    const enum bench_unit unit = bench_unit_of(bench->kernels.tier);
    const double peak = unit == UNIT_NONE ? 0 : int8_peak(bench, unit);

    for (int k = 2; k <= 4; k++)
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            double tops[MOST_REPS];
            struct packed_job job = packed_job(bench, k, N_BLOCKS, counts[i]);

            if ((bench->settings.k && bench->settings.k != k) ||
                (bench->settings.n_tokens && bench->settings.n_tokens != counts[i]))
                continue;
            for (size_t rep = 0; rep < n_reps; rep++)
                tops[rep] = 2e-12 * N_BLOCKS * UPG_ROW_BLOCK * N_COLS * (double)counts[i] /
                            time_job(n_threads, packed_part, &job);
            const double rate = median(tops, n_reps);
            printf("%-12s k=%d %3zu tokens: %6.3f TOPS", bench->kernels.tier, k, counts[i], rate);
            if (peak > 0)
                printf(" = %3.0f %% of %6.3f", 100 * rate / peak, peak);
            printf("\n");
            fflush(stdout);
        }
}

/* ---- plain matrices ---- */

struct plain_job {
    struct bench *bench;
    int type; /* bytes of a weight: 4, 2 (bf16), 3 (f16), 1 */
    size_t n_rows, n_tokens;
};

static void plain_part(void *context, size_t thread, size_t n_threads)
{
    const struct plain_job *job = context;
    const struct upg_kernels *kernels = &job->bench->kernels;
    const size_t begin = thread * job->n_rows / n_threads;
    const size_t n_rows = (thread + 1) * job->n_rows / n_threads - begin;
    const size_t bytes = job->type == 3 ? 2 : (size_t)job->type;
    const void *w = job->bench->codes + begin * N_COLS * bytes;
    const float *x = job->bench->y + job->bench->y_floats - MOST_TOKENS * N_COLS;
    float *y = job->bench->y + begin;

    if (job->type == 4)
        kernels->matmul_f32(y, job->n_rows, w, x, N_COLS, n_rows, N_COLS, job->n_tokens);
    else if (job->type == 3)
        kernels->matmul_f16(y, job->n_rows, w, x, N_COLS, n_rows, N_COLS, job->n_tokens);
    else if (job->type == 2)
        kernels->matmul_bf16(y, job->n_rows, w, x, N_COLS, n_rows, N_COLS, job->n_tokens);
    else
        kernels->matmul_i8_rows(y, job->n_rows, w, job->bench->gain, x, N_COLS, n_rows, N_COLS,
                                job->n_tokens);
}

/* Weights that are usual numbers of every type: of random bits, one in 256 would be subnormal. */
static void fill_plain(struct bench *bench)
{
    uint16_t *halves = (uint16_t *)(void *)bench->codes;

    for (size_t i = 0; i < bench->code_bytes / 2; i++)
        halves[i] = (uint16_t)(0x3C00 | (halves[i] & 0x03FF));
}

static void bench_plain(struct bench *bench)
{
    static const char *const names[] = {"", "i8", "bf16", "f16", "f32"};
    const size_t n_threads = bench->settings.n_threads, n_reps = bench->settings.n_reps;

    fill_plain(bench);
    for (int type = 1; type <= 4; type++)
        for (size_t n_tokens = 1; n_tokens <= 256; n_tokens *= n_tokens == 1 ? 8 : 32) {
            const size_t row_bytes = (size_t)(type == 3 ? 2 : type) * N_COLS;
            const size_t n_rows = n_tokens == 1 ? bench->code_bytes / 4 / row_bytes : 2560;
            struct plain_job job = {bench, type, n_rows < 40000 ? n_rows : 40000, n_tokens};
            double rates[MOST_REPS], ratios[MOST_REPS];

            for (size_t i = 0; i < n_reps; i++) {
                const double bandwidth = read_bandwidth(bench, n_threads);
                const double seconds = time_job(n_threads, plain_part, &job);
                rates[i] = (double)(job.n_rows * N_COLS) * (double)n_tokens / seconds / 1e9;
                ratios[i] = (double)(job.n_rows * row_bytes) / seconds / 1e9 / bandwidth;
            }
            printf("%-12s %-4s %3zu tokens: %7.2f GFLOPS, %3.0f %% of the bandwidth\n",
                   bench->kernels.tier, names[type], n_tokens, 2 * median(rates, n_reps),
                   100 * median(ratios, n_reps));
        }
}

/* ---- rows ---- */

static void bench_rows(struct bench *bench)
{
    enum { N_CALLS = 200 };
    const size_t n_reps = bench->settings.n_reps;
    const struct upg_kernels *kernels = &bench->kernels;
    float *x = bench->y, *out = bench->y + N_COLS, *weight = bench->y + 2 * N_COLS;
    struct upg_q8_rows q8 = bench->x;
    double norm[MOST_REPS], gate[MOST_REPS], rotate[MOST_REPS], transform[MOST_REPS];

    q8.n_tokens = 1;
    for (size_t i = 0; i < 3 * N_COLS; i++)
        bench->y[i] = (float)(i % 17) - 8;
    for (size_t rep = 0; rep < n_reps; rep++) {
        double begin = now();
        for (int i = 0; i < N_CALLS; i++)
            kernels->rms_norm(out, x, weight, N_COLS, 1e-5F);
        norm[rep] = now() - begin;
        begin = now();
        for (int i = 0; i < N_CALLS; i++)
            kernels->silu_gate(out, x, weight, N_COLS);
        gate[rep] = now() - begin;
        begin = now();
        for (int i = 0; i < N_CALLS; i++)
            kernels->rotate_quantize(&q8, x, N_COLS, N_COLS, 1, 0, q8.n_blocks);
        rotate[rep] = now() - begin;
        begin = now();
        for (int i = 0; i < N_CALLS; i++)
            kernels->transform_out(x, N_COLS, 1);
        transform[rep] = now() - begin;
    }
    const double us = 1e6 / N_CALLS;
    printf(
        "%-12s %d values in us: rms_norm %.2f, silu_gate %.2f, rotate_quantize %.2f, transform_out "
        "%.2f\n",
        kernels->tier, N_COLS, us * median(norm, n_reps), us * median(gate, n_reps),
        us * median(rotate, n_reps), us * median(transform, n_reps));
}

/* ---- all of it ---- */

static void prepare(struct bench *bench)
{
    struct upg_random random = {1};

    bench->code_bytes = (size_t)(bench->settings.gib * 1073741824.0) / 4096 * 4096;
    bench->codes = allocate(bench->code_bytes + 8192);
    for (size_t i = 0; i < bench->code_bytes / 8; i++)
        ((uint64_t *)(void *)bench->codes)[i] = upg_random_u64(&random);

    bench->y_floats = (size_t)64 << 20;
    bench->y = allocate(bench->y_floats * sizeof *bench->y);
    for (size_t i = 0; i < bench->y_floats; i++)
        bench->y[i] = 1;

    const size_t n_rows = bench->code_bytes / (N_COLS / 4);
    bench->row_scale = allocate(n_rows * sizeof *bench->row_scale);
    for (size_t i = 0; i < n_rows; i++)
        bench->row_scale[i] = 0x3C00; /* 1 */
    bench->gain = allocate(65536 * sizeof *bench->gain);
    for (size_t i = 0; i < 65536; i++)
        bench->gain[i] = 1;

    bench->x = (struct upg_q8_rows){.values = allocate(MOST_TOKENS * N_COLS),
                                    .scales = allocate(MOST_TOKENS * sizeof(float) * N_COLS / 256),
                                    .sums = allocate(MOST_TOKENS * sizeof(int32_t) * N_COLS / 256),
                                    .n_tokens = MOST_TOKENS,
                                    .padded_cols = N_COLS,
                                    .n_blocks = N_COLS / 256};
    for (size_t i = 0; i < MOST_TOKENS * N_COLS; i++)
        bench->x.values[i] = (int8_t)((int)(upg_random_u64(&random) % 255) - 127);
    for (size_t i = 0; i < MOST_TOKENS * (N_COLS / 256); i++)
        bench->x.scales[i] = 0.01F;
}

static bool wanted(const struct settings *settings, const char *subject)
{
    for (size_t i = 0; i < settings->n_subjects; i++)
        if (!strcmp(settings->subjects[i], subject))
            return true;
    return settings->n_subjects == 0;
}

static void bench_tier(struct bench *bench)
{
    if (wanted(&bench->settings, "packed"))
        bench_packed(bench);
    if (wanted(&bench->settings, "prefill"))
        bench_prefill(bench);
    if (wanted(&bench->settings, "plain"))
        bench_plain(bench);
    if (wanted(&bench->settings, "rows"))
        bench_rows(bench);
}

static int parse(int argc, char **argv, struct settings *settings)
{
    int i = 1;

    *settings = (struct settings){.n_threads = 2, .n_reps = 5, .gib = 1.5};
    for (; i + 1 < argc && !strncmp(argv[i], "--", 2); i += 2) {
        const char *value = argv[i + 1];
        if (!strcmp(argv[i], "--tier"))
            settings->tier = value;
        else if (!strcmp(argv[i], "--threads"))
            settings->n_threads = strtoul(value, NULL, 10);
        else if (!strcmp(argv[i], "--gib"))
            settings->gib = strtod(value, NULL);
        else if (!strcmp(argv[i], "--reps"))
            settings->n_reps = strtoul(value, NULL, 10);
        else if (!strcmp(argv[i], "--k"))
            settings->k = (int)strtol(value, NULL, 10);
        else if (!strcmp(argv[i], "--tokens"))
            settings->n_tokens = strtoul(value, NULL, 10);
        else
            return -1;
    }
    settings->subjects = (const char *const *)argv + i;
    settings->n_subjects = (size_t)(argc - i);
    return settings->n_threads >= 1 && settings->n_threads <= MOST_THREADS &&
                   settings->n_reps >= 1 && settings->n_reps <= MOST_REPS && settings->gib > 0.1
               ? 0
               : -1;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    size_t n_levels;
    const struct upg_kernel_level *levels = upg_kernel_levels(&n_levels);

    if (parse(argc, argv, &bench.settings) != 0) {
        fprintf(stderr,
                "usage: %s [--tier NAME] [--threads N] [--gib X] [--reps N] [--k K] "
                "[--tokens N] [packed] [prefill] [plain] [rows]\n",
                argv[0]);
        return 2;
    }
    prepare(&bench);
    printf("%zu threads, %.1f GiB, medians of %zu; read %.2f GB/s, on one thread %.2f\n",
           bench.settings.n_threads, bench.settings.gib, bench.settings.n_reps,
           read_bandwidth(&bench, bench.settings.n_threads), read_bandwidth(&bench, 1));
    for (size_t i = 0; i < n_levels; i++)
        if (levels[i].available() &&
            (!bench.settings.tier || !strcmp(bench.settings.tier, levels[i].name))) {
            upg_kernels_init(&bench.kernels, levels[i].name, NULL, 0, NULL);
            bench_tier(&bench);
        }
    return 0;
}
