/* squares.comp -- sums of squares of rows that no map has written.  Workgroups: (256 columns, row). */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "hadamard.glsl"
#include "squares.glsl"
layout(local_size_x = 64) in;

layout(push_constant) uniform Constants
{
    uint n_cols, x_begin, x_stride; /* floats */
};

layout(binding = 0) readonly buffer X { float x[]; };
layout(binding = 1) writeonly buffer Squares { float squares[]; }; /* [row][blocks] */

void main()
{
    const uint i = gl_LocalInvocationIndex, row = gl_WorkGroupID.y;

    for (uint e = 0; e < 4; e++) {
        const uint col = gl_WorkGroupID.x * BLOCK_COLS + i + 64 * e;

        values[i + 64 * e] = col < n_cols ? x[x_begin + row * x_stride + col] : 0;
    }
    const float sum = sum_of_squares(i);
    if (i == 0)
        squares[row * gl_NumWorkGroups.x + gl_WorkGroupID.x] = sum;
}
