/* elementwise.c -- norm, gate and softmax of one row. */
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

float upg_running_softmax_scalar(float *scores, size_t n_visible, float *greatest, float *total)
{
    float most = *greatest, sum = 0;

    for (size_t i = 0; i < n_visible; i++)
        most = scores[i] > most ? scores[i] : most;
    for (size_t i = 0; i < n_visible; i++) {
        scores[i] = expf(scores[i] - most);
        sum += scores[i];
    }
    for (size_t i = n_visible; i < UPG_CODED_TOKENS; i++)
        scores[i] = 0;

    const float decay = expf(*greatest - most);
    *total = *total * decay + sum;
    *greatest = most;
    return decay;
}

void upg_scale_add_scalar(float *y, float factor, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] * factor + x[i];
}
