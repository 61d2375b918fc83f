/* gemm.comp -- decoded weights (decode.comp) times many int8 rows.
 *
 *   out[t][row] = F,  F = fma(sum_h, gain[h] * scale[t][h], F) for scale blocks h ascending, sum_h
 *                     the integer sum over the columns of h
 *
 * as finish.comp has it; finish.comp does the rest.  A workgroup computes 128 rows of 32 tokens
 * from tiles of 64 columns in shared memory; a thread computes 4 rows of 4 tokens.
 * Workgroups: (row block, tile of 32 tokens). */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "dot.glsl"
layout(local_size_x = 256) in;

layout(push_constant) uniform Constants
{
    uint n_groups; /* of a row, a multiple of 16 */
    uint n_tokens;
    uint n_blocks; /* scale blocks of a row */
    uint padded_rows;
};

layout(binding = 0) readonly buffer Words { uvec4 words[]; };   /* [row block][group][128 / 4] */
layout(binding = 1) readonly buffer X { ivec4 x[]; };           /* [token][n_groups / 4] */
layout(binding = 2) readonly buffer Scales { float scales[]; }; /* [token][n_blocks][2]: scale, sum */
layout(binding = 3) readonly buffer Gain { float gain[]; };     /* [n_blocks] */
layout(binding = 4) buffer Out { vec4 out_rows[]; };            /* [token][padded_rows / 4] */

const uint GROUPS = 16, TILE = 32; /* column groups and tokens of a tile */

shared uvec4 tile_w[GROUPS][32]; /* [group][row / 4] */
shared ivec4 tile_x[GROUPS][8];  /* [group][token / 4] */

void load_tiles(uint first_group)
{
    const uint i = gl_LocalInvocationIndex, token = i / 4 % TILE, quarter = i % 4;

    [[unroll]] for (uint j = 0; j < 2; j++) {
        const uint k = i + 256 * j;
        tile_w[k / 32][k % 32] =
            words[(gl_WorkGroupID.x * n_groups + first_group + k / 32) * 32 + k % 32];
    }
    if (i < 4 * TILE) {
        const uint from = min(gl_WorkGroupID.y * TILE + token, n_tokens - 1);
        const ivec4 four = x[from * (n_groups / 4) + first_group / 4 + quarter];

        [[unroll]] for (uint j = 0; j < 4; j++)
            tile_x[4 * quarter + j][token / 4][token % 4] = four[j];
    }
}

void main()
{
    const uint i = gl_LocalInvocationIndex, rows = i % 32, tokens = i / 32; /* fours of them */
    const uint first_token = gl_WorkGroupID.y * TILE + 4 * tokens;
    vec4 total[4] = {vec4(0), vec4(0), vec4(0), vec4(0)}; /* [token][row] */
    ivec4 sum[4] = {ivec4(0), ivec4(0), ivec4(0), ivec4(0)};

    for (uint g = 0; g < n_groups; g += GROUPS) {
        load_tiles(g);
        barrier();
        [[unroll]] for (uint j = 0; j < GROUPS; j++) {
            const uvec4 w = tile_w[j][rows];
            const ivec4 v = tile_x[j][tokens];

            [[unroll]] for (uint t = 0; t < 4; t++)
                [[unroll]] for (uint r = 0; r < 4; r++)
                    sum[t][r] += multiply(v[t], w[r]);
        }
        barrier();
        if ((g + GROUPS) % 64 == 0 || g + GROUPS == n_groups) { /* the end of a scale block */
            const uint h = g / 64;

            [[unroll]] for (uint t = 0; t < 4; t++) {
                const uint block = min(first_token + t, n_tokens - 1) * n_blocks + h;
                const int bias = 128 * floatBitsToInt(scales[2 * block + 1]);

                total[t] = fma(vec4(sum[t] - bias), vec4(gain[h] * scales[2 * block]), total[t]);
                sum[t] = ivec4(0);
            }
        }
    }
    [[unroll]] for (uint t = 0; t < 4; t++)
        if (first_token + t < n_tokens)
            out_rows[(first_token + t) * (padded_rows / 4) + gl_WorkGroupID.x * 32 + rows] = total[t];
}
