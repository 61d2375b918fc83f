/* decode.comp -- a packed matrix as bytes, for products with many rows.
 *
 *   words[row block][four column groups][row][group] = weights of columns 0, 2, 1, 3
 *
 * A team of 16 threads decodes RUN column groups of a row block.
 * Workgroups: (runs of teams, row block). */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "dot.glsl"

layout(push_constant) uniform Constants
{
    uint n_groups; /* of a row, a multiple of 16 */
};

layout(binding = 0) readonly buffer Codes { uvec2 codes[]; }; /* [row block][2 groups][K][16] */
layout(binding = 1) readonly buffer Pairs { uint pairs[]; }; /* [256] plane a low, b high */
layout(binding = 2) writeonly buffer Words { uvec4 words[]; };

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
    if (first >= n_groups)
        return;
    if (first > 0) {
        previous[0] = codes[((block + first) / 2 * K - K) * 16 + (K == 2 ? 0 : 16) + row].y;
        previous[1] = codes[((block + first) / 2 * K - 1) * 16 + row].y;
    }
    for (uint g = block + first; g < block + first + RUN; g += 4) {
        uvec4 rows[8];

        [[unroll]] for (uint j = 0; j < 4; j++) {
            uvec2 pairs_of[4];
            uint v[K];

            [[unroll]] for (uint i = 0; i < K; i++)
                v[i] = codes[((g + j) / 2 * K + i) * 16 + row][j % 2];
            decode(v, previous, pairs_of);
            [[unroll]] for (uint i = 0; i < 4; i++) {
                const uvec2 two = rows_of(pairs_of[i]) ^ 0x80808080u; /* weights + 128 */

                rows[2 * i][j] = two.x;
                rows[2 * i + 1][j] = two.y;
            }
        }
        [[unroll]] for (uint i = 0; i < 8; i++)
            words[g / 4 * 128 + 16 * i + row] = rows[i];
    }
}
