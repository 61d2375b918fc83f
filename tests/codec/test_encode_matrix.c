/* test_encode_matrix.c -- whole matrices: scales, padding, threads. */
#include "base/arena.h"
#include "base/half.h"
#include "codec/encoder.h"
#include "codec/scale.h"
#include "gaussian.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A matrix of the given shape, encoded; buffers in the arena. */
static struct upg_packed encode(struct upg_arena *arena, struct upg_pool *pool, int k,
                                const float *w, size_t n_rows, size_t n_cols)
{
    struct upg_packed packed = {.k = k,
                                .n_rows = n_rows,
                                .n_cols = n_cols,
                                .padded_rows = (n_rows + 127) / 128 * 128,
                                .padded_cols = (n_cols + 63) / 64 * 64};
    size_t n_bytes;

    assert_true(upg_packed_code_bytes(k, n_rows, n_cols, &n_bytes));
    uint8_t *codes = upg_arena_alloc(arena, n_bytes, 1);
    uint16_t *row_scale = upg_arena_alloc(arena, packed.padded_rows, sizeof *row_scale);
    float *gain = upg_arena_alloc(arena, (packed.padded_cols + 255) / 256, sizeof *gain);
    assert_int_equal(upg_fit_scales(k, w, n_rows, n_cols, row_scale, gain, NULL), UPG_OK);
    assert_int_equal(upg_encode_matrix(pool, k, w, n_rows, n_cols, row_scale, gain, codes, NULL),
                     UPG_OK);
    packed.codes = codes;
    packed.row_scale = row_scale;
    packed.gain = gain;
    return packed;
}

/* Error of W' as stored, without the transform, against the matrix that was encoded. */
static double relative_error(const struct upg_packed *packed, const float *w)
{
    const size_t n_groups = packed->padded_cols / UPG_COL_GROUP;
    const size_t block_bytes = UPG_LANES * (size_t)packed->k;
    double error = 0, energy = 0;

    for (size_t i = 0; i < packed->padded_rows / UPG_ROW_BLOCK * n_groups; i++) {
        const size_t row_block = i / n_groups, group = i % n_groups;
        const uint8_t *block = packed->codes + i * block_bytes;
        int8_t v[UPG_ROW_BLOCK][UPG_COL_GROUP];

        upg_decode_block(packed->k, block, group ? block - block_bytes : NULL, v);
        for (size_t j = 0; j < UPG_ROW_BLOCK * UPG_COL_GROUP; j++) {
            const size_t row = row_block * UPG_ROW_BLOCK + j / UPG_COL_GROUP;
            const size_t col = group * UPG_COL_GROUP + j % UPG_COL_GROUP;
            if (row >= packed->n_rows || col >= packed->n_cols)
                continue;
            const double target = (double)w[row * packed->n_cols + col];
            const double stored = (double)upg_f16_to_f32(packed->row_scale[row]) *
                                  (double)packed->gain[col / UPG_SCALE_BLOCK] *
                                  v[j / UPG_COL_GROUP][j % UPG_COL_GROUP];
            error += (target - stored) * (target - stored);
            energy += target * target;
        }
    }
    return energy > 0 ? error / energy : error;
}

/* Rows and blocks of columns of very different sizes cost nothing: scales and gains even them. */
static void scales_follow_rows_and_blocks(void **state)
{
    (void)state;
    enum { ROWS = 140, COLS = 576 };
    struct upg_arena arena = {0};
    struct upg_pool *pool;
    float *w = upg_arena_alloc(&arena, ROWS * COLS, sizeof *w);

    assert_int_equal(upg_pool_new(&pool, 2, NULL), UPG_OK);
    for (int magnitude = -30; magnitude <= 30; magnitude += 30) {
        fill_gaussian(w, ROWS * COLS, 1, 8);
        for (int row = 0; row < ROWS; row++)
            for (int col = 0; col < COLS; col++)
                w[row * COLS + col] *=
                    ldexpf((1 + (float)(row % 7)) * (col < 256 ? 1 : 30), magnitude);
        const struct upg_packed packed = encode(&arena, pool, 3, w, ROWS, COLS);
        assert_true(relative_error(&packed, w) < 0.0200);
    }
    upg_pool_free(pool);
    upg_arena_clear(&arena);
}

