/* packed_fma.c -- packed matrices with AVX2 alone. */
#include "kernels/avx2/decode_fma.h"

enum { TILE_TOKENS = 2 }; /* 8 sums, and two temporaries for each product */

/* Pairs of products fit into 16 bits: 2 * 127 * 127 < 32768. */
INLINE __m256i multiply_add(__m256i sum, __m256i weights, __m256i values)
{
    const __m256i pairs = _mm256_maddubs_epi16(weights, values);

    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#include "kernels/avx2/packed_body.h"

void upg_packed_matmul_avx2_fma(float *y, size_t y_stride, const struct upg_packed *w,
                                const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                                void *scratch)
{
    packed_matmul(y, y_stride, w, x, block_begin, block_end, scratch);
}
