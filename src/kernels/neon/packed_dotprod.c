/* packed_dotprod.c -- packed matrices with the dot products of Armv8.2. */
#include "kernels/neon/decode.h"

INLINE int32x4_t multiply_add(int32x4_t sum, int8x16_t weights, int8x16_t values)
{
    return vdotq_s32(sum, weights, values);
}

#include "kernels/neon/packed_body.h"

void upg_packed_matmul_neon_dotprod(float *y, size_t y_stride, const struct upg_packed *w,
                                    const struct upg_q8_rows *x, size_t block_begin,
                                    size_t block_end, void *scratch)
{
    packed_matmul(y, y_stride, w, x, block_begin, block_end, scratch);
}
