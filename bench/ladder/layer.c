/* layer.c -- the linear maps of one Phi-4 layer for one token, in every way that this library has or
 * that one would try first; milliseconds of each as JSON.
 *
 *   bench_ladder_layer [--threads N] [--reps N] [--seconds X]
 *
 * The codes are random, 3 bits a weight.  Activations are rotated and quantized, outputs rotated
 * back, as in a model.  Between two calls the weights leave the caches: a layer has 128 MB. */
#include "base/arena.h"
#include "base/pool.h"
#include "base/random.h"
#include "kernels/levels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { K = 3, N_MAPS = 4, MOST_COLS = 17920, MOST_ROWS = 35840, MOST_REPS = 100 };

static const struct {
    size_t n_rows, n_cols;
} shapes[N_MAPS] = {{7680, 5120}, {5120, 5120}, {35840, 5120}, {5120, 17920}};

struct layer {
    struct upg_packed maps[N_MAPS];
    struct upg_q8_rows quantized;
    float *x, *y;
    float *expanded; /* [MOST_ROWS, 5120], of one map at a time */
    uint8_t *scratch;
    size_t scratch_bytes;
    struct upg_pool *pool;
    const struct upg_kernels *kernels;
    const struct upg_packed *map; /* that is multiplied now */
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *allocate(struct upg_arena *arena, size_t n, size_t size)
{
    void *memory = upg_arena_alloc(arena, n, size);

    if (!memory) {
        fprintf(stderr, "bench_ladder_layer: out of memory\n");
        exit(1);
    }
    return memory;
}

static void make_layer(struct layer *layer, struct upg_arena *arena)
{
    struct upg_random random = {1};
    uint16_t *row_scale = allocate(arena, MOST_ROWS, sizeof *row_scale);
    float *gain = allocate(arena, MOST_COLS / UPG_SCALE_BLOCK, sizeof *gain);

    for (size_t i = 0; i < MOST_ROWS; i++)
        row_scale[i] = 0x3C00; /* 1 */
    for (size_t i = 0; i < MOST_COLS / UPG_SCALE_BLOCK; i++)
        gain[i] = 1e-3F;
    for (size_t i = 0; i < N_MAPS; i++) {
        size_t n_bytes = 0;
        uint64_t *codes;

        if (!upg_packed_code_bytes(K, shapes[i].n_rows, shapes[i].n_cols, &n_bytes))
            abort();
        codes = allocate(arena, n_bytes, 1);
        for (size_t j = 0; j < n_bytes / sizeof *codes; j++)
            codes[j] = upg_random_u64(&random);
        layer->maps[i] = (struct upg_packed){.k = K,
                                             .n_rows = shapes[i].n_rows,
                                             .n_cols = shapes[i].n_cols,
                                             .padded_rows = shapes[i].n_rows,
                                             .padded_cols = shapes[i].n_cols,
                                             .codes = (const uint8_t *)codes,
                                             .row_scale = row_scale,
                                             .gain = gain,
                                             .seed_in = i,
                                             .seed_out = i + 7,
                                             .has_output_transform = true};
    }
    layer->x = allocate(arena, MOST_COLS, sizeof *layer->x);
    layer->y = allocate(arena, MOST_ROWS, sizeof *layer->y);
    for (size_t i = 0; i < MOST_COLS; i++)
        layer->x[i] = (float)(i % 17) - 8;
    layer->quantized =
        (struct upg_q8_rows){.values = allocate(arena, MOST_COLS, 1),
                             .scales = allocate(arena, MOST_COLS / UPG_SCALE_BLOCK, sizeof(float)),
                             .sums = allocate(arena, MOST_COLS / UPG_SCALE_BLOCK, sizeof(int32_t)),
                             .n_tokens = 1};
    layer->expanded = allocate(arena, (size_t)MOST_ROWS * 5120, sizeof *layer->expanded);
}

/* ---- Fused: codes become weights in registers ---- */

static void multiply_fused(void *context, size_t thread, size_t n_threads)
{
    const struct layer *layer = context;
    size_t begin, end;

    upg_split(layer->map->padded_rows / UPG_ROW_BLOCK, thread, n_threads, &begin, &end);
    layer->kernels->packed_matmul(layer->y, layer->map->padded_rows, layer->map, &layer->quantized,
                                  begin, end, layer->scratch + thread * layer->scratch_bytes);
}

static void fused(struct layer *layer)
{
    layer->quantized.padded_cols = layer->map->n_cols;
    layer->quantized.n_blocks = layer->map->n_cols / UPG_SCALE_BLOCK;
    layer->kernels->rotate_quantize(&layer->quantized, layer->x, MOST_COLS, layer->map->n_cols,
                                    layer->map->seed_in, 0, layer->quantized.n_blocks);
    upg_pool_run(layer->pool, multiply_fused, layer);
    layer->kernels->transform_out(layer->y, layer->map->padded_rows, layer->map->seed_out);
}

/* ---- Decompressed to memory, then multiplied by the fastest kernel for floats ---- */

static void decode_rows(void *context, size_t thread, size_t n_threads)
{
    const struct layer *layer = context;
    const struct upg_packed *map = layer->map;
    const size_t n_groups = map->n_cols / UPG_COL_GROUP, block_bytes = 64 * K;
    size_t begin, end;

    upg_split(map->n_rows / UPG_ROW_BLOCK, thread, n_threads, &begin, &end);
    for (size_t b = begin; b < end; b++)
        for (size_t g = 0; g < n_groups; g++) {
            const uint8_t *block = map->codes + (b * n_groups + g) * block_bytes;
            int8_t values[UPG_ROW_BLOCK][UPG_COL_GROUP];
            float *out = layer->expanded + b * UPG_ROW_BLOCK * map->n_cols + g * UPG_COL_GROUP;

            upg_decode_block(K, block, g > 0 ? block - block_bytes : NULL, values);
            for (size_t r = 0; r < UPG_ROW_BLOCK; r++)
                for (size_t c = 0; c < UPG_COL_GROUP; c++)
                    out[r * map->n_cols + c] = 1e-3F * (float)values[r][c];
        }
}

static void multiply_expanded(void *context, size_t thread, size_t n_threads)
{
    const struct layer *layer = context;
    size_t begin, end;

    upg_split(layer->map->n_rows, thread, n_threads, &begin, &end);
    layer->kernels->matmul_f32(layer->y + begin, MOST_ROWS,
                               layer->expanded + begin * layer->map->n_cols, layer->x, MOST_COLS,
                               end - begin, layer->map->n_cols, 1);
}

static void decompressed(struct layer *layer)
{
    upg_pool_run(layer->pool, decode_rows, layer);
    upg_pool_run(layer->pool, multiply_expanded, layer);
    layer->kernels->transform_out(layer->y, layer->map->padded_rows, layer->map->seed_out);
}

/* ---- All of it ---- */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Median over the repetitions, as many as fit into some seconds. */
static double milliseconds(struct layer *layer, void (*way)(struct layer *), size_t n_reps,
                           double seconds)
{
    double times[MOST_REPS];
    const double begin = now();
    size_t n = 0;

    while (n < n_reps && (n == 0 || now() - begin < seconds)) {
        const double start = now();
        for (size_t i = 0; i < N_MAPS; i++) {
            layer->map = &layer->maps[i];
            way(layer);
        }
        times[n++] = 1e3 * (now() - start);
    }
    qsort(times, n, sizeof *times, compare_doubles);
    return times[n / 2];
}

int main(int argc, char **argv)
{
    size_t n_threads = 0, n_reps = 9, n_levels;
    double seconds = 5;
    const struct upg_kernel_level *levels = upg_kernel_levels(&n_levels);
    struct upg_kernels best, scalar, tier;
    struct upg_arena arena = {0};
    struct layer layer = {0};
    upg_error err;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--threads"))
            n_threads = strtoul(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--reps"))
            n_reps = strtoul(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--seconds"))
            seconds = strtod(argv[i + 1], NULL);
    }
    if (n_reps < 1 || n_reps > MOST_REPS || upg_pool_new(&layer.pool, n_threads, &err) != UPG_OK ||
        upg_kernels_init(&best, NULL, NULL, 0, &err) != UPG_OK)
        return 2;
    make_layer(&layer, &arena);
    layer.scratch_bytes = best.scratch_bytes;
    for (size_t i = 0; i < n_levels; i++)
        if (levels[i].available() &&
            upg_kernels_init(&tier, levels[i].name, NULL, 0, &err) == UPG_OK &&
            tier.scratch_bytes > layer.scratch_bytes)
            layer.scratch_bytes = tier.scratch_bytes;
    layer.scratch = allocate(&arena, upg_pool_n_threads(layer.pool), layer.scratch_bytes);

    upg_kernels_fill_scalar(&scalar);
    layer.kernels = &scalar;
    printf("{\"threads\": %zu, \"bits\": %d, \"milliseconds\": {\"scalar C\": %.3f",
           upg_pool_n_threads(layer.pool), K, milliseconds(&layer, fused, n_reps, seconds));
    layer.kernels = &best;
    printf(", \"C, decompress then multiply\": %.3f",
           milliseconds(&layer, decompressed, n_reps, seconds));
    tier = scalar;
    for (size_t i = 0; i < n_levels; i++)
        if (levels[i].available()) {
            levels[i].fill(&tier);
            layer.kernels = &tier;
            printf(", \"fused %s\": %.3f", levels[i].name,
                   milliseconds(&layer, fused, n_reps, seconds));
        }
    printf("}}\n");
    upg_pool_free(layer.pool);
    upg_arena_clear(&arena);
    return 0;
}
