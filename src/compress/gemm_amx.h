/* gemm_amx.h -- one tile of a float32 product on AMX's bfloat16 units. */
#ifndef UPG_COMPRESS_GEMM_AMX_H
#define UPG_COMPRESS_GEMM_AMX_H

#include <stdbool.h>
#include <stddef.h>

/* How a factor lies in memory: element (i, l), l the index that is summed over. */
struct upg_factor {
    const float *values;
    size_t stride;   /* elements from one row of memory to the next */
    bool transposed; /* false: row i, column l;  true: row l, column i */
};

/* True if this CPU has AMX-BF16 and the system lets this process use it. */
bool upg_gemm_amx_available(void);

enum { UPG_GEMM_AMX_ROWS = 256, UPG_GEMM_AMX_COLS = 512, UPG_GEMM_AMX_DEPTH = 512 };

/* Bytes of scratch for one call, 64-byte aligned. */
size_t upg_gemm_amx_scratch(void);

/* y[m, n] = sum over l < k of a(i, l) b(j, l), plus y if `add`.  Factors are rounded to bfloat16,
 * sums are float32.  m <= UPG_GEMM_AMX_ROWS, n <= UPG_GEMM_AMX_COLS. */
void upg_gemm_amx(float *y, size_t y_stride, struct upg_factor a, struct upg_factor b, size_t m,
                  size_t n, size_t k, bool add, void *scratch);

#endif
