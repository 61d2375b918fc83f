/* avx2.h -- the kernels of the AVX2 tiers; described in kernels.h. */
#ifndef UPG_KERNELS_AVX2_H
#define UPG_KERNELS_AVX2_H

#include "kernels/kernels.h"

/* AVX2, FMA, F16C; then AVX-VNNI and GFNI too. */
void upg_kernels_fill_avx2_fma(struct upg_kernels *kernels);
void upg_kernels_fill_avx2_vnni(struct upg_kernels *kernels);

void upg_matmul_f32_avx2(float *y, size_t y_stride, const float *w, const float *x, size_t x_stride,
                         size_t n_rows, size_t n_cols, size_t n_tokens);
void upg_matmul_bf16_avx2(float *y, size_t y_stride, const uint16_t *w, const float *x,
                          size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens);
void upg_matmul_f16_avx2(float *y, size_t y_stride, const uint16_t *w, const float *x,
                         size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens);
void upg_matmul_i8_rows_avx2(float *y, size_t y_stride, const int8_t *w, const float *row_scale,
                             const float *x, size_t x_stride, size_t n_rows, size_t n_cols,
                             size_t n_tokens);
void upg_rms_norm_avx2(float *out, const float *x, const float *weight, size_t n, float eps);
void upg_silu_gate_avx2(float *out, const float *gate, const float *up, size_t n);
float upg_running_softmax_avx2(float *scores, size_t n_visible, float *greatest, float *total);
void upg_scale_add_avx2(float *y, float factor, const float *x, size_t n);
void upg_rotate_quantize_avx2(struct upg_q8_rows *out, const float *x, size_t x_stride,
                              size_t n_cols, uint64_t seed_in, size_t block_begin,
                              size_t block_end);
void upg_transform_out_avx2(float *y, size_t n_padded, uint64_t seed);
void upg_packed_matmul_avx2_fma(float *y, size_t y_stride, const struct upg_packed *w,
                                const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                                void *scratch);
void upg_packed_matmul_avx2_vnni(float *y, size_t y_stride, const struct upg_packed *w,
                                 const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                                 void *scratch);
double upg_int8_products_avx2_fma(size_t n_rounds);
double upg_int8_products_avx2_vnni(size_t n_rounds);
void upg_read_avx2(const uint8_t *bytes, size_t n_bytes);
void upg_coded_keys_avx2(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                         const float *x, size_t x_stride, size_t n_tokens);
void upg_coded_values_avx2(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                           const float *x, size_t x_stride, size_t n_tokens);

#endif
