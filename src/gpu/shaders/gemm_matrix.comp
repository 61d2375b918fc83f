/* gemm_matrix.comp -- as gemm.comp, with cooperative matrices of int8 (VK_KHR_cooperative_matrix).
 *
 *   out[t][row] = F,  F = fma(sum_h, gain[h] * scale[t][h], F) for scale blocks h ascending
 *
 * The same sums and the same order of additions: the same bits.  A workgroup computes 128 rows of
 * 128 tokens from tiles of 128 columns in shared memory, each of its eight subgroups of 32 threads
 * 64 rows of 32 tokens, in products of 16 tokens x 32 columns x 16 rows.  Rows of `out` are written
 * for all tokens of a tile, the last of which may lie behind n_tokens.
 * Workgroups: (tile of 128 tokens, row block): those that run together share weights.
 *
 * gemm_matrix.spv is made by scripts/matrix_shaders: glslc of 2023 does not know the extension. */
#version 460
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
layout(local_size_x = 256) in;

layout(push_constant) uniform Constants
{
    uint n_fours; /* 16 columns each, of a row: a multiple of 4 */
    uint n_tokens;
    uint n_blocks; /* scale blocks of a row */
    uint padded_rows;
};

layout(binding = 0) readonly buffer Words { uvec4 words[]; };   /* [row block][four][128 rows] */
layout(binding = 1) readonly buffer X { uvec4 x[]; };           /* [token][four] */
layout(binding = 2) readonly buffer Scales { float scales[]; }; /* [token][n_blocks][2]: scale, sum */
layout(binding = 3) readonly buffer Gain { float gain[]; };     /* [n_blocks] */
layout(binding = 4) buffer Out { float out_rows[]; };           /* [token][padded_rows] */

const uint FOURS = 8, TILE = 128, THREADS = 256; /* fours of a tile; rows, and tokens */
const uint PITCH = FOURS + 1;                    /* from row to row: no conflicts of banks */
const uint EACH = TILE * FOURS / THREADS;        /* fours that a thread brings */

shared uvec4 tile_w[TILE * PITCH];
shared uvec4 tile_x[TILE * PITCH];
shared float factors[TILE]; /* of a scale block and the tokens */

#define Left coopmat<int8_t, gl_ScopeSubgroup, 16, 32, gl_MatrixUseA>
#define Right coopmat<int8_t, gl_ScopeSubgroup, 32, 16, gl_MatrixUseB>
#define Sums coopmat<int, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>
#define Totals coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>

/* Whether a tile is the last of its scale block. */
bool ends_block(uint first) { return (first + FOURS) % 16 == 0 || first + FOURS >= n_fours; }

/* A tile on its way, behind the last column 0; at the end of a block the factor of a token. */
void load(uint first, out uvec4 w[EACH], out uvec4 v[EACH], inout float factor)
{
    const uint i = gl_LocalInvocationIndex, h = first / 16;
    const uint from = min(gl_WorkGroupID.x * TILE + i, n_tokens - 1) * n_blocks + h;

    if (i < TILE && ends_block(first))
        factor = gain[h] * scales[2 * from];
    [[unroll]] for (uint j = 0; j < EACH; j++) {
        const uint k = gl_LocalInvocationIndex + THREADS * j;
        const uint w_four = first + k / TILE, x_four = first + k % FOURS;
        const uint token = min(gl_WorkGroupID.x * TILE + k / FOURS, n_tokens - 1);

        w[j] = w_four < n_fours ? words[(gl_WorkGroupID.y * n_fours + w_four) * TILE + k % TILE]
                                : uvec4(0);
        v[j] = x_four < n_fours ? x[token * n_fours + x_four] : uvec4(0);
    }
}

void store(uvec4 w[EACH], uvec4 v[EACH], float factor)
{
    if (gl_LocalInvocationIndex < TILE)
        factors[gl_LocalInvocationIndex] = factor;
    [[unroll]] for (uint j = 0; j < EACH; j++) {
        const uint k = gl_LocalInvocationIndex + THREADS * j;

        tile_w[k % TILE * PITCH + k / TILE] = w[j];
        tile_x[k / FOURS * PITCH + k % FOURS] = v[j];
    }
}

void main()
{
    const uint subgroup = gl_LocalInvocationIndex / 32;
    const uint first_token = subgroup / 2 * 32, first_row = subgroup % 2 * 64; /* of the tile */
    Totals total[2][4];
    Sums sum[2][4];
    uvec4 w[EACH], v[EACH];
    float next_factor = 0;

    [[unroll]] for (uint t = 0; t < 2; t++)
        [[unroll]] for (uint r = 0; r < 4; r++) {
            total[t][r] = Totals(0.0);
            sum[t][r] = Sums(0);
        }
    load(0, w, v, next_factor);
    for (uint four = 0; four < n_fours; four += FOURS) {
        barrier();
        store(w, v, next_factor);
        barrier();
        if (four + FOURS < n_fours)
            load(four + FOURS, w, v, next_factor);
        [[unroll]] for (uint k = 0; k < FOURS; k += 2) {
            Left left[2];

            [[unroll]] for (uint t = 0; t < 2; t++)
                coopMatLoad(left[t], tile_x, (first_token + 16 * t) * PITCH + k, PITCH,
                            gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint r = 0; r < 4; r++) {
                Right right;

                coopMatLoad(right, tile_w, (first_row + 16 * r) * PITCH + k, PITCH,
                            gl_CooperativeMatrixLayoutColumnMajor);
                [[unroll]] for (uint t = 0; t < 2; t++)
                    sum[t][r] = coopMatMulAdd(left[t], right, sum[t][r]);
            }
        }
        if (ends_block(four))
            [[unroll]] for (uint t = 0; t < 2; t++) {
                Totals factor;

                coopMatLoad(factor, factors, first_token + 16 * t, 0, /* equal for all rows */
                            gl_CooperativeMatrixLayoutColumnMajor);
                [[unroll]] for (uint r = 0; r < 4; r++) {
                    const Totals block = Totals(sum[t][r]);

                    [[unroll]] for (uint e = 0; e < total[t][r].length(); e++)
                        total[t][r][e] = fma(block[e], factor[e], total[t][r][e]);
                    sum[t][r] = Sums(0);
                }
            }
    }
    [[unroll]] for (uint t = 0; t < 2; t++)
        [[unroll]] for (uint r = 0; r < 4; r++) {
            const uint token = gl_WorkGroupID.x * TILE + first_token + 16 * t;

            coopMatStore(total[t][r], out_rows,
                         token * padded_rows + gl_WorkGroupID.y * TILE + first_row + 16 * r,
                         padded_rows, gl_CooperativeMatrixLayoutRowMajor);
        }
}
