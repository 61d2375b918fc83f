/* norm.comp -- out[i] = weight * x[pick[i]] / sqrt(mean(x^2) + eps).
 *
 * Workgroups: rows.  pick is read only if has_pick. */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
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
layout(binding = 4) readonly buffer Squares { float squares[]; };

#include "norm.glsl"

void main()
{
    const uint row = gl_WorkGroupID.x, picked = has_pick != 0 ? pick[row] : row;
    const uint from = x_begin + picked * x_stride, to = out_begin + row * out_stride;
    const float factor = norm_factor(picked, d_model, eps);

    for (uint j = gl_LocalInvocationIndex; j < d_model; j += 256)
        out_rows[to + j] = weight[j] * (x[from + j] * factor);
}
