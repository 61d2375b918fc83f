/* rotate_quantize.c -- activations for packed matrices: signs, Hadamard blocks, int8. */
#include "kernels/scalar/scalar.h"

#include "base/half.h"

#include <math.h>

/* One scale block of a token: values[n] -> out[n]. */
static void quantize_block(const float *values, size_t n, int8_t *out, float *scale, int32_t *sum)
{
    uint32_t largest_bits = 0; /* magnitudes order as their bits do, NaN above infinity */

    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = upg_f32_to_bits(values[i]) & 0x7FFFFFFFu;
        largest_bits = bits > largest_bits ? bits : largest_bits;
    }

    const float largest = upg_bits_to_f32(largest_bits);
    const bool usable = largest >= UPG_Q8_LEAST && isfinite(largest);
    const float inverse = usable ? 127 / largest : 0;

    *scale = usable ? largest / 127 : isfinite(largest) ? 0 : NAN;
    *sum = 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = usable ? (int8_t)lrintf(values[i] * inverse) : 0;
        *sum += out[i];
    }
}

void upg_rotate_quantize_scalar(struct upg_q8_rows *out, const float *x, size_t x_stride,
                                size_t n_cols, uint64_t seed_in)
{
    float values[UPG_SCALE_BLOCK];

    for (size_t t = 0; t < out->n_tokens; t++)
        for (size_t h = 0; h < out->n_blocks; h++) {
            const size_t begin = h * UPG_SCALE_BLOCK;
            const size_t left = out->padded_cols - begin;
            const size_t n = left < UPG_SCALE_BLOCK ? left : UPG_SCALE_BLOCK;

            for (size_t i = 0; i < n; i++) {
                const float value = begin + i < n_cols ? x[t * x_stride + begin + i] : 0;
                values[i] = upg_transform_sign(seed_in, begin + i) ? -value : value;
            }
            for (size_t i = 0; i < n; i += upg_hadamard_block(i, n))
                upg_hadamard(values + i, upg_hadamard_block(i, n));
            quantize_block(values, n, out->values + t * out->padded_cols + begin,
                           &out->scales[t * out->n_blocks + h], &out->sums[t * out->n_blocks + h]);
        }
}
