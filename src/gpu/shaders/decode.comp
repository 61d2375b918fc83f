/* decode.comp -- a packed matrix as bytes, for products with many rows.
 *
 *   words[row block][column group][row] = weights + 128 of columns 0, 2, 1, 3
 *
 * A team of 16 threads decodes RUN column groups of a row block.
 * Workgroups: (runs of teams, row block). */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
#extension GL_EXT_control_flow_attributes : require

layout(push_constant) uniform Constants
{
    uint n_groups; /* of a row */
};

layout(binding = 0) readonly buffer Codes { uint codes[]; }; /* [row block][group][K][16] */
layout(binding = 1) readonly buffer Pairs { uint pairs[]; }; /* [256] plane a low, b high */
layout(binding = 2) writeonly buffer Words { uint words[]; };

#include "packed.glsl"

const uint RUN = 16;

void main()
{
    const uint thread = gl_LocalInvocationIndex, row = thread % 16, copy = thread % COPIES;
    const uint first = (gl_WorkGroupID.x * gl_WorkGroupSize.x / 16 + thread / 16) * RUN;
    const uint block = gl_WorkGroupID.y * n_groups;
    uint previous[2] = {0, 0};

    fill_tables();
    barrier();
    if (first > 0 && first < n_groups) {
        previous[0] = codes[(block + first - 1) * (16 * K) + (K == 2 ? 0 : 16) + row];
        previous[1] = codes[(block + first) * (16 * K) - 16 + row];
    }
    for (uint g = first; g < min(first + RUN, n_groups); g++) {
        uint v[K], decoded[8];

        [[unroll]] for (uint i = 0; i < K; i++)
            v[i] = codes[(block + g) * (16 * K) + 16 * i + row];
        decode(v, previous, copy, decoded);
        [[unroll]] for (uint i = 0; i < 8; i++)
            words[(block + g) * 128 + 16 * i + row] = decoded[i];
    }
}
