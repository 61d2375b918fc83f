/* codec.h -- the UPG code: k bits a weight as the sum of two table look-ups.  Specification:
 * docs/codec.md.
 *
 * A packed matrix is stored in row blocks of 128 rows, each a run of blocks of 128 rows x 4 columns
 * (64 k bytes).  Each of 64 byte lanes is a sequence of its own that goes down the rows of a block
 * and then on to the next block of the row block.  W[row][col] = row_scale[row] * gain[scale block
 * of col] * v with v an int8 of at most 63 in size, after the transform  W' = H_out D_out W D_in
 * H_in  (Hadamard blocks and random signs). */
#ifndef UPG_CODEC_CODEC_H
#define UPG_CODEC_CODEC_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    UPG_ROW_BLOCK = 128,   /* rows of a row block */
    UPG_COL_GROUP = 4,     /* columns of a block */
    UPG_LANES = 64,        /* sequences of a row block */
    UPG_STEPS = 8,         /* trellis steps of a block */
    UPG_SCALE_BLOCK = 256, /* columns that share a gain and an activation scale; also the largest
                              Hadamard block */
    UPG_COL_UNIT = 64,     /* columns are padded to a multiple of this */
    UPG_WINDOW_BITS = 6,   /* of each plane, whatever its rate */
    UPG_WEIGHT_LIMIT = 63  /* |v| at most */
};

/* The tables of one k: rates of the planes, xor map, values.  Index of window u (6 bits): (u & 15)
 * ^ xor_map[p][u >> 4]. */
struct upg_code {
    int rate[2]; /* bits a weight of plane a and plane b */
    uint8_t xor_map[2][4];
    int8_t table[2][16];
    float sigma; /* table units of one standard deviation of the source (for the encoder) */
};

/* k = 2, 3, 4; NULL for others. */
const struct upg_code *upg_code_of(int k);

/* A packed matrix, all pointers borrowed. */
struct upg_packed {
    int k;                 /* 2, 3, 4 */
    size_t n_rows, n_cols; /* of the matrix itself */
    size_t padded_rows;    /* multiple of UPG_ROW_BLOCK; rows behind n_rows decode to anything;
                              equals n_rows with an output transform */
    size_t padded_cols;    /* multiple of UPG_COL_UNIT; activations behind n_cols are 0 before the
                              transform */
    const uint8_t *codes;  /* [padded_rows / 128][padded_cols / 4][64 k], 64-byte aligned */
    const uint16_t *row_scale; /* [padded_rows] binary16; 0 for padding rows */
    const float *gain;         /* [ceil(padded_cols / 256)] */
    uint64_t seed_in;          /* signs of the columns */
    uint64_t seed_out;         /* signs of the rows; used only with has_output_transform */
    bool has_output_transform; /* false: rows decode alone (embedding) */
};

/* Bytes of codes for a matrix; false on overflow. */
bool upg_packed_code_bytes(int k, size_t n_rows, size_t n_cols, size_t *n_bytes);

/* Columns (or rows) of the Hadamard block that starts at `begin` of `n_padded`: the largest of 256,
 * 128, 64 that still fits.  Transforms and packed scale blocks walk a row by this. */
size_t upg_hadamard_block(size_t begin, size_t n_padded);

/* Decode block (row block, column group) to table units.  previous: the block to its left, NULL at
 * the left edge. */
void upg_decode_block(int k, const uint8_t *block, const uint8_t *previous,
                      int8_t out[UPG_ROW_BLOCK][UPG_COL_GROUP]);

/* In place x -> H x of one block of n = 64, 128 or 256 values, natural order, factor 1/sqrt(n).
 * Every kernel that does the same gives the same bits: float32 butterflies x[i], x[i+d] -> x[i] +
 * x[i+d], x[i] - x[i+d] at distances d = 1, 2, 4, ..., n/2 in this order (i without bit d), then
 * each value times the factor once: 0x1p-3 for 64, 0x1.6a09e6p-4 for 128, 0x1p-4 for 256. */
void upg_hadamard(float *x, size_t n);

/* The same down each column of x[n, n_cols], rows row_stride floats apart. */
void upg_hadamard_columns(float *x, size_t n, size_t row_stride, size_t n_cols);

/* Whether index i of a transformed dimension is negated: the top bit of upg_splitmix64(seed + i),
 * the sum taken modulo 2^64. */
bool upg_transform_sign(uint64_t seed, size_t index);

/* x[n_padded] -> H_in D_in x, in place: signs of `seed`, then blocks as upg_hadamard_block() says.
 */
void upg_transform_in(float *x, size_t n_padded, uint64_t seed);

/* y[n_padded] -> D_out H_out y, in place: the inverse of the output side. */
void upg_transform_out(float *y, size_t n_padded, uint64_t seed);

/* Reference: decode rows [begin, begin + n) to float32 in the original basis, out[n, n_cols].
 * Undoes both sides of the transform; with an output transform it decodes whole Hadamard blocks of
 * rows, so ask for many rows at once.  scratch: upg_packed_row_scratch() floats. */
size_t upg_packed_row_scratch(const struct upg_packed *packed);
void upg_packed_rows(const struct upg_packed *packed, size_t begin, size_t n, float *out,
                     float *scratch);

/* Reference: y[n_rows] = W x[n_cols] in float32 with float64 sums, from the codes. */
upg_status upg_packed_matvec(const struct upg_packed *packed, const float *x, float *y,
                             upg_error *err);

#endif
