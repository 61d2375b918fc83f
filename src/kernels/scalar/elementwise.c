/* elementwise.c -- norm and gate of one row. */
#include "kernels/scalar/scalar.h"

#include <math.h>

void upg_rms_norm_scalar(float *out, const float *x, const float *weight, size_t n, float eps)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];

    const float factor = (float)(1 / sqrt(sum / (double)n + (double)eps));
    for (size_t i = 0; i < n; i++)
        out[i] = weight[i] * (x[i] * factor);
}

void upg_silu_gate_scalar(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float e = expf(-fabsf(gate[i])); /* at most 1: nothing overflows */
        const float sigmoid = (gate[i] < 0 ? e : 1) / (1 + e);
        out[i] = up[i] * (gate[i] * sigmoid);
    }
}
