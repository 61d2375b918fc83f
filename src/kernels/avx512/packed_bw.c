/* packed_bw.c -- packed matrices with AVX-512 BW alone. */
#include "kernels/avx512/decode_bw.h"

/* Pairs of products fit into 16 bits: 2 * 127 * 127 < 32768. */
INLINE __m512i multiply_add(__m512i sum, __m512i weights, __m512i values)
{
    const __m512i pairs = _mm512_maddubs_epi16(weights, values);

    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

#include "kernels/avx512/packed_body.h"

void upg_packed_matmul_avx512_bw(float *y, size_t y_stride, const struct upg_packed *w,
                                 const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                                 void *scratch)
{
    packed_matmul(y, y_stride, w, x, block_begin, block_end, scratch);
}
