/* decode.comp -- a packed matrix as bytes, for products with many rows.
 *
 *   words[row block][column group][row] = weights + 128 of columns 0, 2, 1, 3
 *
 * A team of 16 threads decodes RUN column groups of a row block.
 * Workgroups: (runs of teams, row block). */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "dot.glsl"

layout(push_constant) uniform Constants
{
    uint n_groups; /* of a row */
};

layout(binding = 0) readonly buffer Codes { uvec2 codes[]; }; /* [row block][2 groups][K][16] */
layout(binding = 1) readonly buffer Pairs { uint pairs[]; }; /* [256] plane a low, b high */
layout(binding = 2) writeonly buffer Words { uint words[]; };

#include "packed.glsl"

const uint RUN = 16;

void main()
{
    const uint thread = gl_LocalInvocationIndex, row = thread % 16;
    const uint first = (gl_WorkGroupID.x * gl_WorkGroupSize.x / 16 + thread / 16) * RUN;
    const uint block = gl_WorkGroupID.y * n_groups;
    uint previous[2] = {0, 0};

    choose_places();
    fill_tables();
    barrier();
    if (first > 0 && first < n_groups) {
        previous[0] = codes[((block + first) / 2 * K - K) * 16 + (K == 2 ? 0 : 16) + row].y;
        previous[1] = codes[((block + first) / 2 * K - 1) * 16 + row].y;
    }
    for (uint g = first; g < min(first + RUN, n_groups); g++) {
        uint v[K];
        uvec2 pairs_of[4];

        [[unroll]] for (uint i = 0; i < K; i++)
            v[i] = codes[((block + g) / 2 * K + i) * 16 + row][g % 2];
        decode(v, previous, pairs_of);
        [[unroll]] for (uint i = 0; i < 4; i++) {
            const uvec2 rows = rows_of(pairs_of[i]);

            words[(block + g) * 128 + 32 * i + row] = rows.x;
            words[(block + g) * 128 + 32 * i + 16 + row] = rows.y;
        }
    }
}
