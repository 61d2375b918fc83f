/* norm.comp -- out[i] = weight * x[pick[i]] / sqrt(mean(x^2) + eps).  Zhang & Sennrich 2019.
 *
 * Workgroups: rows.  pick is read only if has_pick. */
#version 460
layout(local_size_x = 256) in;

layout(push_constant) uniform Constants
{
    uint d_model;
    uint out_begin, out_stride, x_begin, x_stride; /* floats */
    uint has_pick;
    float eps;
};

layout(binding = 0) readonly buffer X { float x[]; };
layout(binding = 1) buffer Out { float out_rows[]; };
layout(binding = 2) readonly buffer Weight { float weight[]; };
layout(binding = 3) readonly buffer Pick { uint pick[]; };

shared float sums[256];

void main()
{
    const uint i = gl_LocalInvocationIndex, row = gl_WorkGroupID.x;
    const uint from = x_begin + (has_pick != 0 ? pick[row] : row) * x_stride;
    const uint to = out_begin + row * out_stride;
    float sum = 0;

    for (uint j = i; j < d_model; j += 256)
        sum = fma(x[from + j], x[from + j], sum);
    sums[i] = sum;
    barrier();
    for (uint d = 128; d > 0; d /= 2) {
        if (i < d)
            sums[i] += sums[i + d];
        barrier();
    }
    const float factor = 1 / sqrt(sums[0] / float(d_model) + eps);
    for (uint j = i; j < d_model; j += 256)
        out_rows[to + j] = weight[j] * (x[from + j] * factor);
}
