#include "kernels/amx/amx.h"

void upg_kernels_fill_amx(struct upg_kernels *kernels)
{
    kernels->packed_matmul = upg_packed_matmul_amx;
}
