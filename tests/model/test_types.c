/* Element types: sizes, rows as float32, and the GGUF blocks against values of the Python package
 * `gguf` (tests/data/gguf/blocks.bin, made by make_blocks_golden.py). */
#include "unit.h"

#include "base/half.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static enum upg_type type_by_name(const char *name)
{
    for (enum upg_type type = UPG_TYPE_F32; type <= UPG_TYPE_Q6_K; type++)
        if (strcmp(upg_type_name(type), name) == 0)
            return type;
    fail_msg("no type is called %s", name);
    return UPG_TYPE_F32;
}

/* NaN equals NaN, whatever its payload; everything else by its bits. */
static bool same(float a, float b)
{
    return (isnan(a) && isnan(b)) || upg_f32_to_bits(a) == upg_f32_to_bits(b);
}

struct record {
    char name[8];
    uint32_t n_blocks, block_bytes, block_weights;
};

static void check_record(const struct record *record, const uint8_t *blocks, const float *expected)
{
    const size_t n = (size_t)record->n_blocks * record->block_weights;
    /* Two rows, so that the second one's start is right, too. */
    const struct upg_matrix matrix = {.name = record->name,
                                      .type = type_by_name(record->name),
                                      .n_rows = 2,
                                      .n_cols = n / 2,
                                      .data = blocks,
                                      .n_bytes = (size_t)record->n_blocks * record->block_bytes};
    float *out = malloc((n + 1) * sizeof *out);
    size_t row_bytes;

    assert_non_null(out);
    assert_true(upg_type_row_bytes(matrix.type, matrix.n_cols, &row_bytes));
    assert_int_equal(row_bytes * 2, matrix.n_bytes);
    assert_int_equal(upg_matrix_stored_bytes(&matrix), matrix.n_bytes);
    out[n] = 42; /* behind the end */
    upg_matrix_rows(&matrix, 0, 2, out, NULL);
    for (size_t i = 0; i < n; i++)
        if (!same(out[i], expected[i]))
            fail_msg("%s: weight %zu is %a, the reference has %a", record->name, i, (double)out[i],
                     (double)expected[i]);
    upg_matrix_rows(&matrix, 1, 1, out, NULL);
    for (size_t i = 0; i < n / 2; i++)
        assert_true(same(out[i], expected[n / 2 + i]));
    assert_true(out[n] == 42);
    free(out);
}

/* A block has a weight that is not finite exactly when one of its scales is not: infinity times 0 is
 * NaN. */
static void check_scales(const struct record *record, const uint8_t *blocks, const float *expected)
{
    for (uint32_t b = 0; b < record->n_blocks; b++) {
        const struct upg_matrix matrix = {.type = type_by_name(record->name),
                                          .n_rows = record->n_blocks,
                                          .n_cols = record->block_weights,
                                          .data = blocks};
        bool finite = true;

        for (uint32_t i = 0; i < record->block_weights; i++)
            finite &= isfinite(expected[b * record->block_weights + i]) != 0;
        if (upg_matrix_scales_are_finite(&matrix, b, 1) != finite)
            fail_msg("%s: block %u is %sfinite", record->name, b, finite ? "" : "not ");
    }
}

static void gguf_blocks_decode_to_the_bits_of_the_reference(void **state)
{
    FILE *file = fopen("tests/data/gguf/blocks.bin", "rb");
    struct record record;
    int n_records = 0;

    (void)state;
    assert_non_null(file);
    for (; fread(&record, sizeof record, 1, file) == 1; n_records++) {
        const size_t n_bytes = (size_t)record.n_blocks * record.block_bytes;
        const size_t n = (size_t)record.n_blocks * record.block_weights;
        uint8_t *blocks = malloc(n_bytes + 1);
        float *expected = malloc(n * sizeof *expected);

        assert_true(blocks && expected);
        /* At an odd address: files align tensors, not every row. */
        assert_int_equal(fread(blocks + 1, 1, n_bytes, file), n_bytes);
        assert_int_equal(fread(expected, sizeof *expected, n, file), n);
        check_record(&record, blocks + 1, expected);
        check_scales(&record, blocks + 1, expected);
        free(blocks);
        free(expected);
    }
    fclose(file);
    assert_int_equal(n_records, UPG_TYPE_Q6_K - UPG_TYPE_Q8_0 + 1);
}

