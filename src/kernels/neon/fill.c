#include "kernels/neon/neon.h"

#include "kernels/chunk.h"

void upg_kernels_fill_neon_base(struct upg_kernels *kernels)
{
    kernels->scratch_bytes = sizeof(struct upg_batch_scratch);
    kernels->matmul_f32 = upg_matmul_f32_neon;
    kernels->matmul_bf16 = upg_matmul_bf16_neon;
    kernels->matmul_f16 = upg_matmul_f16_neon;
    kernels->matmul_i8_rows = upg_matmul_i8_rows_neon;
    kernels->rms_norm = upg_rms_norm_neon;
    kernels->silu_gate = upg_silu_gate_neon;
    kernels->running_softmax = upg_running_softmax_neon;
    kernels->scale_add = upg_scale_add_neon;
    kernels->rotate_quantize = upg_rotate_quantize_neon;
    kernels->packed_matmul = upg_packed_matmul_neon_base;
    kernels->transform_out = upg_transform_out_neon;
    kernels->coded_keys = upg_coded_keys_neon;
    kernels->coded_values = upg_coded_values_neon;
    kernels->int8_products = upg_int8_products_neon_base;
    kernels->read = upg_read_neon;
}

void upg_kernels_fill_neon_dotprod(struct upg_kernels *kernels)
{
    kernels->packed_matmul = upg_packed_matmul_neon_dotprod;
    kernels->int8_products = upg_int8_products_neon_dotprod;
}

void upg_kernels_fill_neon_i8mm(struct upg_kernels *kernels)
{
    kernels->packed_matmul = upg_packed_matmul_neon_i8mm;
    kernels->int8_products = upg_int8_products_neon_i8mm;
}
