#include "kernels/levels.h"
#include "kernels/scalar/scalar.h"

void upg_kernels_fill_scalar(struct upg_kernels *kernels)
{
    *kernels = (struct upg_kernels){
        .tier = "scalar",
        .matmul_f32 = upg_matmul_f32_scalar,
        .matmul_bf16 = upg_matmul_bf16_scalar,
        .matmul_f16 = upg_matmul_f16_scalar,
        .matmul_i8_rows = upg_matmul_i8_rows_scalar,
        .rms_norm = upg_rms_norm_scalar,
        .silu_gate = upg_silu_gate_scalar,
        .running_softmax = upg_running_softmax_scalar,
        .scale_add = upg_scale_add_scalar,
        .rotate_quantize = upg_rotate_quantize_scalar,
        .packed_matmul = upg_packed_matmul_scalar,
        .transform_out = upg_transform_out,
        .coded_keys = upg_coded_keys_scalar,
        .coded_values = upg_coded_values_scalar,
        .int8_products = upg_int8_products_scalar,
        .read = upg_read_scalar,
    };
}
