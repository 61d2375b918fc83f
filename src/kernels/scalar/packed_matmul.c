/* packed_matmul.c -- packed matrix times quantized rows, decoded by the codec's reference. */
#include "kernels/scalar/scalar.h"

#include "base/half.h"

#include <math.h>

/* sums[128] = exact sums of one row block and one token over column groups [begin, end). */
static void sum_groups(const struct upg_packed *w, size_t row_block, size_t begin, size_t end,
                       const struct upg_q8_rows *x, size_t token, int32_t sums[UPG_ROW_BLOCK])
{
    const size_t block_bytes = (size_t)w->k * UPG_LANES;
    const uint8_t *row = w->codes + row_block * (w->padded_cols / UPG_COL_GROUP) * block_bytes;

    for (size_t r = 0; r < UPG_ROW_BLOCK; r++)
        sums[r] = 0;
    for (size_t g = begin; g < end; g++) {
        const uint8_t *block = row + g * block_bytes;
        const int8_t *values = x->values + upg_q8_offset(x, token, g * UPG_COL_GROUP);
        int8_t v[UPG_ROW_BLOCK][UPG_COL_GROUP];

        upg_decode_block(w->k, block, g ? block - block_bytes : NULL, v);
        for (size_t r = 0; r < UPG_ROW_BLOCK; r++)
            for (size_t c = 0; c < UPG_COL_GROUP; c++)
                sums[r] += v[r][c] * values[c];
    }
}

void upg_packed_matmul_scalar(float *y, size_t y_stride, const struct upg_packed *w,
                              const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                              void *scratch)
{
    const size_t n_groups = w->padded_cols / UPG_COL_GROUP;
    const size_t scale_groups = UPG_SCALE_BLOCK / UPG_COL_GROUP;

    (void)scratch;
    for (size_t block = block_begin; block < block_end; block++)
        for (size_t t = 0; t < x->n_tokens; t++) {
            float total[UPG_ROW_BLOCK] = {0};
            int32_t sums[UPG_ROW_BLOCK];

            for (size_t h = 0; h < x->n_blocks; h++) {
                const size_t begin = h * scale_groups;
                const size_t end =
                    begin + scale_groups < n_groups ? begin + scale_groups : n_groups;
                const float scale = w->gain[h] * x->scales[t * x->n_blocks + h];

                sum_groups(w, block, begin, end, x, t, sums);
                for (size_t r = 0; r < UPG_ROW_BLOCK; r++)
                    total[r] = fmaf((float)sums[r], scale, total[r]);
            }
            for (size_t r = 0; r < UPG_ROW_BLOCK; r++) {
                const size_t row = block * UPG_ROW_BLOCK + r;
                y[t * y_stride + row] = upg_f16_to_f32(w->row_scale[row]) * total[r];
            }
        }
}
