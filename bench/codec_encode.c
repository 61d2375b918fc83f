/* codec_encode.c -- speed and error of the encoder beside the bounds.
 *
 *   bench_codec_encode [TIER]        scalar, avx2, avx512, neon; default: the best
 *
 * One row block of 128 x 4096 unit Gaussian weights at a time, on one core, in the core's own time
 * (so that other programs do not count); medians of five with their spread.  The error is that of
 * the bytes as the scalar decoder reads them.  Bound: 4^-k, Shannon's for this source.  Scalar: the
 * best quantizer without memory and entropy coding (Max 1960, table I). */
#include "base/arena.h"
#include "codec/encoder.h"
#include "codec/gaussian.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N_COLS = 4096, N_GROUPS = N_COLS / UPG_COL_GROUP, N_RUNS = 5 };

static double core_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Encode a row block as the compressor does; values are wanted for feedback. */
static upg_status encode(struct upg_encoder *encoder, int k, const struct upg_effort *effort,
                         const float *targets, uint8_t *codes, int8_t *values, upg_error *err)
{
    struct upg_lanes lanes = {{0}};
    upg_status status = UPG_OK;

    for (size_t group = 0; group < N_GROUPS && status == UPG_OK; group += effort->commit_groups) {
        const size_t rest = N_GROUPS - group;
        const size_t n = rest < effort->commit_groups ? rest : effort->commit_groups;
        const size_t ahead =
            rest - n < effort->look_ahead_groups ? rest - n : effort->look_ahead_groups;
        status = upg_encoder_commit(encoder, &lanes, targets + group * UPG_COL_GROUP, N_COLS, n,
                                    n + ahead, codes + group * UPG_LANES * (size_t)k, values, err);
    }
    return status;
}

static double stored_error(int k, const float *targets, const uint8_t *codes)
{
    const size_t block_bytes = UPG_LANES * (size_t)k;
    double sum = 0;

    for (size_t group = 0; group < N_GROUPS; group++) {
        const uint8_t *block = codes + group * block_bytes;
        int8_t v[UPG_ROW_BLOCK][UPG_COL_GROUP];
        upg_decode_block(k, block, group ? block - block_bytes : NULL, v);
        for (size_t row = 0; row < UPG_ROW_BLOCK; row++)
            for (size_t c = 0; c < UPG_COL_GROUP; c++) {
                const double e =
                    (double)targets[row * N_COLS + group * UPG_COL_GROUP + c] - v[row][c];
                sum += e * e;
            }
    }
    return sum / (UPG_ROW_BLOCK * (double)N_COLS);
}

static upg_status measure(int k, const char *name, const char *tier, float *targets, uint8_t *codes,
                          int8_t *values, upg_error *err)
{
    static const double scalar[] = {0.1175, 0.03454, 0.009497};
    const struct upg_effort *effort = upg_effort_of(name);
    const double sigma = (double)upg_code_of(k)->sigma;
    double speed[N_RUNS], error = 0;
    struct upg_encoder *encoder;
    upg_status status =
        upg_encoder_new(&encoder, k, effort->commit_groups + effort->look_ahead_groups, tier, err);

    for (int run = 0; run < N_RUNS && status == UPG_OK; run++) {
        fill_gaussian(targets, (size_t)UPG_ROW_BLOCK * N_COLS, sigma, (uint64_t)run);
        const double begin = core_seconds();
        status = encode(encoder, k, effort, targets, codes, values, err);
        speed[run] = UPG_ROW_BLOCK * (double)N_COLS / (core_seconds() - begin) / 1e6;
        error += stored_error(k, targets, codes) / (sigma * sigma) / N_RUNS;
    }
    if (status == UPG_OK) {
        qsort(speed, N_RUNS, sizeof *speed, ascending);
        printf(
            "%d  %-6s  %2zu + %2zu  %6.2f (%5.2f .. %5.2f)   %.5f  %.3f of the bound %.5f, %.2f of "
            "scalar\n",
            k, name, effort->commit_groups, effort->look_ahead_groups, speed[N_RUNS / 2], speed[0],
            speed[N_RUNS - 1], error, error / pow(4, -k), pow(4, -k), error / scalar[k - 2]);
    }
    upg_encoder_free(encoder);
    return status;
}

int main(int n_arguments, char **arguments)
{
    static const char *const efforts[] = {"fast", "normal", "best"};
    const char *tier = n_arguments > 1 ? arguments[1] : NULL;
    struct upg_arena arena = {0};
    upg_status status = UPG_OK;
    upg_error err;
    float *targets = upg_arena_alloc(&arena, (size_t)UPG_ROW_BLOCK * N_COLS, sizeof *targets);
    uint8_t *codes = upg_arena_alloc(&arena, (size_t)UPG_ROW_BLOCK * N_COLS / 2, 1);
    int8_t *values = upg_arena_alloc(&arena, (size_t)UPG_ROW_BLOCK * N_COLS, 1);

    if (!targets || !codes || !values)
        status = upg_fail_memory(&err, "the bench", 4 * (size_t)UPG_ROW_BLOCK * N_COLS);
    else
        puts("k  effort  groups   M weights/s of one core    error");
    for (int k = 2; k <= 4; k++)
        for (size_t i = 0; i < 3 && status == UPG_OK; i++)
            status = measure(k, efforts[i], tier, targets, codes, values, &err);
    if (status != UPG_OK)
        fprintf(stderr, "bench_codec_encode: %s\n", err.message);
    upg_arena_clear(&arena);
    return status == UPG_OK ? 0 : 1;
}
