/* decode.c -- the scalar decoder, which reads as the specification (docs/codec.md). */
#include "codec/codec.h"

#include "base/arena.h"
#include "base/half.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>

bool upg_packed_code_bytes(int k, size_t n_rows, size_t n_cols, size_t *n_bytes)
{
    size_t rows, cols, n_weights, n_bits;

    if (!size_round_up(n_rows, UPG_ROW_BLOCK, &rows) ||
        !size_round_up(n_cols, UPG_COL_UNIT, &cols) || !size_mul(rows, cols, &n_weights) ||
        !size_mul(n_weights / 8, (size_t)k, &n_bits))
        return false;
    *n_bytes = n_bits;
    return true;
}

/* Symbol of a plane at step 0..7 of a lane.  `vectors` are the plane's 64-byte vectors: one with a
 * bit a step, or two with two bits a step, four steps each. */
static unsigned symbol(const uint8_t *vectors, int rate, size_t lane, int step)
{
    if (rate == 1)
        return (unsigned)vectors[lane] >> step & 1U;
    return (unsigned)vectors[(size_t)step / 4 * UPG_LANES + lane] >> step % 4 * 2 & 3U;
}

/* The six newest bits of a plane at a step, the newest symbol on top.  Symbols before the left edge
 * are 0. */
static unsigned window(const uint8_t *vectors, const uint8_t *previous, int rate, size_t lane,
                       int step)
{
    unsigned bits = 0;

    for (int age = 0; age < UPG_WINDOW_BITS / rate; age++) {
        const int at = step - age;
        const unsigned s = at >= 0    ? symbol(vectors, rate, lane, at)
                           : previous ? symbol(previous, rate, lane, at + UPG_STEPS)
                                      : 0;
        bits |= s << (UPG_WINDOW_BITS - rate * (age + 1));
    }
    return bits;
}

static int8_t decode_weight(const struct upg_code *code, const uint8_t *block,
                            const uint8_t *previous, size_t lane, int step)
{
    int value = 0;
    size_t plane_begin = 0;

    for (int plane = 0; plane < 2; plane++) {
        const int rate = code->rate[plane];
        const unsigned bits =
            window(block + plane_begin, previous ? previous + plane_begin : NULL, rate, lane, step);
        value += code->table[plane][(bits & 15U) ^ code->xor_map[plane][bits >> 4]];
        plane_begin += (size_t)rate * UPG_LANES;
    }
    return (int8_t)value;
}

void upg_decode_block(int k, const uint8_t *block, const uint8_t *previous,
                      int8_t out[UPG_ROW_BLOCK][UPG_COL_GROUP])
{
    const struct upg_code *code = upg_code_of(k);

    for (int step = 0; step < UPG_STEPS; step++)
        for (size_t lane = 0; lane < UPG_LANES; lane++)
            out[step * 16 + (int)lane / UPG_COL_GROUP][lane % UPG_COL_GROUP] =
                decode_weight(code, block, previous, lane, step);
}

/* Block (row block, column group) and, in *previous, its left neighbour. */
static const uint8_t *find_block(const struct upg_packed *packed, size_t row_block, size_t group,
                                 const uint8_t **previous)
{
    const size_t n_groups = packed->padded_cols / UPG_COL_GROUP;
    const size_t block_bytes = (size_t)packed->k * UPG_LANES;
    const uint8_t *block = packed->codes + (row_block * n_groups + group) * block_bytes;

    *previous = group > 0 ? block - block_bytes : NULL;
    return block;
}

/* One row of W', scales and gains applied, out[padded_cols]. */
static void decode_row(const struct upg_packed *packed, size_t row, float *out)
{
    const struct upg_code *code = upg_code_of(packed->k);
    const float scale = upg_f16_to_f32(packed->row_scale[row]);
    const int step = (int)(row % UPG_ROW_BLOCK / 16);

    for (size_t col = 0; col < packed->padded_cols; col++) {
        const uint8_t *previous;
        const uint8_t *block =
            find_block(packed, row / UPG_ROW_BLOCK, col / UPG_COL_GROUP, &previous);
        const size_t lane = row % 16 * UPG_COL_GROUP + col % UPG_COL_GROUP;
        out[col] = scale * packed->gain[col / UPG_SCALE_BLOCK] *
                   (float)decode_weight(code, block, previous, lane, step);
    }
}

