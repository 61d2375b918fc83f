/* matmul.c -- plain matrices with NEON.
 *
 * One sum is 4 lanes: lane l takes columns l, l + 4, ... in order, the last ones padded with zeros,
 * and the lanes are added at the end.  Tiles of rows x tokens share loads, but never an accumulator,
 * so an output has the same bits in every tile.
 *   one token   8 rows x 1: 8 sums hide the latency of the additions; memory is the limit
 *   batches     4 rows x 4 tokens: 16 sums, 8 registers of activations, 2 of weights
 * Tokens are taken in blocks that stay in L2 while the rows pass by. */
#include "kernels/neon/neon.h"

#include "kernels/unroll.h"

#include <arm_neon.h>
#include <string.h>

enum weights { F32, BF16, F16, I8 };

enum {
    STEP = 8, /* columns at a time: two vectors */
    TILE_TOKENS = 4,
    MOST_ROWS = 8,
    MOST_SUMS = 16,
    X_BLOCK_BYTES = 192 * 1024 /* of x, at most, for one pass over the weights; L2 has 256 KiB */
};

#define INLINE static inline __attribute__((always_inline))

struct pair {
    float32x4_t low, high;
};

/* Nearest bfloat16, ties to even.  A product of int8 and a finite scale is no NaN. */
INLINE float32x4_t round_to_bf16(float32x4_t value)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(value);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t sum = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7FFF)), odd);

    return vreinterpretq_f32_u32(vandq_u32(sum, vdupq_n_u32(0xFFFF0000)));
}

/* 8 weights from `w` on. */
INLINE struct pair load_weights(enum weights type, const void *w, float scale)
{
    switch (type) {
    case F32: return (struct pair){vld1q_f32(w), vld1q_f32((const float *)w + 4)};
    case BF16: {
        const uint16x8_t halves = vld1q_u16(w);
        return (struct pair){vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(halves), 16)),
                             vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(halves), 16))};
    }
    case F16: {
        const float16x8_t halves = vreinterpretq_f16_u16(vld1q_u16(w));
        return (struct pair){vcvt_f32_f16(vget_low_f16(halves)),
                             vcvt_f32_f16(vget_high_f16(halves))};
    }
    case I8:
    default: {
        const int16x8_t words = vmovl_s8(vld1_s8(w));
        const float32x4_t low = vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
        const float32x4_t high = vcvtq_f32_s32(vmovl_s16(vget_high_s16(words)));
        return (struct pair){round_to_bf16(vmulq_n_f32(low, scale)),
                             round_to_bf16(vmulq_n_f32(high, scale))};
    }
    }
}

INLINE size_t bytes_of(enum weights type)
{
    return type == F32 ? 4 : type == I8 ? 1 : 2;
}

/* The arguments of a product, whatever its type. */
struct product {
    float *y;
    const void *w;
    const float *row_scale;
    const float *x;
    size_t y_stride, x_stride, n_rows, n_cols, n_tokens;
};

/* The last n (less than 8) elements at `from`, and zeros behind them. */
INLINE const void *padded(const void *from, size_t n, size_t element_bytes, uint8_t room[32])
{
    memset(room, 0, STEP * element_bytes);
    memcpy(room, from, n * element_bytes);
    return room;
}

/* Columns c to c + n - 1 of a tile, n = 8 but for the last ones; sum[n_rows][n_tokens]. */
INLINE void add_columns(enum weights type, const struct product *p, size_t row, size_t n_rows,
                        size_t token, size_t n_tokens, size_t c, size_t n,
                        const float scale[MOST_ROWS], float32x4_t sum[MOST_SUMS])
{
    uint8_t room[32];
    struct pair values[TILE_TOKENS];

    UPG_UNROLL
    for (size_t t = 0; t < n_tokens; t++) {
        const float *x = p->x + (token + t) * p->x_stride + c;
        values[t] = load_weights(F32, n < STEP ? padded(x, n, sizeof *x, room) : x, 1);
    }
    UPG_UNROLL
    for (size_t j = 0; j < n_rows * n_tokens; j++) {
        const size_t at = (row + j / n_tokens) * p->n_cols + c;
        const uint8_t *w = (const uint8_t *)p->w + at * bytes_of(type);
        const struct pair weights = load_weights(
            type, n < STEP ? padded(w, n, bytes_of(type), room) : w, scale[j / n_tokens]);
        const struct pair x = values[j % n_tokens];
        sum[j] = vfmaq_f32(vfmaq_f32(sum[j], weights.low, x.low), weights.high, x.high);
    }
}

