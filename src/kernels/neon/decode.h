/* decode.h -- 128 weights of a block with NEON: a quarter of its lanes, 4 rows x 4 columns a step.
 *
 * Shuffles look up 16 entries, so the index of a window is put together from the nibbles that it
 * touches (windows.h).  tbl wants indices below 16; shifts stay within bytes. */
#ifndef UPG_KERNELS_NEON_DECODE_H
#define UPG_KERNELS_NEON_DECODE_H

#include "kernels/chunk.h"
#include "kernels/unroll.h"
#include "kernels/windows.h"

#include <arm_neon.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { QUARTERS = 4, N_VECTORS = UPG_STEPS * QUARTERS };

/* Look-ups of one plane: value[index], and parts of indices by a nibble whose lowest bit is this
 * bit of the window. */
struct plane {
    int8x16_t value;
    uint8x16_t at1, at2, at3, at4;
};

struct decoder {
    struct plane planes[2];
};

/* Of the last vector of each plane: the whole of it, and its high nibbles. */
struct quarter_carry {
    uint8x16_t planes[2][2];
};

struct carry {
    struct quarter_carry quarters[QUARTERS];
};

INLINE uint8x16_t nibble_part(const struct upg_code *code, int plane, int shift)
{
    uint8_t part[16];

    upg_nibble_part(code, plane, shift, part);
    return vld1q_u8(part);
}

INLINE struct plane plane_of(const struct upg_code *code, int plane)
{
    return (struct plane){vld1q_s8(code->table[plane]), nibble_part(code, plane, 1),
                          nibble_part(code, plane, 2), nibble_part(code, plane, 3),
                          nibble_part(code, plane, 4)};
}

/* Weights stay signed: offset must be 0. */
INLINE struct decoder decoder_of(int k, int offset)
{
    const struct upg_code *code = upg_code_of(k);

    assert(offset == 0 && upg_windows_linear(code));
    (void)offset;
    return (struct decoder){{plane_of(code, 0), plane_of(code, 1)}};
}

/* The state at the left edge of a row block: all symbols before it are 0. */
INLINE struct carry left_edge(void)
{
    struct carry carry;

    memset(&carry, 0, sizeof carry);
    return carry;
}

/* Nibbles of a plane's stream that the windows of a block touch.
 *   rate 1   bits -4 .. -1, 0 .. 3, 4 .. 7.  Steps 0 and 4 also need bits -5 and 4, but at the ends
 *            of their windows, where a bit counts as 1 in the index: `ends` has the sums of both
 *            ends in bits 0 and 4
 *   rate 2   symbols -2 and -1, 0 and 1, ..., 6 and 7 */
struct windows {
    uint8x16_t nibbles[5], ends;
};

INLINE struct windows open_plane(int rate, const uint8x16_t *bits, uint8x16_t carried[2])
{
    struct windows w;

    w.nibbles[0] = carried[1];
    w.nibbles[1] = vandq_u8(bits[0], vdupq_n_u8(15));
    w.nibbles[2] = vshrq_n_u8(bits[0], 4);
    if (rate == 1) {
        w.ends = veorq_u8(vshrq_n_u8(carried[0], 3), bits[0]);
        carried[0] = bits[0];
        carried[1] = w.nibbles[2];
    } else {
        w.nibbles[3] = vandq_u8(bits[1], vdupq_n_u8(15));
        w.nibbles[4] = vshrq_n_u8(bits[1], 4);
        carried[1] = w.nibbles[4];
    }
    return w;
}

/* The plane's part of the weights of one step; rate and step are constants. */
INLINE int8x16_t value_at(const struct plane *p, int rate, const struct windows *w, int step)
{
    const int at = rate == 2 ? step / 2 : step / 4; /* the window begins in this nibble */
    const uint8x16_t before = w->nibbles[at], after = w->nibbles[at + 1];
    uint8x16_t index;

    switch (rate == 2 ? step % 2 * 2 + 1 : step % 4) {
    case 0: {
        const uint8x16_t ends = step == 0 ? w->ends : vshrq_n_u8(w->ends, 4);
        index = veorq_u8(vandq_u8(ends, vdupq_n_u8(1)), vqtbl1q_u8(p->at1, before));
        break;
    }
    case 1: index = veorq_u8(before, vqtbl1q_u8(p->at4, after)); break;
    case 2: index = veorq_u8(vshrq_n_u8(before, 1), vqtbl1q_u8(p->at3, after)); break;
    default: index = veorq_u8(vshrq_n_u8(before, 2), vqtbl1q_u8(p->at2, after)); break;
    }
    return vqtbl1q_s8(p->value, index);
}

struct quarter_block {
    struct windows planes[2];
};

/* A code's rates as constants, which those of struct upg_code are not. */
INLINE int rate_of(int k, int plane)
{
    return plane == 0 ? (k == 2 ? 1 : 2) : (k == 4 ? 2 : 1);
}

/* Lanes 16 quarter .. 16 quarter + 15 of a block. */
INLINE struct quarter_block open_quarter(int k, const uint8_t *codes, size_t quarter,
                                         struct quarter_carry *carry)
{
    uint8x16_t vectors[4];

    for (int i = 0; i < k; i++)
        vectors[i] = vld1q_u8(codes + UPG_LANES * i + 16 * quarter);
    return (struct quarter_block){
        {open_plane(rate_of(k, 0), vectors, carry->planes[0]),
         open_plane(rate_of(k, 1), vectors + rate_of(k, 0), carry->planes[1])}};
}

/* Rows 16 step + 4 quarter .. + 3 of a block, 4 columns each. */
INLINE int8x16_t weights_at(int k, const struct decoder *d, const struct quarter_block *block,
                            int step)
{
    return vaddq_s8(value_at(&d->planes[0], rate_of(k, 0), &block->planes[0], step),
                    value_at(&d->planes[1], rate_of(k, 1), &block->planes[1], step));
}

/* sum + scale * products, as kernels.h says. */
INLINE void add_scaled(float *sum, int32x4_t products, const struct upg_q8_rows *x, size_t token,
                       size_t h, float gain)
{
    const float scale = gain * x->scales[token * x->n_blocks + h];

    vst1q_f32(sum, vfmaq_n_f32(vld1q_f32(sum), vcvtq_f32_s32(products), scale));
}

/* y[128] = row scales times sums. */
INLINE void store_rows(float *y, const uint16_t *row_scale, const float sums[UPG_ROW_BLOCK])
{
    for (size_t r = 0; r < UPG_ROW_BLOCK; r += 4) {
        const float32x4_t scale = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(row_scale + r)));
        vst1q_f32(y + r, vmulq_f32(scale, vld1q_f32(sums + r)));
    }
}

#endif
