/* kernels.h -- the kernel table: the only place where a kernel is described.
 *
 * One struct of pointers; scalar/ fills all of it and reads like the specification; a tier
 * overwrites what it does better.  Nothing outside this room knows an instruction set, and no
 * kernel knows threads, files or models.
 *
 * Promise on which "same text alone or in a batch" rests: for given weights, the result for one
 * token does not depend on n_tokens nor on the other tokens (each output has one fixed order of
 * summation within a tier).
 *
 * Strides are in elements.  Pointers need the alignment of their type unless said otherwise;
 * nothing is read or written outside the shapes. */
#ifndef UPG_KERNELS_KERNELS_H
#define UPG_KERNELS_KERNELS_H

#include "codec/codec.h"

/* A block whose largest magnitude is below this counts as all zero (its values have no place in
 * float32 sums of other blocks, and 127 / magnitude must be finite). */
#define UPG_Q8_LEAST 0x1p-100F

/* silu() of a gate below about -83. */
#define UPG_SILU_LEAST 0x1p-113F

/* Exponentials below this may count as 0. */
#define UPG_EXP_LEAST 0x1p-125F

/* Activations prepared for packed matrices: rotated, quantized to int8 with one scale a scale
 * block.  Values lie in tiles of 16 tokens x 64 columns, as matrix units load them; the last tokens
 * in lower tiles.  One row is 64-byte aligned columns in order. */
enum { UPG_Q8_TOKENS = 16, UPG_Q8_COLS = 64 };

struct upg_q8_rows {
    int8_t *values; /* n_tokens * padded_cols, at upg_q8_offset(); 64-byte aligned */
    float *scales;  /* [n_tokens, n_blocks], n_blocks = ceil(padded_cols / 256): max|x| / 127 */
    int32_t *sums;  /* [n_tokens, n_blocks] sum of the block's values (for kernels that offset
                       weights by 64) */
    size_t n_tokens, padded_cols, n_blocks;
};

/* Tokens of the tiles that hold `token`. */
static inline size_t upg_q8_height(const struct upg_q8_rows *x, size_t token)
{
    const size_t left = x->n_tokens - token / UPG_Q8_TOKENS * UPG_Q8_TOKENS;

    return left < UPG_Q8_TOKENS ? left : UPG_Q8_TOKENS;
}

/* Where the value of a token and a column is. */
static inline size_t upg_q8_offset(const struct upg_q8_rows *x, size_t token, size_t col)
{
    const size_t row = token % UPG_Q8_TOKENS;
    const size_t tile_row = col / UPG_Q8_COLS * upg_q8_height(x, token) + row;

    return (token - row) * x->padded_cols + tile_row * UPG_Q8_COLS + col % UPG_Q8_COLS;
}

/* Coded keys and values of a block of UPG_CODED_TOKENS tokens of one head, as caches hold them: a
 * side is float16 scales and behind them codes.
 *     keys    scales [32 tokens, n_groups], codes of 8 bits [32, head_dim], of 4 [32, n_groups, 16]
 *     values  scales [n_groups, 32 tokens], codes of 8 bits [head_dim, 32], of 4 [n_groups, 16, 32]
 * with n_groups = head_dim / UPG_CODED_GROUP.  A value is scale * code with 8 bits (int8), scale *
 * (code - 7.5) with 4 (0 .. 15); values i and i + 16 of a group share a byte, the first in its low
 * half. */
enum { UPG_CODED_TOKENS = 32, UPG_CODED_GROUP = 32 };

struct upg_kernels {
    const char *tier; /* "scalar", "avx2-fma", "avx2-vnni", "avx512-bw", "avx512-vnni",
                         "avx512-vbmi", "amx", "neon-base", "neon-dotprod",
                         "neon-i8mm" */

    /* Bytes that packed_matmul() needs as scratch, whatever the shapes and n_tokens; a multiple of
     * 64, may be 0. */
    size_t scratch_bytes;

    /* y[t, r] = sum over c of w[r, c] * x[t, c], r < n_rows, t < n_tokens, c < n_cols (any n >= 1).
     * Float32 products and sums: within (n_cols + 2) 2^-24 sum |w x|; tiers sum in other orders
     * than scalar.  y[t, r] depends on row r and token t alone, not on the sizes. */
    void (*matmul_f32)(float *y, size_t y_stride, const float *w, const float *x, size_t x_stride,
                       size_t n_rows, size_t n_cols, size_t n_tokens);
    void (*matmul_bf16)(float *y, size_t y_stride, const uint16_t *w, const float *x,
                        size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens);
    void (*matmul_f16)(float *y, size_t y_stride, const uint16_t *w, const float *x,
                       size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens);
    /* w[r, c] = bf16(int8 * row_scale[r]), rounded to nearest even before the product. */
    void (*matmul_i8_rows)(float *y, size_t y_stride, const int8_t *w, const float *row_scale,
                           const float *x, size_t x_stride, size_t n_rows, size_t n_cols,
                           size_t n_tokens);

