/* coded.c -- products with the codes of caches, in the order of the formula. */
#include "kernels/scalar/scalar.h"

#include "base/half.h"
#include "kernels/coded.h"

static void multiply(bool keys, int bits, const struct upg_coded *p)
{
    for (size_t t = 0; t < p->n_tokens; t++)
        for (size_t r = 0; r < p->n_rows; r++) {
            float sum = 0;
            for (size_t c = 0; c < p->n_cols; c++) {
                const uint8_t byte = *upg_code_at(keys, bits, p, r, c);
                const float code = bits == 8
                                       ? (float)(int8_t)byte
                                       : (float)(byte >> upg_code_shift(keys, r, c) & 15) - 7.5F;
                const uint16_t scale = *upg_code_scale(keys, p, r, c);
                sum += code * upg_f16_to_f32(scale) * p->x[t * p->x_stride + c];
            }
            p->y[t * p->y_stride + r] = sum;
        }
}

void upg_coded_keys_scalar(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                           const float *x, size_t x_stride, size_t n_tokens)
{
    const struct upg_coded p =
        upg_open_coded(true, side, head_dim, y, y_stride, x, x_stride, n_tokens);

    multiply(true, bits, &p);
}

void upg_coded_values_scalar(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                             const float *x, size_t x_stride, size_t n_tokens)
{
    const struct upg_coded p =
        upg_open_coded(false, side, head_dim, y, y_stride, x, x_stride, n_tokens);

    multiply(false, bits, &p);
}