static void plain_rows_are_exact(void **state)
{
    const float f32[4] = {1.5f, -0.0f, 1e-42f, INFINITY};
    const uint16_t f16[4] = {0x3E00, 0x8001, 0x7BFF, 0xFC00};
    const uint16_t bf16[4] = {0x3FC0, 0x8001, 0x7F7F, 0xFF80};
    const float of_f16[4] = {1.5f, -0x1p-24f, 65504, -INFINITY};
    const float of_bf16[4] = {1.5f, -0x1p-133f, 0x1.FEp127f, -INFINITY};
    const struct {
        enum upg_type type;
        const void *data;
        const float *expected;
    } cases[] = {
        {UPG_TYPE_F32, f32, f32}, {UPG_TYPE_F16, f16, of_f16}, {UPG_TYPE_BF16, bf16, of_bf16}};

    (void)state;
    for (size_t c = 0; c < 3; c++) {
        const struct upg_matrix matrix = {
            .type = cases[c].type, .n_rows = 2, .n_cols = 2, .data = cases[c].data};
        float out[2];

        for (size_t r = 0; r < 2; r++) {
            upg_matrix_rows(&matrix, r, 1, out, NULL);
            assert_true(same(out[0], cases[c].expected[2 * r]));
            assert_true(same(out[1], cases[c].expected[2 * r + 1]));
        }
    }
}

/* bf16(int8 * scale): the product in float32, rounded to nearest even once. */
static void rows_of_8_bits_round_to_bfloat16(void **state)
{
    const int8_t values[2][3] = {{1, -128, 127}, {1, 0, 3}};
    const float scales[2] = {0x1.0101p-7f, 0x1.01p0f}; /* the second one is a tie */
    const struct upg_matrix matrix = {.type = UPG_TYPE_I8_ROWS,
                                      .n_rows = 2,
                                      .n_cols = 3,
                                      .data = values,
                                      .n_bytes = 6,
                                      .row_scale = scales};
    const float expected[2][3] = {{0x1.02p-7f, -0x1.02p0f, 0x1.FEp-1f}, {1, 0, 0x1.82p1f}};
    float out[2][3];

    (void)state;
    upg_matrix_rows(&matrix, 0, 2, out[0], NULL);
    for (size_t i = 0; i < 6; i++)
        assert_true(out[i / 3][i % 3] == expected[i / 3][i % 3]);
    assert_int_equal(upg_matrix_stored_bytes(&matrix), 6 + 2 * sizeof(float));
}

static void packed_rows_come_from_the_codec(void **state)
{
    static uint8_t codes[UPG_ROW_BLOCK * UPG_COL_UNIT * 3 / 8];
    static uint16_t row_scale[UPG_ROW_BLOCK];
    const float gain = 0.5f;
    struct upg_matrix matrix = {.type = UPG_TYPE_PACKED,
                                .n_rows = 100,
                                .n_cols = 60,
                                .data = codes,
                                .n_bytes = sizeof codes,
                                .packed = {.k = 3,
                                           .n_rows = 100,
                                           .n_cols = 60,
                                           .padded_rows = UPG_ROW_BLOCK,
                                           .padded_cols = UPG_COL_UNIT,
                                           .codes = codes,
                                           .row_scale = row_scale,
                                           .gain = &gain,
                                           .seed_in = 7}};
    float *scratch = malloc(upg_packed_row_scratch(&matrix.packed) * sizeof *scratch);
    float rows[2][60], expected[60];

    (void)state;
    assert_non_null(scratch);
    for (size_t i = 0; i < sizeof codes; i++)
        codes[i] = (uint8_t)(i * 37 + i / 64);
    for (size_t r = 0; r < UPG_ROW_BLOCK; r++)
        row_scale[r] = upg_f32_to_f16(1.0f + (float)r);
    upg_matrix_rows(&matrix, 97, 2, rows[0], scratch);
    for (size_t r = 0; r < 2; r++) {
        upg_packed_rows(&matrix.packed, 97 + r, 1, expected, scratch);
        assert_memory_equal(rows[r], expected, sizeof expected);
    }
    assert_int_equal(upg_matrix_stored_bytes(&matrix),
                     sizeof codes + sizeof row_scale + sizeof gain);
    free(scratch);
}

static void sizes_of_rows_are_checked(void **state)
{
    size_t n_bytes = 77;

    (void)state;
    assert_true(upg_type_row_bytes(UPG_TYPE_Q4_K, 512, &n_bytes));
    assert_int_equal(n_bytes, 288);
    assert_true(upg_type_row_bytes(UPG_TYPE_BF16, 0, &n_bytes));
    assert_int_equal(n_bytes, 0);
    assert_false(upg_type_row_bytes(UPG_TYPE_Q4_K, 128, &n_bytes));
    assert_false(upg_type_row_bytes(UPG_TYPE_Q8_0, 33, &n_bytes));
    assert_false(upg_type_row_bytes(UPG_TYPE_F32, SIZE_MAX / 4 + 1, &n_bytes));
    assert_false(upg_type_row_bytes(UPG_TYPE_Q8_0, SIZE_MAX - 31, &n_bytes));
    assert_int_equal(n_bytes, 0); /* untouched by failures */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf_blocks_decode_to_the_bits_of_the_reference),
        cmocka_unit_test(plain_rows_are_exact),
        cmocka_unit_test(rows_of_8_bits_round_to_bfloat16),
        cmocka_unit_test(packed_rows_come_from_the_codec),
        cmocka_unit_test(sizes_of_rows_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
