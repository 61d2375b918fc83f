/* avx512.h -- the kernels of the AVX-512 tiers; described in kernels.h. */
#ifndef UPG_KERNELS_AVX512_H
#define UPG_KERNELS_AVX512_H

#include "kernels/kernels.h"

/* F, BW, DQ, VL; then VNNI too; then VBMI and GFNI too. */
void upg_kernels_fill_avx512_bw(struct upg_kernels *kernels);
void upg_kernels_fill_avx512_vnni(struct upg_kernels *kernels);
void upg_kernels_fill_avx512_vbmi(struct upg_kernels *kernels);

void upg_matmul_f32_avx512(float *y, size_t y_stride, const float *w, const float *x,
                           size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens);
void upg_matmul_bf16_avx512(float *y, size_t y_stride, const uint16_t *w, const float *x,
                            size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens);
void upg_matmul_f16_avx512(float *y, size_t y_stride, const uint16_t *w, const float *x,
                           size_t x_stride, size_t n_rows, size_t n_cols, size_t n_tokens);
void upg_matmul_i8_rows_avx512(float *y, size_t y_stride, const int8_t *w, const float *row_scale,
                               const float *x, size_t x_stride, size_t n_rows, size_t n_cols,
                               size_t n_tokens);
void upg_rms_norm_avx512(float *out, const float *x, const float *weight, size_t n, float eps);
void upg_silu_gate_avx512(float *out, const float *gate, const float *up, size_t n);
float upg_running_softmax_avx512(float *scores, size_t n_visible, float *greatest, float *total);
void upg_scale_add_avx512(float *y, float factor, const float *x, size_t n);
void upg_rotate_quantize_avx512(struct upg_q8_rows *out, const float *x, size_t x_stride,
                                size_t n_cols, uint64_t seed_in, size_t block_begin,
                                size_t block_end);
void upg_transform_out_avx512(float *y, size_t n_padded, uint64_t seed);

void upg_packed_matmul_avx512_bw(float *y, size_t y_stride, const struct upg_packed *w,
                                 const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                                 void *scratch);
void upg_packed_matmul_avx512_vnni(float *y, size_t y_stride, const struct upg_packed *w,
                                   const struct upg_q8_rows *x, size_t block_begin,
                                   size_t block_end, void *scratch);
void upg_packed_matmul_avx512_vbmi(float *y, size_t y_stride, const struct upg_packed *w,
                                   const struct upg_q8_rows *x, size_t block_begin,
                                   size_t block_end, void *scratch);
double upg_int8_products_avx512_bw(size_t n_rounds);
double upg_int8_products_avx512_vnni(size_t n_rounds);
void upg_coded_keys_avx512(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                           const float *x, size_t x_stride, size_t n_tokens);
void upg_coded_values_avx512(float *y, size_t y_stride, int bits, const void *side, size_t head_dim,
                             const float *x, size_t x_stride, size_t n_tokens);

#endif
