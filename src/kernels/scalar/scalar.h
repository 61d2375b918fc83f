/* scalar.h -- the kernels that read as the specification; described in kernels.h. */
#ifndef UPG_KERNELS_SCALAR_H
#define UPG_KERNELS_SCALAR_H

#include "kernels/kernels.h"

void upg_matmul_f32_scalar(float *y, size_t y_stride, const float *w, const float *x,
                           size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens);
void upg_matmul_bf16_scalar(float *y, size_t y_stride, const uint16_t *w, const float *x,
                            size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens);
void upg_matmul_f16_scalar(float *y, size_t y_stride, const uint16_t *w, const float *x,
                           size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens);
void upg_matmul_i8_rows_scalar(float *y, size_t y_stride, const int8_t *w, const float *row_scale,
                               const float *x, size_t x_stride, size_t n_rows, size_t n_cols,
                               size_t n_tokens);
void upg_rms_norm_scalar(float *out, const float *x, const float *weight, size_t n, float eps);
void upg_silu_gate_scalar(float *out, const float *gate, const float *up, size_t n);
float upg_running_softmax_scalar(float *scores, size_t n_visible, float *greatest, float *total);
void upg_scale_add_scalar(float *y, float factor, const float *x, size_t n);
void upg_rotate_quantize_scalar(struct upg_q8_rows *out, const float *x, size_t x_stride,
                                size_t n_cols, uint64_t seed_in, size_t block_begin,
                                size_t block_end);
void upg_packed_matmul_scalar(float *y, size_t y_stride, const struct upg_packed *w,
                              const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                              void *scratch);
double upg_int8_products_scalar(size_t n_rounds);
void upg_read_scalar(const uint8_t *bytes, size_t n_bytes);
void upg_coded_keys_scalar(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                           const float *x, size_t x_stride, size_t n_tokens);
void upg_coded_values_scalar(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                             const float *x, size_t x_stride, size_t n_tokens);

#endif