/* y of rows [row, row + n_rows) and tokens [token, token + n_tokens); the counts are constants. */
INLINE void multiply_tile(enum weights type, const struct product *p, size_t row, size_t n_rows,
                          size_t token, size_t n_tokens)
{
    const size_t whole = p->n_cols / STEP * STEP;
    float32x4_t sum[MOST_SUMS];
    float scale[MOST_ROWS];

    UPG_UNROLL
    for (size_t r = 0; r < n_rows; r++)
        scale[r] = type == I8 ? p->row_scale[row + r] : 1;
    UPG_UNROLL
    for (size_t j = 0; j < n_rows * n_tokens; j++)
        sum[j] = vdupq_n_f32(0);
    for (size_t c = 0; c < whole; c += STEP)
        add_columns(type, p, row, n_rows, token, n_tokens, c, STEP, scale, sum);
    if (whole < p->n_cols)
        add_columns(type, p, row, n_rows, token, n_tokens, whole, p->n_cols - whole, scale, sum);
    UPG_UNROLL
    for (size_t j = 0; j < n_rows * n_tokens; j++)
        p->y[(token + j % n_tokens) * p->y_stride + row + j / n_tokens] = vaddvq_f32(sum[j]);
}

/* Rows [row, row + n_rows), n_rows constant, times tokens [begin, end). */
INLINE void multiply_rows(enum weights type, const struct product *p, size_t row, size_t n_rows,
                          size_t begin, size_t end)
{
    size_t t = begin;

    for (; t + TILE_TOKENS <= end; t += TILE_TOKENS)
        multiply_tile(type, p, row, n_rows, t, TILE_TOKENS);
    for (; t < end; t++)
        multiply_tile(type, p, row, n_rows, t, 1);
}

INLINE void multiply(enum weights type, const struct product *p)
{
    const size_t row_bytes = p->n_cols * sizeof(float);
    const size_t fitting = X_BLOCK_BYTES / row_bytes / TILE_TOKENS * TILE_TOKENS;
    const size_t block = fitting ? fitting : TILE_TOKENS;

    for (size_t begin = 0; begin < p->n_tokens; begin += block) {
        const size_t end = begin + block < p->n_tokens ? begin + block : p->n_tokens;
        size_t r = 0;

        if (end - begin == 1)
            for (; r + 8 <= p->n_rows; r += 8)
                multiply_tile(type, p, r, 8, begin, 1);
        for (; r + 4 <= p->n_rows; r += 4)
            multiply_rows(type, p, r, 4, begin, end);
        for (; r < p->n_rows; r++)
            multiply_rows(type, p, r, 1, begin, end);
    }
}

void upg_matmul_f32_neon(float *y, size_t y_stride, const float *w, const float *x, size_t x_stride,
                         size_t n_rows, size_t n_cols, size_t n_tokens)
{
    multiply(F32, &(struct product){y, w, NULL, x, y_stride, x_stride, n_rows, n_cols, n_tokens});
}

void upg_matmul_bf16_neon(float *y, size_t y_stride, const uint16_t *w, const float *x,
                          size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens)
{
    multiply(BF16, &(struct product){y, w, NULL, x, y_stride, x_stride, n_rows, n_cols, n_tokens});
}

void upg_matmul_f16_neon(float *y, size_t y_stride, const uint16_t *w, const float *x,
                         size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens)
{
    multiply(F16, &(struct product){y, w, NULL, x, y_stride, x_stride, n_rows, n_cols, n_tokens});
}

void upg_matmul_i8_rows_neon(float *y, size_t y_stride, const int8_t *w, const float *row_scale,
                             const float *x, size_t x_stride, size_t n_rows, size_t n_cols,
                             size_t n_tokens)
{
    multiply(I8,
             &(struct product){y, w, row_scale, x, y_stride, x_stride, n_rows, n_cols, n_tokens});
}
