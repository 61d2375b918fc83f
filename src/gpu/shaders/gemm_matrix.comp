/* gemm_matrix.comp -- as gemm.comp, with cooperative matrices of int8 (VK_KHR_cooperative_matrix).
 *
 *   out[t][row] = F,  F = fma(sum_h, gain[h] * scale[t][h], F) for scale blocks h ascending
 *
 * The same sums and the same order of additions: the same bits.  A workgroup computes 128 rows of 64
 * tokens from tiles of 64 columns in shared memory, each of its four subgroups of 32 threads 64 rows
 * of 32 tokens, in products of 16 tokens x 32 columns x 16 rows.  Rows of `out` are written for all
 * tokens of a tile, the last of which may lie behind n_tokens.
 * Workgroups: (row block, tile of 64 tokens).
 *
 * gemm_matrix.spv is made by scripts/matrix_shader: glslc of 2023 does not know the extension. */
#version 460
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
layout(local_size_x = 128) in;

layout(push_constant) uniform Constants
{
    uint n_groups; /* of a row, a multiple of 16 */
    uint n_tokens;
    uint n_blocks; /* scale blocks of a row */
    uint padded_rows;
};

layout(binding = 0) readonly buffer Words { uint words[]; };    /* [row block][group][128] */
layout(binding = 1) readonly buffer X { uvec4 x[]; };           /* [token][n_groups / 4] */
layout(binding = 2) readonly buffer Scales { float scales[]; }; /* [token][n_blocks][2]: scale, sum */
layout(binding = 3) readonly buffer Gain { float gain[]; };     /* [n_blocks] */
layout(binding = 4) buffer Out { float out_rows[]; };           /* [token][padded_rows] */

const uint GROUPS = 16, TILE = 64, THREADS = 128; /* column groups and tokens of a tile */
const uint PITCH = GROUPS / 4 + 1;                /* fours of words from row to row: no conflicts */

shared uvec4 tile_w[128 * PITCH];
shared uvec4 tile_x[TILE * PITCH];
shared float factors[TILE * 16]; /* of a scale block, the same for all 16 rows of a product */

#define Left coopmat<int8_t, gl_ScopeSubgroup, 16, 32, gl_MatrixUseA>
#define Right coopmat<int8_t, gl_ScopeSubgroup, 32, 16, gl_MatrixUseB>
#define Sums coopmat<int, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>
#define Totals coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>

/* A tile on its way: weights + 128 become signed bytes. */
void load(uint group, out uvec4 w[4], out uvec4 v[2])
{
    const uint i = gl_LocalInvocationIndex;
    const uint from = (gl_WorkGroupID.x * n_groups + group) * 128 + i;

    [[unroll]] for (uint j = 0; j < 4; j++)
        [[unroll]] for (uint k = 0; k < 4; k++)
            w[j][k] = words[from + (4 * j + k) * 128] ^ 0x80808080u;
    [[unroll]] for (uint j = 0; j < 2; j++) {
        const uint token = min(gl_WorkGroupID.y * TILE + i / 4 + 32 * j, n_tokens - 1);

        v[j] = x[token * (n_groups / 4) + group / 4 + i % 4];
    }
}

void store(uvec4 w[4], uvec4 v[2])
{
    const uint i = gl_LocalInvocationIndex;

    [[unroll]] for (uint j = 0; j < 4; j++)
        tile_w[i * PITCH + j] = w[j];
    [[unroll]] for (uint j = 0; j < 2; j++)
        tile_x[(i / 4 + 32 * j) * PITCH + i % 4] = v[j];
}

void load_factors(uint h)
{
    for (uint i = gl_LocalInvocationIndex; i < TILE * 16; i += THREADS) {
        const uint token = min(gl_WorkGroupID.y * TILE + i / 16, n_tokens - 1);

        factors[i] = gain[h] * scales[2 * (token * n_blocks + h)];
    }
}

void main()
{
    const uint subgroup = gl_LocalInvocationIndex / 32;
    const uint first_token = subgroup / 2 * 32, first_row = subgroup % 2 * 64; /* of the tile */
    Totals total[2][4];
    Sums sum[2][4];
    uvec4 w[4], v[2];

    [[unroll]] for (uint t = 0; t < 2; t++)
        [[unroll]] for (uint r = 0; r < 4; r++) {
            total[t][r] = Totals(0.0);
            sum[t][r] = Sums(0);
        }
    load(0, w, v);
    for (uint g = 0; g < n_groups; g += GROUPS) {
        const bool is_end = (g + GROUPS) % 64 == 0 || g + GROUPS == n_groups; /* of a scale block */

        barrier();
        store(w, v);
        if (is_end)
            load_factors(g / 64);
        barrier();
        load(min(g + GROUPS, n_groups - GROUPS), w, v);
        [[unroll]] for (uint k = 0; k < 2; k++) {
            Left left[2];

            [[unroll]] for (uint t = 0; t < 2; t++)
                coopMatLoad(left[t], tile_x, (first_token + 16 * t) * PITCH + 2 * k, PITCH,
                            gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint r = 0; r < 4; r++) {
                Right right;

                coopMatLoad(right, tile_w, (first_row + 16 * r) * PITCH + 2 * k, PITCH,
                            gl_CooperativeMatrixLayoutColumnMajor);
                [[unroll]] for (uint t = 0; t < 2; t++)
                    sum[t][r] = coopMatMulAdd(left[t], right, sum[t][r]);
            }
        }
        if (is_end)
            [[unroll]] for (uint t = 0; t < 2; t++) {
                Totals factor;

                coopMatLoad(factor, factors, (first_token + 16 * t) * 16, 16,
                            gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint r = 0; r < 4; r++) {
                    const Totals block = Totals(sum[t][r]);

                    for (uint e = 0; e < total[t][r].length(); e++)
                        total[t][r][e] = fma(block[e], factor[e], total[t][r][e]);
                    sum[t][r] = Sums(0);
                }
            }
    }
    [[unroll]] for (uint t = 0; t < 2; t++)
        [[unroll]] for (uint r = 0; r < 4; r++) {
            const uint token = gl_WorkGroupID.y * TILE + first_token + 16 * t;

            coopMatStore(total[t][r], out_rows,
                         token * padded_rows + gl_WorkGroupID.x * 128 + first_row + 16 * r,
                         padded_rows, gl_CooperativeMatrixLayoutRowMajor);
        }
}
