/* neon.h -- the kernels of the NEON tiers; described in kernels.h. */
#ifndef UPG_KERNELS_NEON_H
#define UPG_KERNELS_NEON_H

#include "kernels/kernels.h"

/* Any AArch64 CPU; then the dot products of Armv8.2 too; then the matrix products of Armv8.6. */
void upg_kernels_fill_neon_base(struct upg_kernels *kernels);
void upg_kernels_fill_neon_dotprod(struct upg_kernels *kernels);
void upg_kernels_fill_neon_i8mm(struct upg_kernels *kernels);

void upg_matmul_f32_neon(float *y, size_t y_stride, const float *w, const float *x, size_t x_stride,
                         size_t n_rows, size_t n_cols, size_t n_tokens);
void upg_matmul_bf16_neon(float *y, size_t y_stride, const uint16_t *w, const float *x,
                          size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens);
void upg_matmul_f16_neon(float *y, size_t y_stride, const uint16_t *w, const float *x,
                         size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens);
void upg_matmul_i8_rows_neon(float *y, size_t y_stride, const int8_t *w, const float *row_scale,
                             const float *x, size_t x_stride, size_t n_rows, size_t n_cols,
                             size_t n_tokens);
void upg_rms_norm_neon(float *out, const float *x, const float *weight, size_t n, float eps);
void upg_silu_gate_neon(float *out, const float *gate, const float *up, size_t n);
float upg_running_softmax_neon(float *scores, size_t n_visible, float *greatest, float *total);
void upg_scale_add_neon(float *y, float factor, const float *x, size_t n);
void upg_rotate_quantize_neon(struct upg_q8_rows *out, const float *x, size_t x_stride,
                              size_t n_cols, uint64_t seed_in, size_t block_begin,
                              size_t block_end);
void upg_transform_out_neon(float *y, size_t n_padded, uint64_t seed);
void upg_packed_matmul_neon_base(float *y, size_t y_stride, const struct upg_packed *w,
                                 const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                                 void *scratch);
void upg_packed_matmul_neon_dotprod(float *y, size_t y_stride, const struct upg_packed *w,
                                    const struct upg_q8_rows *x, size_t block_begin,
                                    size_t block_end, void *scratch);
void upg_packed_matmul_neon_i8mm(float *y, size_t y_stride, const struct upg_packed *w,
                                 const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                                 void *scratch);
double upg_int8_products_neon_base(size_t n_rounds);
double upg_int8_products_neon_dotprod(size_t n_rounds);
double upg_int8_products_neon_i8mm(size_t n_rounds);
void upg_read_neon(const uint8_t *bytes, size_t n_bytes);
void upg_coded_keys_neon(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                         const float *x, size_t x_stride, size_t n_tokens);
void upg_coded_values_neon(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                           const float *x, size_t x_stride, size_t n_tokens);

#endif
