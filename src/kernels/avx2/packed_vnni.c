/* packed_vnni.c -- packed matrices with AVX2, AVX-VNNI and GFNI. */
#include "kernels/avx2/decode_gfni.h"

enum { TILE_TOKENS = 3 }; /* 12 sums, 3 activations, a vector of weights: 16 registers */

INLINE __m256i multiply_add(__m256i sum, __m256i weights, __m256i values)
{
    return _mm256_dpbusd_avx_epi32(sum, weights, values);
}

#include "kernels/avx2/packed_body.h"

void upg_packed_matmul_avx2_vnni(float *y, size_t y_stride, const struct upg_packed *w,
                                 const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                                 void *scratch)
{
    packed_matmul(y, y_stride, w, x, block_begin, block_end, scratch);
}
