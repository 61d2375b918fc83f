/* encode_matrix.c -- a whole matrix without feedback: windows of targets for the encoder.
 *
 * Targets do not change while a row is encoded, so much is committed at a time and little is
 * searched twice; the result is within 0.1 % of one search along the whole row. */
#include "base/arena.h"
#include "base/half.h"
#include "codec/encoder.h"

#include <stdlib.h>
#include <string.h>

enum {
    COMMIT_GROUPS = 64,
    LOOK_AHEAD_GROUPS = 8,
    WINDOW_COLS = (COMMIT_GROUPS + LOOK_AHEAD_GROUPS) * UPG_COL_GROUP
};

/* What the threads share; each writes its own row blocks. */
struct matrix_job {
    int k;
    size_t n_rows, n_cols, padded_cols, n_row_blocks;
    const float *w;
    const uint16_t *row_scale;
    const float *gain;
    uint8_t *codes;
    struct upg_encoder **encoders; /* [n_threads] */
    float *windows;                /* [n_threads][128, WINDOW_COLS] */
    upg_status *status;            /* [n_threads] */
    upg_error *errors;             /* [n_threads] */
};

/* Targets of a row block from column `begin` on, zero where the matrix has ended. */
static void fill_window(const struct matrix_job *job, size_t row_block, size_t begin, size_t n,
                        float *window)
{
    for (size_t i = 0; i < UPG_ROW_BLOCK; i++) {
        const size_t row = row_block * UPG_ROW_BLOCK + i;
        const float scale = row < job->n_rows ? upg_f16_to_f32(job->row_scale[row]) : 0;

        for (size_t col = begin; col < begin + n; col++) {
            float target = 0;
            if (scale != 0 && col < job->n_cols)
                target =
                    job->w[row * job->n_cols + col] / (scale * job->gain[col / UPG_SCALE_BLOCK]);
            window[i * WINDOW_COLS + col - begin] = target;
        }
    }
}

static upg_status encode_row_block(const struct matrix_job *job, size_t thread, size_t row_block)
{
    const size_t n_groups = job->padded_cols / UPG_COL_GROUP;
    const size_t block_bytes = (size_t)job->k * UPG_LANES;
    uint8_t *blocks = job->codes + row_block * n_groups * block_bytes;
    float *window = job->windows + thread * UPG_ROW_BLOCK * WINDOW_COLS;
    struct upg_lanes lanes = {{0}};
    upg_status status = UPG_OK;

    for (size_t group = 0; group < n_groups && status == UPG_OK; group += COMMIT_GROUPS) {
        const size_t rest = n_groups - group;
        const size_t n_commit = rest < COMMIT_GROUPS ? rest : COMMIT_GROUPS;
        const size_t n_known =
            rest < n_commit + LOOK_AHEAD_GROUPS ? rest : n_commit + LOOK_AHEAD_GROUPS;

        fill_window(job, row_block, group * UPG_COL_GROUP, n_known * UPG_COL_GROUP, window);
        status =
            upg_encoder_commit(job->encoders[thread], &lanes, window, WINDOW_COLS, n_commit,
                               n_known, blocks + group * block_bytes, NULL, &job->errors[thread]);
    }
    return status;
}

static void encode_part(void *context, size_t thread, size_t n_threads)
{
    struct matrix_job *job = context;
    size_t begin, end;

    upg_split(job->n_row_blocks, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end && job->status[thread] == UPG_OK; i++)
        job->status[thread] = encode_row_block(job, thread, i);
}

upg_status upg_encode_matrix(struct upg_pool *pool, int k, const float *w, size_t n_rows,
                             size_t n_cols, const uint16_t *row_scale, const float *gain,
                             uint8_t *codes, upg_error *err)
{
    const size_t n_threads = upg_pool_n_threads(pool);
    struct upg_arena arena = {0};
    struct matrix_job job = {
        .k = k,
        .n_rows = n_rows,
        .n_cols = n_cols,
        .padded_cols = (n_cols + UPG_COL_UNIT - 1) / UPG_COL_UNIT * UPG_COL_UNIT,
        .n_row_blocks = (n_rows + UPG_ROW_BLOCK - 1) / UPG_ROW_BLOCK,
        .w = w,
        .row_scale = row_scale,
        .gain = gain,
        .codes = codes,
        .encoders = upg_arena_alloc(&arena, n_threads, sizeof(struct upg_encoder *)),
        .windows = upg_arena_alloc(&arena, n_threads, UPG_ROW_BLOCK * WINDOW_COLS * sizeof(float)),
        .status = upg_arena_alloc(&arena, n_threads, sizeof(upg_status)),
        .errors = upg_arena_alloc(&arena, n_threads, sizeof(upg_error)),
    };
    upg_status status = UPG_OK;
    size_t n_encoders = 0;

    if (!job.encoders || !job.windows || !job.status || !job.errors)
        status = upg_fail_memory(err, "encoding a matrix",
                                 n_threads * UPG_ROW_BLOCK * WINDOW_COLS * sizeof(float));
    while (status == UPG_OK && n_encoders < n_threads) {
        status = upg_encoder_new(&job.encoders[n_encoders], k, COMMIT_GROUPS + LOOK_AHEAD_GROUPS,
                                 NULL, err);
        n_encoders += status == UPG_OK;
    }
    if (status == UPG_OK)
        upg_pool_run(pool, encode_part, &job);
    for (size_t i = 0; i < n_encoders; i++) {
        upg_encoder_free(job.encoders[i]);
        if (status == UPG_OK && job.status[i] != UPG_OK) {
            status = job.status[i];
            if (err)
                *err = job.errors[i];
        }
    }
    upg_arena_clear(&arena);
    return status;
}
