/* packed_base.c -- packed matrices with NEON of any AArch64 CPU. */
#include "kernels/neon/decode.h"

/* Pairs of products fit into 16 bits: 2 * 63 * 127 < 32768. */
INLINE int32x4_t multiply_add(int32x4_t sum, int8x16_t weights, int8x16_t values)
{
    const int16x8_t low = vmull_s8(vget_low_s8(weights), vget_low_s8(values));
    const int16x8_t high = vmull_high_s8(weights, values);

    return vpadalq_s16(sum, vpaddq_s16(low, high));
}

#include "kernels/neon/packed_body.h"

void upg_packed_matmul_neon_base(float *y, size_t y_stride, const struct upg_packed *w,
                                 const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                                 void *scratch)
{
    packed_matmul(y, y_stride, w, x, block_begin, block_end, scratch);
}
