/* matmul.c -- plain matrices times rows of float32, in the order of the formula. */
#include "kernels/scalar/scalar.h"

#include "base/half.h"

void upg_matmul_f32_scalar(float *y, size_t y_stride, const float *w, const float *x,
                           size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens)
{
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t r = 0; r < n_rows; r++) {
            float sum = 0;
            for (size_t c = 0; c < n_cols; c++)
                sum += w[r * n_cols + c] * x[t * x_stride + c];
            y[t * y_stride + r] = sum;
        }
}

void upg_matmul_bf16_scalar(float *y, size_t y_stride, const uint16_t *w, const float *x,
                            size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens)
{
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t r = 0; r < n_rows; r++) {
            float sum = 0;
            for (size_t c = 0; c < n_cols; c++)
                sum += upg_bf16_to_f32(w[r * n_cols + c]) * x[t * x_stride + c];
            y[t * y_stride + r] = sum;
        }
}

void upg_matmul_f16_scalar(float *y, size_t y_stride, const uint16_t *w, const float *x,
                           size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens)
{
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t r = 0; r < n_rows; r++) {
            float sum = 0;
            for (size_t c = 0; c < n_cols; c++)
                sum += upg_f16_to_f32(w[r * n_cols + c]) * x[t * x_stride + c];
            y[t * y_stride + r] = sum;
        }
}

void upg_matmul_i8_rows_scalar(float *y, size_t y_stride, const int8_t *w, const float *row_scale,
                               const float *x, size_t x_stride, size_t n_rows, size_t n_cols,
                               size_t n_tokens)
{
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t r = 0; r < n_rows; r++) {
            float sum = 0;
            for (size_t c = 0; c < n_cols; c++) {
                const float weight = (float)w[r * n_cols + c] * row_scale[r];
                sum += upg_bf16_to_f32(upg_f32_to_bf16(weight)) * x[t * x_stride + c];
            }
            y[t * y_stride + r] = sum;
        }
}
