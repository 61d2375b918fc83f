/* packed_vnni.c -- packed matrices with AVX-512 BW and VNNI. */
#include "kernels/avx512/decode_bw.h"

INLINE __m512i multiply_add(__m512i sum, __m512i weights, __m512i values)
{
    return _mm512_dpbusd_epi32(sum, weights, values);
}

#include "kernels/avx512/packed_body.h"

void upg_packed_matmul_avx512_vnni(float *y, size_t y_stride, const struct upg_packed *w,
                                   const struct upg_q8_rows *x, size_t block_begin,
                                   size_t block_end, void *scratch)
{
    packed_matmul(y, y_stride, w, x, block_begin, block_end, scratch);
}
