/* gemm.comp -- decoded weights (decode.comp) times many int8 rows.
 *
 *   out[t][row] = F,  F = fma(sum_h, gain[h] * scale[t][h], F) for scale blocks h ascending, sum_h
 *                     the integer sum over the columns of h
 *
 * as finish.comp has it; finish.comp does the rest.  A workgroup computes 128 rows of 32 tokens
 * from tiles of 64 columns in shared memory; a thread computes 4 rows of 4 tokens.
 * Workgroups: (tile of 32 tokens, row block). */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "dot.glsl"
layout(local_size_x = 256) in;

layout(push_constant) uniform Constants
{
    uint n_fours; /* of column groups of a row: 16 columns each, a multiple of 4 */
    uint n_tokens;
    uint n_blocks; /* scale blocks of a row */
    uint padded_rows;
};

layout(binding = 0) readonly buffer Words { ivec4 words[]; };   /* [row block][four][128 rows] */
layout(binding = 1) readonly buffer X { ivec4 x[]; };           /* [token][four] */
layout(binding = 2) readonly buffer Scales { float scales[]; }; /* [token][n_blocks][2]: scale, sum */
layout(binding = 3) readonly buffer Gain { float gain[]; };     /* [n_blocks] */
layout(binding = 4) buffer Out { vec4 out_rows[]; };            /* [token][padded_rows / 4] */

const uint FOURS = 4, TILE = 32; /* fours and tokens of a tile */

shared ivec4 tile_w[4 * FOURS][32]; /* [group][row / 4] */
shared ivec4 tile_x[4 * FOURS][8];  /* [group][token / 4] */

void load_tiles(uint first)
{
    const uint i = gl_LocalInvocationIndex, token = i / 4 % TILE, quarter = i % 4;

    [[unroll]] for (uint k = i; k < 128 * FOURS; k += 256) {
        const ivec4 four = words[(gl_WorkGroupID.y * n_fours + first) * 128 + k];

        [[unroll]] for (uint j = 0; j < 4; j++)
            tile_w[k / 128 * 4 + j][k % 128 / 4][k % 4] = four[j];
    }
    if (i < 4 * TILE) {
        const uint from = min(gl_WorkGroupID.x * TILE + token, n_tokens - 1);
        const ivec4 four = x[from * n_fours + first + quarter];

        [[unroll]] for (uint j = 0; j < 4; j++)
            tile_x[4 * quarter + j][token / 4][token % 4] = four[j];
    }
}

void main()
{
    const uint i = gl_LocalInvocationIndex, rows = i % 32, tokens = i / 32; /* fours of them */
    const uint first_token = gl_WorkGroupID.x * TILE + 4 * tokens;
    vec4 total[4] = {vec4(0), vec4(0), vec4(0), vec4(0)}; /* [token][row] */
    ivec4 sum[4] = {ivec4(0), ivec4(0), ivec4(0), ivec4(0)};

    for (uint f = 0; f < n_fours; f += FOURS) {
        load_tiles(f);
        barrier();
        [[unroll]] for (uint j = 0; j < 4 * FOURS; j++) {
            const ivec4 w = tile_w[j][rows];
            const ivec4 v = tile_x[j][tokens];

            [[unroll]] for (uint t = 0; t < 4; t++)
                [[unroll]] for (uint r = 0; r < 4; r++)
                    sum[t][r] += multiply_signed(v[t], w[r]);
        }
        barrier();
        if ((f + FOURS) % 16 == 0 || f + FOURS == n_fours) { /* the end of a scale block */
            const uint h = f / 16;

            [[unroll]] for (uint t = 0; t < 4; t++) {
                const uint block = min(first_token + t, n_tokens - 1) * n_blocks + h;

                total[t] = fma(vec4(sum[t]), vec4(gain[h] * scales[2 * block]), total[t]);
                sum[t] = ivec4(0);
            }
        }
    }
    [[unroll]] for (uint t = 0; t < 4; t++)
        if (first_token + t < n_tokens)
            out_rows[(first_token + t) * (padded_rows / 4) + gl_WorkGroupID.y * 32 + rows] = total[t];
}
