#include "kernels/avx2/avx2.h"

#include "kernels/chunk.h"

void upg_kernels_fill_avx2_fma(struct upg_kernels *kernels)
{
    kernels->scratch_bytes = sizeof(struct upg_batch_scratch);
    kernels->matmul_f32 = upg_matmul_f32_avx2;
    kernels->matmul_bf16 = upg_matmul_bf16_avx2;
    kernels->matmul_f16 = upg_matmul_f16_avx2;
    kernels->matmul_i8_rows = upg_matmul_i8_rows_avx2;
    kernels->rms_norm = upg_rms_norm_avx2;
    kernels->silu_gate = upg_silu_gate_avx2;
    kernels->running_softmax = upg_running_softmax_avx2;
    kernels->scale_add = upg_scale_add_avx2;
    kernels->rotate_quantize = upg_rotate_quantize_avx2;
    kernels->packed_matmul = upg_packed_matmul_avx2_fma;
    kernels->transform_out = upg_transform_out_avx2;
    kernels->coded_keys = upg_coded_keys_avx2;
    kernels->coded_values = upg_coded_values_avx2;
    kernels->int8_products = upg_int8_products_avx2_fma;
    kernels->read = upg_read_avx2;
}

void upg_kernels_fill_avx2_vnni(struct upg_kernels *kernels)
{
    kernels->packed_matmul = upg_packed_matmul_avx2_vnni;
    kernels->int8_products = upg_int8_products_avx2_vnni;
}
