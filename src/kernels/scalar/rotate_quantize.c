/* rotate_quantize.c -- activations for packed matrices: signs, Hadamard blocks, int8. */
#include "kernels/scalar/scalar.h"

#include "base/half.h"

#include <math.h>

/* One scale block of a token, values[n], from column `begin` of the rows on. */
static void quantize_block(const float *values, size_t n, struct upg_q8_rows *out, size_t token,
                           size_t begin)
{
    const size_t block = token * out->n_blocks + begin / UPG_SCALE_BLOCK;
    uint32_t largest_bits = 0; /* magnitudes order as their bits do, NaN above infinity */

    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = upg_f32_to_bits(values[i]) & 0x7FFFFFFFU;
        largest_bits = bits > largest_bits ? bits : largest_bits;
    }

    const float largest = upg_bits_to_f32(largest_bits);
    const bool usable = largest >= UPG_Q8_LEAST && isfinite(largest);
    const float inverse = usable ? 127 / largest : 0;

    out->scales[block] = usable ? largest / 127 : isfinite(largest) ? 0 : NAN;
    out->sums[block] = 0;
    for (size_t i = 0; i < n; i++) {
        const int8_t value = usable ? (int8_t)lrintf(values[i] * inverse) : 0;
        out->values[upg_q8_offset(out, token, begin + i)] = value;
        out->sums[block] += value;
    }
}

void upg_rotate_quantize_scalar(struct upg_q8_rows *out, const float *x, size_t x_stride,
                                size_t n_cols, uint64_t seed_in, size_t block_begin,
                                size_t block_end)
{
    float values[UPG_SCALE_BLOCK];

    for (size_t t = 0; t < out->n_tokens; t++)
        for (size_t h = block_begin; h < block_end; h++) {
            const size_t begin = h * UPG_SCALE_BLOCK;
            const size_t left = out->padded_cols - begin;
            const size_t n = left < UPG_SCALE_BLOCK ? left : UPG_SCALE_BLOCK;

            for (size_t i = 0; i < n; i++) {
                const float value = begin + i < n_cols ? x[t * x_stride + begin + i] : 0;
                values[i] = upg_transform_sign(seed_in, begin + i) ? -value : value;
            }
            for (size_t i = 0; i < n; i += upg_hadamard_block(i, n))
                upg_hadamard(values + i, upg_hadamard_block(i, n));
            quantize_block(values, n, out, t, begin);
        }
}
