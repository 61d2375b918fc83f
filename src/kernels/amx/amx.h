/* amx.h -- the kernels of the AMX tier; described in kernels.h. */
#ifndef UPG_KERNELS_AMX_H
#define UPG_KERNELS_AMX_H

#include "kernels/kernels.h"

/* AMX-INT8 besides all that avx512-vbmi needs. */
void upg_kernels_fill_amx(struct upg_kernels *kernels);

void upg_packed_matmul_amx(float *y, size_t y_stride, const struct upg_packed *w,
                           const struct upg_q8_rows *x, size_t block_begin, size_t block_end,
                           void *scratch);
double upg_int8_products_amx(size_t n_rounds);

#endif