static void odd_shapes_and_thread_counts_agree(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{1, 1}, {3, 70}, {128, 64}, {300, 448}, {513, 130}};
    struct upg_pool *pools[2];

    assert_int_equal(upg_pool_new(&pools[0], 1, NULL), UPG_OK);
    assert_int_equal(upg_pool_new(&pools[1], 3, NULL), UPG_OK);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int k = 2; k <= 4; k++) {
            struct upg_arena arena = {0};
            const size_t n_rows = shapes[i][0], n_cols = shapes[i][1];
            float *w = upg_arena_alloc(&arena, n_rows * n_cols, sizeof *w);
            size_t n_bytes;

            fill_gaussian(w, n_rows * n_cols, 0.02, i);
            const struct upg_packed one = encode(&arena, pools[0], k, w, n_rows, n_cols);
            const struct upg_packed three = encode(&arena, pools[1], k, w, n_rows, n_cols);
            upg_packed_code_bytes(k, n_rows, n_cols, &n_bytes);
            assert_memory_equal(one.codes, three.codes, n_bytes);
            /* where most of a block is padding, its zeros count as much as the weights */
            assert_true(relative_error(&one, w) < (n_rows > 100 ? 1.5 * pow(4, -k) : 1.1));
            upg_arena_clear(&arena);
        }
    upg_pool_free(pools[0]);
    upg_pool_free(pools[1]);
}

static void zero_rows_and_blocks_are_harmless(void **state)
{
    (void)state;
    enum { ROWS = 4, COLS = 512 };
    struct upg_arena arena = {0};
    struct upg_pool *pool;
    float w[ROWS * COLS] = {0};

    assert_int_equal(upg_pool_new(&pool, 1, NULL), UPG_OK);
    struct upg_packed packed = encode(&arena, pool, 2, w, ROWS, COLS);
    assert_true(relative_error(&packed, w) == 0);
    fill_gaussian(w + COLS, COLS / 2, 1, 0);
    packed = encode(&arena, pool, 2, w, ROWS, COLS);
    assert_int_equal(packed.row_scale[0], 0);
    assert_int_not_equal(packed.row_scale[1], 0);
    assert_true(isfinite(relative_error(&packed, w)));
    upg_pool_free(pool);
    upg_arena_clear(&arena);
}

static void weights_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    enum { ROWS = 3, COLS = 64 };
    float w[ROWS * COLS], gain[1];
    uint16_t row_scale[UPG_ROW_BLOCK];
    uint8_t codes[UPG_ROW_BLOCK * COLS * 3 / 8];
    struct upg_pool *pool;
    upg_error err;

    assert_int_equal(upg_pool_new(&pool, 2, NULL), UPG_OK);
    fill_gaussian(w, ROWS * COLS, 1, 0);
    assert_int_equal(upg_fit_scales(3, w, ROWS, COLS, row_scale, gain, NULL), UPG_OK);
    w[2 * COLS + 5] = NAN;
    assert_int_equal(upg_encode_matrix(pool, 3, w, ROWS, COLS, row_scale, gain, codes, &err),
                     UPG_ERR_ARGUMENT);
    assert_int_equal(upg_fit_scales(3, w, ROWS, COLS, row_scale, gain, &err), UPG_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "row 2"));
    assert_int_equal(upg_encode_matrix(pool, 7, w, ROWS, COLS, row_scale, gain, codes, &err),
                     UPG_ERR_ARGUMENT);
    upg_pool_free(pool);
}

/* The least-squares scale is where the derivative of the squared error vanishes. */
static void refitted_scale_is_the_best_one(void **state)
{
    (void)state;
    enum { COLS = 600 };
    const float gain[3] = {1, 3, 0.5F};
    float w[COLS];
    int8_t v[COLS];
    double best = 1e30, at_refit = 0;

    fill_gaussian(w, COLS, 0.3, 17);
    for (int i = 0; i < COLS; i++)
        v[i] = (int8_t)lrintf(w[i] * 50 / gain[i / 256]);
    const uint16_t refit = upg_refit_row_scale(w, v, COLS, gain, 0);
    for (int step = -8; step <= 8; step++) {
        const double scale = (double)upg_f16_to_f32((uint16_t)(refit + step));
        double sum = 0;
        for (int i = 0; i < COLS; i++)
            sum += pow((double)w[i] - scale * (double)gain[i / 256] * v[i], 2);
        best = fmin(best, sum);
        at_refit = step == 0 ? sum : at_refit;
    }
    assert_true(at_refit == best);
    memset(v, 0, sizeof v);
    assert_int_equal(upg_refit_row_scale(w, v, COLS, gain, 77), 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scales_follow_rows_and_blocks),
        cmocka_unit_test(odd_shapes_and_thread_counts_agree),
        cmocka_unit_test(zero_rows_and_blocks_are_harmless),
        cmocka_unit_test(weights_that_are_not_finite_are_refused),
        cmocka_unit_test(refitted_scale_is_the_best_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
