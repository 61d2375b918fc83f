/* test_decode.c -- the scalar decoder: layout, chaining, and agreement of its two forms. */
#include "random_matrix.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Symbol of plane a at a time of lane 0 in an otherwise zero row block: only that lane's weights
 * change, for as many steps as the window is long, across the edge between two blocks. */
static void symbol_acts_on_its_window_only(void **state)
{
    (void)state;
    uint8_t zero[2][64 * 3] = {{0}}, one[2][64 * 3] = {{0}};
    int8_t before[2][UPG_ROW_BLOCK][UPG_COL_GROUP], after[2][UPG_ROW_BLOCK][UPG_COL_GROUP];

    one[0][64 + 5] = 3 << 6; /* k = 3, plane a (rate 2), second vector, lane 5: step 7 */
    for (int block = 0; block < 2; block++) {
        upg_decode_block(3, zero[block], block ? zero[0] : NULL, before[block]);
        upg_decode_block(3, one[block], block ? one[0] : NULL, after[block]);
    }
    for (int block = 0; block < 2; block++)
        for (int row = 0; row < UPG_ROW_BLOCK; row++)
            for (int col = 0; col < UPG_COL_GROUP; col++) {
                const int time = block * UPG_STEPS + row / 16, lane = row % 16 * 4 + col;
                if (lane != 5 || time < 7 || time > 9)
                    assert_int_equal(before[block][row][col], after[block][row][col]);
            }
    const struct upg_code *code = upg_code_of(3);
    /* windows 110000, 001100, 000011 from newest to oldest symbol on top */
    assert_int_equal(after[0][16 * 7 + 1][1],
                     code->table[0][code->xor_map[0][3]] + code->table[1][0]);
    assert_int_equal(after[1][1][1], code->table[0][12] + code->table[1][0]);
    assert_int_equal(after[1][16 + 1][1], code->table[0][3] + code->table[1][0]);
}

static void all_windows_stay_within_the_limit(void **state)
{
    (void)state;
    for (int k = 2; k <= 4; k++) {
        const struct upg_code *code = upg_code_of(k);
        assert_int_equal(code->rate[0] + code->rate[1], k);
        for (int a = 0; a < 16; a++)
            for (int b = 0; b < 16; b++)
                assert_in_range(code->table[0][a] + code->table[1][b] + UPG_WEIGHT_LIMIT, 0,
                                2 * UPG_WEIGHT_LIMIT);
    }
    assert_null(upg_code_of(1));
    assert_null(upg_code_of(5));
}

static void code_bytes_count_padding_and_refuse_overflow(void **state)
{
    (void)state;
    size_t n_bytes = 7;

    assert_true(upg_packed_code_bytes(3, 129, 65, &n_bytes));
    assert_int_equal(n_bytes, 256 * 128 * 3 / 8);
    n_bytes = 7;
    assert_false(upg_packed_code_bytes(3, SIZE_MAX / 2, 64, &n_bytes));
    assert_false(upg_packed_code_bytes(4, SIZE_MAX, 64, &n_bytes));
    assert_int_equal(n_bytes, 7);
}

static void rows_and_matvec_agree(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{128, 64}, {1, 1}, {384, 576}, {200, 448}, {256, 320}};

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int k = 2; k <= 4; k++)
            for (int output = 0; output < 2; output++) {
                struct upg_arena arena = {0};
                const struct upg_packed packed =
                    random_matrix(&arena, k, shapes[i][0], shapes[i][1], output, i);
                float *w = upg_arena_alloc(&arena, packed.n_rows * packed.n_cols, sizeof *w);
                float *row = upg_arena_alloc(&arena, packed.n_cols, sizeof *row);
                float *scratch =
                    upg_arena_alloc(&arena, upg_packed_row_scratch(&packed), sizeof *scratch);
                float *x = upg_arena_alloc(&arena, packed.n_cols, sizeof *x);
                float *y = upg_arena_alloc(&arena, packed.n_rows, sizeof *y);
                struct upg_random random = {i};
                for (size_t c = 0; c < packed.n_cols; c++)
                    x[c] = (float)(upg_random_unit(&random) - 0.5);

                upg_packed_rows(&packed, 0, packed.n_rows, w, scratch);
                upg_packed_rows(&packed, packed.n_rows / 2, 1, row, scratch);
                assert_memory_equal(row, w + packed.n_rows / 2 * packed.n_cols,
                                    packed.n_cols * sizeof *row);
                assert_int_equal(upg_packed_matvec(&packed, x, y, NULL), UPG_OK);
                for (size_t r = 0; r < packed.n_rows; r++) {
                    double sum = 0, size = 0;
                    for (size_t c = 0; c < packed.n_cols; c++) {
                        sum += (double)w[r * packed.n_cols + c] * (double)x[c];
                        size += fabs((double)w[r * packed.n_cols + c] * (double)x[c]);
                    }
                    assert_true(fabs(sum - (double)y[r]) <= 1e-5 * size + 1e-6);
                }
                upg_arena_clear(&arena);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symbol_acts_on_its_window_only),
        cmocka_unit_test(all_windows_stay_within_the_limit),
        cmocka_unit_test(code_bytes_count_padding_and_refuse_overflow),
        cmocka_unit_test(rows_and_matvec_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
