/* coded.c -- products with the codes of caches, decoded in registers, with NEON.
 *
 * A tile is 4 rows x up to 4 tokens, the query heads that share a key head in Phi-4.  A sum is 4
 * lanes, columns l, l + 4, ... each. */
#include "kernels/neon/neon.h"

#include "kernels/coded.h"
#include "kernels/unroll.h"

#include <arm_neon.h>
#include <string.h>

enum { ROWS = 4, TOKENS = 4, LANES = 4 };

#define INLINE static inline __attribute__((always_inline))

/* 4 bytes, widened. */
INLINE uint16x4_t load_bytes(const uint8_t *from)
{
    uint32_t bytes;

    memcpy(&bytes, from, sizeof bytes);
    return vget_low_u16(vmovl_u8(vcreate_u8(bytes)));
}

/* Columns c to c + 3 of a row. */
INLINE float32x4_t load_weights(bool keys, int bits, const struct upg_coded *p, size_t row,
                                size_t c)
{
    const uint16_t *scales = upg_code_scale(keys, p, row, c);
    const uint16x4_t bytes = load_bytes(upg_code_at(keys, bits, p, row, c));
    const uint16x4_t halves = keys ? vld1_dup_u16(scales) : vld1_u16(scales);
    const float32x4_t scale = vcvt_f32_f16(vreinterpret_f16_u16(halves));
    float32x4_t values;

    if (bits == 8) { /* the sign bit into the top, and back */
        const int16x4_t words = vshr_n_s16(vreinterpret_s16_u16(vshl_n_u16(bytes, 8)), 8);
        values = vcvtq_f32_s32(vmovl_s16(words));
    } else {
        const int16x4_t shift = vdup_n_s16((int16_t)-upg_code_shift(keys, row, c));
        const uint16x4_t codes = vand_u16(vshl_u16(bytes, shift), vdup_n_u16(15));
        values = vsubq_f32(vcvtq_f32_u32(vmovl_u16(codes)), vdupq_n_f32(7.5F));
    }
    return vmulq_f32(values, scale);
}

/* The sums of the lanes of each. */
INLINE float32x4_t add_lanes(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d)
{
    return vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d));
}

/* Rows [row, row + 4) times tokens [token, token + n_tokens); n_tokens is a constant. */
INLINE void multiply_tile(bool keys, int bits, const struct upg_coded *p, size_t row, size_t token,
                          size_t n_tokens)
{
    float32x4_t sum[ROWS * TOKENS]; /* [n_tokens][ROWS] */

    UPG_UNROLL
    for (size_t j = 0; j < ROWS * n_tokens; j++)
        sum[j] = vdupq_n_f32(0);
    for (size_t c = 0; c < p->n_cols; c += LANES) {
        float32x4_t weights[ROWS];

        UPG_UNROLL
        for (size_t r = 0; r < ROWS; r++)
            weights[r] = load_weights(keys, bits, p, row + r, c);
        UPG_UNROLL
        for (size_t j = 0; j < ROWS * n_tokens; j++)
            sum[j] = vfmaq_f32(sum[j], weights[j % ROWS],
                               vld1q_f32(p->x + (token + j / ROWS) * p->x_stride + c));
    }
    UPG_UNROLL
    for (size_t t = 0; t < n_tokens; t++)
        vst1q_f32(
            p->y + (token + t) * p->y_stride + row,
            add_lanes(sum[ROWS * t], sum[ROWS * t + 1], sum[ROWS * t + 2], sum[ROWS * t + 3]));
}

/* An output has the same bits in every tile: no two share an accumulator. */
INLINE void multiply(bool keys, int bits, const struct upg_coded *p)
{
    for (size_t row = 0; row < p->n_rows; row += ROWS)
        for (size_t token = 0; token < p->n_tokens; token += TOKENS)
            switch (p->n_tokens - token) {
            case 1: multiply_tile(keys, bits, p, row, token, 1); break;
            case 2: multiply_tile(keys, bits, p, row, token, 2); break;
            case 3: multiply_tile(keys, bits, p, row, token, 3); break;
            default: multiply_tile(keys, bits, p, row, token, 4); break;
            }
}

void upg_coded_keys_neon(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                         const float *x, size_t x_stride, size_t n_tokens)
{
    const struct upg_coded p =
        upg_open_coded(true, side, head_dim, y, y_stride, x, x_stride, n_tokens);

    if (bits == 8)
        multiply(true, 8, &p);
    else
        multiply(true, 4, &p);
}

void upg_coded_values_neon(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                           const float *x, size_t x_stride, size_t n_tokens)
{
    const struct upg_coded p =
        upg_open_coded(false, side, head_dim, y, y_stride, x, x_stride, n_tokens);

    if (bits == 8)
        multiply(false, 8, &p);
    else
        multiply(false, 4, &p);
}
