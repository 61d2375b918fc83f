/* check_packed.c -- packed matrices and the rotations around them: the same bits as scalar. */
#include "bench/check.h"

#include "base/half.h"
#include "bench/guarded.h"
#include "kernels/chunk.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_COLS = 1600,
    MOST_ROWS = 512,
    MOST_TOKENS = UPG_PASS_TOKENS + 40 /* more than tiers multiply in one pass */
};

/* Quantized rows of one case, each array guarded. */
struct q8_buffers {
    struct upg_guarded values, scales, sums;
};

static void q8_init(struct upg_check *check, struct q8_buffers *buffers)
{
    const size_t n_blocks = MOST_COLS / UPG_SCALE_BLOCK + 1;

    upg_guarded_init(check, &buffers->values, (size_t)MOST_TOKENS * MOST_COLS);
    upg_guarded_init(check, &buffers->scales, MOST_TOKENS * n_blocks * sizeof(float));
    upg_guarded_init(check, &buffers->sums, MOST_TOKENS * n_blocks * sizeof(int32_t));
}

static void q8_clear(struct q8_buffers *buffers)
{
    upg_guarded_clear(&buffers->values);
    upg_guarded_clear(&buffers->scales);
    upg_guarded_clear(&buffers->sums);
}

static struct upg_q8_rows q8_place(struct q8_buffers *buffers, size_t n_tokens, size_t padded_cols)
{
    const size_t n_blocks = (padded_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;

    return (struct upg_q8_rows){
        .values = upg_guarded_place(&buffers->values, n_tokens * padded_cols, 1, 64),
        .scales = upg_guarded_place(&buffers->scales, n_tokens * n_blocks, sizeof(float), 4),
        .sums = upg_guarded_place(&buffers->sums, n_tokens * n_blocks, sizeof(int32_t), 4),
        .n_tokens = n_tokens,
        .padded_cols = padded_cols,
        .n_blocks = n_blocks,
    };
}

static bool q8_intact(const struct q8_buffers *buffers)
{
    return upg_guarded_intact(&buffers->values) && upg_guarded_intact(&buffers->scales) &&
           upg_guarded_intact(&buffers->sums);
}

/* ---- rotate_quantize ---- */

static void compare_q8(struct upg_check *check, const struct upg_q8_rows *expected,
                       const struct upg_q8_rows *got)
{
    const size_t n_scales = got->n_tokens * got->n_blocks;

    if (!upg_check_same(check, expected->scales, got->scales, n_scales))
        return;
    if (memcmp(expected->values, got->values, got->n_tokens * got->padded_cols) != 0)
        upg_check_failed(check, "values differ");
    else if (memcmp(expected->sums, got->sums, n_scales * sizeof *got->sums) != 0)
        upg_check_failed(check, "sums differ");
}

/* A few values where the rotation must not be usable. */
static void spoil(struct upg_check *check, float *x, size_t n)
{
    static const float spoilers[] = {NAN, INFINITY, -INFINITY, 3e38F, 1e-40F};

    for (int i = 0; i < 3; i++)
        x[upg_check_int(check, 0, (int)n - 1)] = spoilers[upg_check_int(check, 0, 4)];
}

void upg_check_rotate_quantize(struct upg_check *check)
{
    enum { N_CASES = 120 };
    struct q8_buffers expected_buffers, got_buffers;
    struct upg_guarded in;

    q8_init(check, &expected_buffers);
    q8_init(check, &got_buffers);
    upg_guarded_init(check, &in, (size_t)MOST_TOKENS * (MOST_COLS + 3) * sizeof(float));
    for (size_t i = 0; i < upg_check_count(check, N_CASES); i++) {
        const enum upg_check_data data = (enum upg_check_data)(i / 2 % N_DATA);
        const size_t padded = (size_t)UPG_COL_UNIT * (size_t)upg_check_int(check, 1, 25);
        const size_t n_cols = padded - (size_t)upg_check_int(check, 0, UPG_COL_UNIT - 1);
        const size_t n_tokens = (size_t)upg_check_int(check, 1, i % 8 ? 3 : 17);
        const size_t stride = n_cols + (size_t)upg_check_int(check, 0, 3);
        const size_t n = (n_tokens - 1) * stride + n_cols;
        const uint64_t seed = upg_random_u64(&check->random);
        const float size = i % 5 ? 1 : ldexpf(1, upg_check_int(check, -140, 100));
        float *x = upg_guarded_place(&in, n, sizeof *x, 4);
        struct upg_q8_rows expected = q8_place(&expected_buffers, n_tokens, padded);
        struct upg_q8_rows got = q8_place(&got_buffers, n_tokens, padded);

        upg_check_case(check, "%zu of %zu columns, %zu tokens, %s times %g%s", n_cols, padded,
                       n_tokens, upg_check_data_name(data), (double)size, i % 7 ? "" : ", spoiled");
        upg_check_floats(check, x, n, data);
        for (size_t c = 0; c < n; c++)
            x[c] *= size;
        if (i % 7 == 0)
            spoil(check, x, n);
        const size_t middle = (size_t)upg_check_int(check, 0, (int)got.n_blocks);
        check->scalar->rotate_quantize(&expected, x, stride, n_cols, seed, 0, got.n_blocks);
        check->kernels->rotate_quantize(&got, x, stride, n_cols, seed, 0, middle);
        check->kernels->rotate_quantize(&got, x, stride, n_cols, seed, middle, got.n_blocks);
        compare_q8(check, &expected, &got);
        if (!q8_intact(&got_buffers))
            upg_check_failed(check, "wrote outside the results");
    }
    q8_clear(&expected_buffers);
    q8_clear(&got_buffers);
    upg_guarded_clear(&in);
}

/* ---- transform_out ---- */

void upg_check_transform_out(struct upg_check *check)
{
    enum { N_CASES = 100 };
    static float expected[MOST_COLS];
    struct upg_guarded buffer;

    upg_guarded_init(check, &buffer, sizeof expected);
    for (size_t i = 0; i < upg_check_count(check, N_CASES); i++) {
        const enum upg_check_data data = (enum upg_check_data)(i % N_DATA);
        const size_t n = (size_t)UPG_COL_UNIT * (size_t)upg_check_int(check, 1, 25);
        const uint64_t seed = upg_random_u64(&check->random);
        float *y = upg_guarded_place(&buffer, n, sizeof *y, 4);

        upg_check_case(check, "%zu values, %s", n, upg_check_data_name(data));
        upg_check_floats(check, y, n, data);
        memcpy(expected, y, n * sizeof *y);
        upg_transform_out(expected, n, seed);
        check->kernels->transform_out(y, n, seed);
        upg_check_same(check, expected, y, n);
        if (!upg_guarded_intact(&buffer))
            upg_check_failed(check, "wrote outside y");
    }
    upg_guarded_clear(&buffer);
}

/* ---- packed_matmul ---- */

struct matrix {
    struct upg_guarded codes, row_scale, gain;
    struct upg_packed packed;
};

static void matrix_init(struct upg_check *check, struct matrix *matrix)
{
    upg_guarded_init(check, &matrix->codes, (size_t)MOST_ROWS * MOST_COLS / 2);
    upg_guarded_init(check, &matrix->row_scale, MOST_ROWS * sizeof(uint16_t));
    upg_guarded_init(check, &matrix->gain, (MOST_COLS / UPG_SCALE_BLOCK + 1) * sizeof(float));
}

static void matrix_clear(struct matrix *matrix)
{
    upg_guarded_clear(&matrix->codes);
    upg_guarded_clear(&matrix->row_scale);
    upg_guarded_clear(&matrix->gain);
}

static void fill_matrix(struct upg_check *check, struct matrix *matrix, int k, size_t n_rows,
                        size_t n_cols, enum upg_check_data data)
{
    const size_t n_blocks = (n_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;
    const size_t code_bytes = n_rows * n_cols * (size_t)k / 8;
    uint8_t *codes = upg_guarded_place(&matrix->codes, code_bytes, 1, 64);
    uint16_t *row_scale = upg_guarded_place(&matrix->row_scale, n_rows, sizeof *row_scale, 2);
    float *gain = upg_guarded_place(&matrix->gain, n_blocks, sizeof *gain, 4);

    upg_check_bytes(check, codes, code_bytes, data);
    for (size_t r = 0; r < n_rows; r++)
        row_scale[r] = upg_f32_to_f16((float)upg_random_unit(&check->random) * 0.1F);
    for (size_t h = 0; h < n_blocks; h++)
        gain[h] = (float)upg_random_unit(&check->random) + 0.5F;
    matrix->packed = (struct upg_packed){.k = k,
                                         .n_rows = n_rows,
                                         .n_cols = n_cols,
                                         .padded_rows = n_rows,
                                         .padded_cols = n_cols,
                                         .codes = codes,
                                         .row_scale = row_scale,
                                         .gain = gain};
}

static void fill_q8(struct upg_check *check, struct upg_q8_rows *x, enum upg_check_data data)
{
    upg_check_bytes(check, x->values, x->n_tokens * x->padded_cols, data);
    for (size_t t = 0; t < x->n_tokens; t++)
        for (size_t h = 0; h < x->n_blocks; h++) {
            int32_t *sum = &x->sums[t * x->n_blocks + h];
            *sum = 0;
            for (size_t c = h * UPG_SCALE_BLOCK;
                 c < (h + 1) * UPG_SCALE_BLOCK && c < x->padded_cols; c++) {
                int8_t *value = &x->values[upg_q8_offset(x, t, c)];
                if (*value == -128) /* quantization gives at most 127 in size */
                    *value = -127;
                *sum += *value;
            }
            x->scales[t * x->n_blocks + h] =
                data == DATA_ZERO ? 0 : (float)upg_random_unit(&check->random);
        }
}

struct packed_case {
    int k;
    size_t n_rows, n_cols, n_tokens, block_begin, block_end;
    enum upg_check_data codes, values;
};

/* y[n_tokens][n_rows] of the case, and guard bytes in the row blocks that were not asked for. */
static void run_packed(struct upg_check *check, const struct packed_case *c, struct matrix *matrix,
                       struct q8_buffers *x_buffers, struct upg_guarded *y_buffer,
                       struct upg_guarded *scratch_buffer, float *expected)
{
    const size_t stride = c->n_rows + (size_t)upg_check_int(check, 0, 3);
    const size_t n_y = (c->n_tokens - 1) * stride + c->n_rows;
    const size_t first = c->block_begin * UPG_ROW_BLOCK;
    const size_t n_written = (c->block_end - c->block_begin) * UPG_ROW_BLOCK;
    struct upg_q8_rows x = q8_place(x_buffers, c->n_tokens, c->n_cols);
    float *y = upg_guarded_place(y_buffer, n_y, sizeof *y, 4);
    void *scratch = upg_guarded_place(scratch_buffer, check->kernels->scratch_bytes, 1, 64);

    upg_check_case(check, "k %d, %zu x %zu, row blocks %zu to %zu, %zu tokens, codes %s, values %s",
                   c->k, c->n_rows, c->n_cols, c->block_begin, c->block_end, c->n_tokens,
                   upg_check_data_name(c->codes), upg_check_data_name(c->values));
    fill_matrix(check, matrix, c->k, c->n_rows, c->n_cols, c->codes);
    fill_q8(check, &x, c->values);
    memset(expected, UPG_GUARD_BYTE, n_y * sizeof *expected);
    check->scalar->packed_matmul(expected, stride, &matrix->packed, &x, c->block_begin,
                                 c->block_end, NULL);
    check->kernels->packed_matmul(y, stride, &matrix->packed, &x, c->block_begin, c->block_end,
                                  scratch);
    for (size_t t = 0; t < c->n_tokens; t++)
        if (!upg_check_same(check, expected + t * stride + first, y + t * stride + first,
                            n_written))
            break;
    if (memcmp(expected, y, n_y * sizeof *y) != 0)
        upg_check_failed(check, "y differs, perhaps outside of the row blocks");
    if (!upg_guarded_intact(y_buffer) || !upg_guarded_intact(scratch_buffer))
        upg_check_failed(check, "wrote outside y and scratch");
}

/* scalar itself: one token at scale 1 is the exact integer product of the decoded blocks. */
static void check_against_codec(struct upg_check *check)
{
    enum { N_COLS = 320 };
    struct matrix matrix;
    float x[N_COLS] = {0}, expected[UPG_ROW_BLOCK], y[UPG_ROW_BLOCK];
    static _Alignas(64) int8_t values[N_COLS];
    float scales[2] = {1, 1};
    int32_t sums[2] = {0, 0};
    struct upg_q8_rows rows = {values, scales, sums, 1, N_COLS, 2};
    upg_error err;

    matrix_init(check, &matrix);
    for (int k = 2; k <= 4 && !check->no_memory; k++) {
        upg_check_case(check, "k %d, against the codec's product", k);
        fill_matrix(check, &matrix, k, UPG_ROW_BLOCK, N_COLS, DATA_RANDOM);
        memset(values, 0, sizeof values);
        sums[0] = sums[1] = 0;
        for (size_t c = 0; c < N_COLS; c++)
            x[c] = 0;
        /* the rotation of a vector whose transform is one value of 16 in column 256 */
        values[256] = 16;
        sums[1] = 16;
        x[256] = 16;
        upg_transform_out(x, N_COLS, matrix.packed.seed_in);
        if (upg_packed_matvec(&matrix.packed, x, expected, &err) != UPG_OK)
            upg_check_failed(check, "%s", err.message);
        check->kernels->packed_matmul(y, UPG_ROW_BLOCK, &matrix.packed, &rows, 0, 1, NULL);
        for (size_t r = 0; r < UPG_ROW_BLOCK; r++)
            if (!(fabsf(y[r] - expected[r]) <= 1e-4F * fabsf(expected[r]) + 1e-6F)) {
                upg_check_failed(check, "row %zu is %g instead of %g", r, (double)y[r],
                                 (double)expected[r]);
                break;
            }
    }
    matrix_clear(&matrix);
}

/* A case of the given k and tokens; fewer columns where scalar would take long. */
static struct packed_case random_case(struct upg_check *check, int k, size_t n_tokens)
{
    const int most_columns = n_tokens < 4 ? 25 : n_tokens < MOST_TOKENS ? 10 : 2;
    const int n_blocks = upg_check_int(check, 1, n_tokens == 1 ? 4 : n_tokens < 20 ? 2 : 1);
    const int begin = upg_check_int(check, 0, n_blocks - 1);

    return (struct packed_case){
        .k = k,
        .n_rows = (size_t)n_blocks * UPG_ROW_BLOCK,
        .n_cols = (size_t)UPG_COL_UNIT * (size_t)upg_check_int(check, 1, most_columns),
        .n_tokens = n_tokens,
        .block_begin = (size_t)begin,
        .block_end = (size_t)upg_check_int(check, n_tokens < 20 ? begin : begin + 1, n_blocks),
        .codes = (enum upg_check_data)upg_check_int(check, 0, N_DATA - 1),
        .values = (enum upg_check_data)upg_check_int(check, 0, N_DATA - 1)};
}

void upg_check_packed_matmul(struct upg_check *check)
{
    static const size_t token_counts[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                          11, 12, 13, 14, 15, 16, 17, 33, 70, MOST_TOKENS};
    enum { N_COUNTS = sizeof token_counts / sizeof token_counts[0] };
    struct matrix matrix;
    struct q8_buffers x_buffers;
    struct upg_guarded y_buffer, scratch_buffer;
    float *expected = malloc((size_t)MOST_TOKENS * (MOST_ROWS + 3) * sizeof *expected);

    if (!expected) {
        upg_check_failed(check, "out of memory");
        return;
    }
    matrix_init(check, &matrix);
    q8_init(check, &x_buffers);
    upg_guarded_init(check, &y_buffer, (size_t)MOST_TOKENS * (MOST_ROWS + 3) * sizeof(float));
    upg_guarded_init(check, &scratch_buffer, check->kernels->scratch_bytes);

    if (check->kernels->packed_matmul == check->scalar->packed_matmul)
        check_against_codec(check);
    else
        for (int k = 2; k <= 4; k++)
            for (size_t i = 0; i < N_COUNTS; i++)
                for (size_t n = upg_check_count(check, token_counts[i] < MOST_TOKENS ? 2 : 1);
                     n > 0; n--) {
                    const struct packed_case c = random_case(check, k, token_counts[i]);
                    run_packed(check, &c, &matrix, &x_buffers, &y_buffer, &scratch_buffer,
                               expected);
                }
    matrix_clear(&matrix);
    q8_clear(&x_buffers);
    upg_guarded_clear(&y_buffer);
    upg_guarded_clear(&scratch_buffer);
    free(expected);
}
