/* finish.comp -- outputs from what gemm.comp leaves.  Workgroups: (256 rows, token). */
#version 460
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 256) in;

layout(push_constant) uniform Constants
{
    uint n_rows;      /* outputs that are written */
    uint padded_rows;
    uint y_begin;     /* floats in front of token 0's outputs */
    uint y_stride;
    uint has_output_transform, adds;
};

layout(binding = 0) readonly buffer F { float f[]; };               /* [token][padded_rows] */
layout(binding = 1) readonly buffer RowScale { uint row_scale[]; }; /* [padded_rows / 2] binary16 */
layout(binding = 2) readonly buffer Signs { uint signs[]; };        /* [padded_rows / 32] */
layout(binding = 3) buffer Y { float y[]; };

shared int scratch[512];

#include "finish.glsl"

void main()
{
    const uint i = gl_LocalInvocationIndex, first_row = gl_WorkGroupID.x * 256;
    const uint row = min(first_row + i, padded_rows - 1), token = gl_WorkGroupID.y;

    finish(f[token * padded_rows + row], side_of(token, row), token, first_row, i, 0, true);
}
