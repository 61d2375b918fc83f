/* packed.comp -- integer sums of a packed matrix times int8 rows (docs/codec.md, sections 3 and 4).
 *
 *   sums[t][h][row] = sum over the columns of scale block h of (v[row, col] + 128) * x[t, col]
 *
 * Integers: every order of summation gives the same bits, so the work is cut as the device likes.
 * finish.comp subtracts the 128 (x's sums are known) and scales.
 *
 * A team of 16 threads decodes RUN column groups of a row block; thread r holds rows 16 i + r and
 * all 4 columns, so a step of a team's block is one word a thread, and 64 consecutive bytes a load.
 * Words of four columns are in the order 0, 2, 1, 3, as quantize.comp writes x.
 *
 * A unit of a workgroup is a row block and as many columns as its teams take, whole scale blocks.
 * Workgroups: (at most one a unit, 1, tile of TOKENS tokens); each goes through several units, as
 * its tables are worth filling only for several. */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
#extension GL_EXT_control_flow_attributes : require
#include "dot.glsl"

layout(push_constant) uniform Constants
{
    uint n_groups; /* of a row */
    uint n_tokens; /* of this dispatch */
    uint x_stride; /* words of a token's row */
    uint n_blocks; /* scale blocks of a row */
    uint padded_rows;
    uint n_units;
};

layout(binding = 0) readonly buffer Codes { uint codes[]; }; /* [row block][group][K][16] */
layout(binding = 1) readonly buffer X { int x[]; };          /* [token][x_stride] */
layout(binding = 2) readonly buffer Pairs { uint pairs[]; }; /* [256] plane a low, b high */
layout(binding = 3) buffer Sums { int sums[]; };             /* [token][n_blocks][padded_rows] */

#include "packed.glsl"

const uint RUN = 4;   /* column groups of a team in a unit */
const uint AHEAD = 2; /* of them loaded at a time: 4 take more registers than they win */

shared int team_sums[gl_WorkGroupSize.x / 2]; /* [scale block of the unit][128] */

void main()
{
    const uint thread = gl_LocalInvocationIndex, row = thread % 16, team = thread / 16;
    const uint copy = thread % COPIES;
    const uint wide = gl_WorkGroupSize.x / 16 * RUN; /* groups of a unit, a multiple of 64 */
    const uint n_chunks = (n_groups + wide - 1) / wide;
    const uint first_token = gl_WorkGroupID.z * TOKENS;

    fill_tables();
    barrier();
    for (uint unit = gl_WorkGroupID.x; unit < n_units; unit += gl_NumWorkGroups.x) {
        const uint row_block = unit / n_chunks, chunk = unit % n_chunks;
        const uint first = chunk * wide + team * RUN;
        const uint last = min(first + RUN, n_groups); /* which is a multiple of 16 */
        uint at = (row_block * n_groups + first) * (16 * K) + row;
        uint previous[2] = {0, 0};
        int acc[8][TOKENS];

        [[unroll]] for (int i = 0; i < 8; i++)
            [[unroll]] for (uint t = 0; t < TOKENS; t++)
                acc[i][t] = 0;
        if (first > 0 && first < n_groups) {
            previous[0] = codes[at - 16 * K + (K == 2 ? 0 : 16)];
            previous[1] = codes[at - 16];
        }
        for (uint g = first; g < last; g += AHEAD) {
            uint word[AHEAD][K];

            [[unroll]] for (uint j = 0; j < AHEAD; j++)
                [[unroll]] for (uint v = 0; v < K; v++)
                    word[j][v] = codes[at + (j * K + v) * 16];
            at += AHEAD * 16 * K;
            [[unroll]] for (uint j = 0; j < AHEAD; j++) {
                uint words[8];
                int x_word[TOKENS];

                [[unroll]] for (uint t = 0; t < TOKENS; t++)
                    x_word[t] = x[min(first_token + t, n_tokens - 1) * x_stride + g + j];
                decode(word[j], previous, copy, words);
                [[unroll]] for (uint i = 0; i < 8; i++)
                    [[unroll]] for (uint t = 0; t < TOKENS; t++)
                        acc[i][t] += multiply(x_word[t], words[i]);
            }
        }
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            for (uint i = thread; i < wide * 2; i += gl_WorkGroupSize.x)
                team_sums[i] = 0;
            barrier();
            [[unroll]] for (int i = 0; i < 8; i++)
                atomicAdd(team_sums[team * RUN / 64 * 128 + 16 * i + row], acc[i][t]);
            barrier();
            for (uint i = thread; i < wide * 2; i += gl_WorkGroupSize.x) {
                const uint h = chunk * wide / 64 + i / 128, token = first_token + t;

                if (h < n_blocks && token < n_tokens)
                    sums[(token * n_blocks + h) * padded_rows + row_block * 128 + i % 128] =
                        team_sums[i];
            }
            barrier();
        }
    }
}