    /* out[i] = weight[i] * x[i] / sqrt(mean(x^2) + eps), i < n; out may be x.  Zhang & Sennrich
     * 2019 (RMSNorm).  Sums in float64; within 4 ulps. */
    void (*rms_norm)(float *out, const float *x, const float *weight, size_t n, float eps);

    /* out[i] = up[i] * silu(gate[i]),  silu(g) = g / (1 + exp(-g)), i < n; out may be gate or up.
     * Shazeer 2020 (SwiGLU).  Within 4 ulps of the exact value; where |silu| is below
     * UPG_SILU_LEAST it may count as 0.  Depends on gate[i] and up[i] alone, not on i and n. */
    void (*silu_gate)(float *out, const float *gate, const float *up, size_t n);

    /* One step of a softmax over positions, a block at a time (Milakov & Gimelshein 2018): with m =
     * max(*greatest, scores[i]), i < n_visible (1 .. 32), scores become exp(scores[i] - m), 0 from
     * n_visible on, *total becomes *total decay + their sum, and *greatest m.  Returns decay =
     * exp(*greatest before - m), 0 if that was -INFINITY.  Exponentials within 2 ulps; below
     * UPG_EXP_LEAST they may count as 0. */
    float (*running_softmax)(float scores[UPG_CODED_TOKENS], size_t n_visible, float *greatest,
                             float *total);

    /* y[i] = y[i] * factor + x[i], i < n.  Within 1 ulp of |y factor| + |x|. */
    void (*scale_add)(float *y, float factor, const float *x, size_t n);

    /* Rotated and quantized rows, scale blocks [block_begin, block_end) of all tokens:
     *   x  [n_tokens, n_cols] with row stride x_stride; columns n_cols .. padded_cols - 1 count as 0
     * With v = H_in D_in x and largest = max |v| of a scale block: scale = largest / 127, inverse =
     * 127 / largest (both rounded to float32), values = nearest even integers to v * inverse.
     * Below UPG_Q8_LEAST scale and values are 0; if the block holds an infinity or a NaN, values
     * are 0 and scale is NaN, so that it shows in the outputs.
     * Exact: all tiers give the same bits (same order of the butterflies, same rounding). */
    void (*rotate_quantize)(struct upg_q8_rows *out, const float *x, size_t x_stride, size_t n_cols,
                            uint64_t seed_in, size_t block_begin, size_t block_end);

    /* Packed matrix times quantized rows, row blocks [block_begin, block_end) only:
     *   y[t, r] = row_scale[r] * F,  F = fma((float)acc_h, gain[h] * scale[t, h], F) for h
     *   ascending from F = 0, acc_h = exact int32 sum over the columns of scale block h of
     *   v[r, c] * values[t, c]
     *   y        [n_tokens, y_stride], y_stride >= padded_rows; written for all padded rows of
     *            these row blocks
     *   scratch  scratch_bytes of this table, 64-byte aligned, of this thread alone
     * Exact: all tiers give the same bits, so does every n_tokens.  The output transform is the
     * caller's.  Prefetches, but does not read, behind the codes. */
    void (*packed_matmul)(float *y, size_t y_stride, const struct upg_packed *w,
                          const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                          void *scratch);

    /* y[n_padded] -> D_out H_out y in place; exact: all tiers give the same bits as
     * upg_transform_out(). */
    void (*transform_out)(float *y, size_t n_padded, uint64_t seed);

    /* Products with a coded side, bits 8 or 4, head_dim a multiple of 32:
     *   keys    y[t, j] = sum over c < head_dim of key[j, c] * x[t, c],    j < 32
     *   values  y[t, i] = sum over j < 32 of value[i, j] * x[t, j],        i < head_dim
     * Codes are decoded in registers.  Within (n_cols + 4) 2^-24 sum |w x|, where a weight's own
     * magnitude is scale * (|code| + 7.5) with 4 bits; y of a token depends on that token alone. */
    void (*coded_keys)(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                       const float *x, size_t x_stride, size_t n_tokens);
    void (*coded_values)(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                         const float *x, size_t x_stride, size_t n_tokens);

    /* The limits that figures of speed stand beside.
     *
     * n rounds of int8 products on operands in registers, by the instructions that packed_matmul()
     * of this tier multiplies batches with; returns the operations of one round, a product and its
     * addition being two. */
    double (*int8_products)(size_t n_rounds);
    /* Read n_bytes (a multiple of 256; 64-byte aligned) once, as fast as it goes.  Prefetches behind
     * the end. */
    void (*read)(const uint8_t *bytes, size_t n_bytes);
};

/* Fill the table with the best that this CPU has and `highest` allows: the name of a tier, or of a
 * family of tiers ("avx2", "avx512", "neon"), which allows its highest; NULL or "": no limit.
 * why (may be NULL) receives a sentence in why[n_why] that says which tier is in use and why no
 * higher one.  UPG_ERR_ARGUMENT for a name that this architecture does not have (kernels is
 * untouched). */
upg_status upg_kernels_init(struct upg_kernels *kernels, const char *highest, char *why,
                            size_t n_why, upg_error *err);

#endif
