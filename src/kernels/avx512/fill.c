#include "kernels/avx512/avx512.h"

#include "kernels/chunk.h"

void upg_kernels_fill_avx512_bw(struct upg_kernels *kernels)
{
    kernels->scratch_bytes = sizeof(struct upg_batch_scratch);
    kernels->matmul_f32 = upg_matmul_f32_avx512;
    kernels->matmul_bf16 = upg_matmul_bf16_avx512;
    kernels->matmul_f16 = upg_matmul_f16_avx512;
    kernels->matmul_i8_rows = upg_matmul_i8_rows_avx512;
    kernels->rms_norm = upg_rms_norm_avx512;
    kernels->silu_gate = upg_silu_gate_avx512;
    kernels->running_softmax = upg_running_softmax_avx512;
    kernels->scale_add = upg_scale_add_avx512;
    kernels->rotate_quantize = upg_rotate_quantize_avx512;
    kernels->packed_matmul = upg_packed_matmul_avx512_bw;
    kernels->transform_out = upg_transform_out_avx512;
    kernels->coded_keys = upg_coded_keys_avx512;
    kernels->coded_values = upg_coded_values_avx512;
    kernels->int8_products = upg_int8_products_avx512_bw;
}

void upg_kernels_fill_avx512_vnni(struct upg_kernels *kernels)
{
    kernels->packed_matmul = upg_packed_matmul_avx512_vnni;
    kernels->int8_products = upg_int8_products_avx512_vnni;
}

void upg_kernels_fill_avx512_vbmi(struct upg_kernels *kernels)
{
    kernels->packed_matmul = upg_packed_matmul_avx512_vbmi;
}
