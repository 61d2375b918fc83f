/* types.c -- element types of stored matrices: sizes, and rows as float32.
 *
 * This is the reference for every weight that is not in a kernel's own format: exact, one row after
 * the other.  Matrices point into mapped files whose tensors need not be aligned, so elements are
 * loaded bytewise. */
#include "base/half.h"
#include "base/size.h"
#include "model/model.h"
#include "model/types_gguf.h"

#include <assert.h>
#include <string.h>

/* How a type stores weights: blocks of n_weights in n_bytes, no holes between them. */
struct type_layout {
    const char *name;
    size_t n_weights, n_bytes;    /* of a block; 0 for PACKED, whose rows are not apart */
    upg_decode_blocks_fn *decode; /* GGUF types only, as is the next field */
    size_t scale_at[2];           /* the block's binary16 scales; those with one have it twice */
};

static const struct type_layout layouts[] = {
    [UPG_TYPE_F32] = {"F32", 1, 4, NULL, {0, 0}},
    [UPG_TYPE_F16] = {"F16", 1, 2, NULL, {0, 0}},
    [UPG_TYPE_BF16] = {"BF16", 1, 2, NULL, {0, 0}},
    [UPG_TYPE_I8_ROWS] = {"I8 rows", 1, 1, NULL, {0, 0}},
    [UPG_TYPE_PACKED] = {"UPG", 0, 0, NULL, {0, 0}},
    [UPG_TYPE_Q8_0] = {"Q8_0", 32, 34, upg_decode_q8_0, {0, 0}},
    [UPG_TYPE_Q4_0] = {"Q4_0", 32, 18, upg_decode_q4_0, {0, 0}},
    [UPG_TYPE_Q4_1] = {"Q4_1", 32, 20, upg_decode_q4_1, {0, 2}},
    [UPG_TYPE_Q5_0] = {"Q5_0", 32, 22, upg_decode_q5_0, {0, 0}},
    [UPG_TYPE_Q5_1] = {"Q5_1", 32, 24, upg_decode_q5_1, {0, 2}},
    [UPG_TYPE_Q2_K] = {"Q2_K", 256, 84, upg_decode_q2_k, {80, 82}},
    [UPG_TYPE_Q3_K] = {"Q3_K", 256, 110, upg_decode_q3_k, {108, 108}},
    [UPG_TYPE_Q4_K] = {"Q4_K", 256, 144, upg_decode_q4_k, {0, 2}},
    [UPG_TYPE_Q5_K] = {"Q5_K", 256, 176, upg_decode_q5_k, {0, 2}},
    [UPG_TYPE_Q6_K] = {"Q6_K", 256, 210, upg_decode_q6_k, {208, 208}},
};

const char *upg_type_name(enum upg_type type)
{
    return layouts[type].name;
}

bool upg_type_row_bytes(enum upg_type type, size_t n_cols, size_t *n_bytes)
{
    const struct type_layout *layout = &layouts[type];

    assert(layout->n_weights != 0);
    return n_cols % layout->n_weights == 0 &&
           size_mul(n_cols / layout->n_weights, layout->n_bytes, n_bytes);
}

uint64_t upg_matrix_stored_bytes(const struct upg_matrix *matrix)
{
    const struct upg_packed *packed = &matrix->packed;
    uint64_t n_bytes = matrix->n_bytes;

    if (matrix->type == UPG_TYPE_PACKED) {
        const size_t n_gains = (packed->padded_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;
        n_bytes += packed->padded_rows * sizeof *packed->row_scale + n_gains * sizeof *packed->gain;
    }
    if (matrix->type == UPG_TYPE_I8_ROWS)
        n_bytes += matrix->n_rows * sizeof *matrix->row_scale;
    return n_bytes;
}

static uint16_t load_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static void decode_f32(const uint8_t *restrict bytes, size_t n, float *restrict out)
{
    memcpy(out, bytes, n * sizeof *out);
}

static void decode_f16(const uint8_t *restrict bytes, size_t n, float *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = upg_f16_to_f32(load_u16(bytes + 2 * i));
}

static void decode_bf16(const uint8_t *restrict bytes, size_t n, float *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = upg_bf16_to_f32(load_u16(bytes + 2 * i));
}

static void decode_i8_row(const uint8_t *restrict bytes, float scale, size_t n, float *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = upg_bf16_to_f32(upg_f32_to_bf16((float)(int8_t)bytes[i] * scale));
}

void upg_matrix_rows(const struct upg_matrix *matrix, size_t begin, size_t n, float *out,
                     float *scratch)
{
    const struct type_layout *layout = &layouts[matrix->type];
    const size_t n_cols = matrix->n_cols;
    size_t row_bytes = 0;

    assert(begin <= matrix->n_rows && n <= matrix->n_rows - begin);
    if (matrix->type == UPG_TYPE_PACKED) { /* all at once: rows are decoded in blocks */
        upg_packed_rows(&matrix->packed, begin, n, out, scratch);
        return;
    }
    const bool whole = upg_type_row_bytes(matrix->type, n_cols, &row_bytes);
    assert(whole); /* readers let no other matrix in */
    (void)whole;
    for (size_t r = begin; r < begin + n; r++, out += n_cols) {
        const uint8_t *bytes = (const uint8_t *)matrix->data + r * row_bytes;

        switch (matrix->type) {
        case UPG_TYPE_F32: decode_f32(bytes, n_cols, out); break;
        case UPG_TYPE_F16: decode_f16(bytes, n_cols, out); break;
        case UPG_TYPE_BF16: decode_bf16(bytes, n_cols, out); break;
        case UPG_TYPE_I8_ROWS: decode_i8_row(bytes, matrix->row_scale[r], n_cols, out); break;
        default: layout->decode(bytes, n_cols / layout->n_weights, out); break;
        }
    }
}

bool upg_matrix_scales_are_finite(const struct upg_matrix *matrix, size_t begin, size_t n)
{
    const struct type_layout *layout = &layouts[matrix->type];
    const uint8_t *block = matrix->data;
    size_t row_blocks;
    int bad = 0;

    if (!layout->decode)
        return true;
    row_blocks = matrix->n_cols / layout->n_weights;
    block += begin * row_blocks * layout->n_bytes;
    for (size_t b = 0; b < n * row_blocks; b++, block += layout->n_bytes)
        for (size_t i = 0; i < 2; i++)
            bad |= (load_u16(block + layout->scale_at[i]) & 0x7C00) == 0x7C00;
    return !bad;
}