/* Rows that the output side mixes with `row`: its Hadamard block. */
static size_t mixed_rows(const struct upg_packed *packed, size_t row, size_t *begin)
{
    if (!packed->has_output_transform) {
        *begin = row;
        return 1;
    }
    *begin = row - row % UPG_SCALE_BLOCK;
    return upg_hadamard_block(*begin, packed->padded_rows);
}

size_t upg_packed_row_scratch(const struct upg_packed *packed)
{
    return packed->padded_cols * (packed->has_output_transform ? (size_t)UPG_SCALE_BLOCK : 1U);
}

void upg_packed_rows(const struct upg_packed *packed, size_t begin, size_t n, float *out,
                     float *scratch)
{
    const size_t padded_cols = packed->padded_cols;

    for (size_t row = begin; row < begin + n;) {
        size_t first;
        const size_t n_mixed = mixed_rows(packed, row, &first);

        for (size_t i = 0; i < n_mixed; i++)
            decode_row(packed, first + i, scratch + i * padded_cols);
        if (packed->has_output_transform)
            upg_hadamard_columns(scratch, n_mixed, padded_cols, padded_cols);
        for (; row < begin + n && row < first + n_mixed; row++) {
            float *w = scratch + (row - first) * padded_cols;
            upg_transform_out(w, padded_cols, packed->seed_in); /* its own transpose's inverse */
            if (packed->has_output_transform && upg_transform_sign(packed->seed_out, row))
                for (size_t col = 0; col < packed->n_cols; col++)
                    w[col] = -w[col];
            memcpy(out + (row - begin) * packed->n_cols, w, packed->n_cols * sizeof *out);
        }
    }
}

/* y[128] of a row block: sums over all columns in float64, then the row scales. */
static void multiply_row_block(const struct upg_packed *packed, size_t row_block, const float *x,
                               float *y)
{
    double sum[UPG_ROW_BLOCK] = {0};

    for (size_t group = 0; group < packed->padded_cols / UPG_COL_GROUP; group++) {
        const uint8_t *previous;
        const uint8_t *block = find_block(packed, row_block, group, &previous);
        const size_t col = group * UPG_COL_GROUP;
        const double gain = (double)packed->gain[col / UPG_SCALE_BLOCK];
        int8_t v[UPG_ROW_BLOCK][UPG_COL_GROUP];

        upg_decode_block(packed->k, block, previous, v);
        for (size_t row = 0; row < UPG_ROW_BLOCK; row++)
            for (size_t c = 0; c < UPG_COL_GROUP; c++)
                sum[row] += gain * (double)x[col + c] * v[row][c];
    }
    for (size_t row = 0; row < UPG_ROW_BLOCK; row++) {
        const uint16_t scale = packed->row_scale[row_block * UPG_ROW_BLOCK + row];
        y[row] = (float)(sum[row] * (double)upg_f16_to_f32(scale));
    }
}

upg_status upg_packed_matvec(const struct upg_packed *packed, const float *x, float *y,
                             upg_error *err)
{
    const size_t n_values = packed->padded_cols + packed->padded_rows;
    float *scratch = upg_aligned_alloc(n_values, sizeof *scratch); /* zeroed */

    if (!scratch)
        return upg_fail_memory(err, "multiplying a packed matrix", n_values * sizeof *scratch);

    float *rotated = scratch, *sums = scratch + packed->padded_cols;
    memcpy(rotated, x, packed->n_cols * sizeof *x);
    upg_transform_in(rotated, packed->padded_cols, packed->seed_in);
    for (size_t row_block = 0; row_block < packed->padded_rows / UPG_ROW_BLOCK; row_block++)
        multiply_row_block(packed, row_block, rotated, sums + row_block * UPG_ROW_BLOCK);
    if (packed->has_output_transform)
        upg_transform_out(sums, packed->padded_rows, packed->seed_out);
    memcpy(y, sums, packed->n_rows * sizeof *y);
    free(scratch);
    return UPG_OK;
}
