/* packed_matrix.comp -- as packed.comp for up to 32 rows, with cooperative matrices of int8.
 *
 *   sums[t][h][row] = sum over the columns of scale block h of v[row, col] * x[t, col]
 *
 * A workgroup has a run of units, in the order of memory, and decodes 128 columns of one at a time
 * into shared memory, a pair of column groups a team of 16 threads; subgroup s multiplies rows 16 s.
 * Sums are written for 16 or 32 tokens, of which the last may lie behind n_tokens.
 * Workgroups: (any number up to that of units, 1, tile of 32 tokens).
 *
 * packed_matrix_k*.spv are made by scripts/matrix_shaders. */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#define DOT
#include "dot.glsl"

layout(push_constant) uniform Constants
{
    uint n_groups;    /* of a row */
    uint n_tokens;    /* of this dispatch */
    uint n_blocks;    /* scale blocks of a row */
    uint padded_rows;
};

layout(binding = 0) readonly buffer Codes { uvec2 codes[]; }; /* [row block][2 groups][K][16] */
layout(binding = 1) readonly buffer X { uvec4 x[]; };         /* [token][n_groups / 4] */
layout(binding = 2) readonly buffer Pairs { uint pairs[]; };  /* [256] plane a low, b high */
layout(binding = 3) writeonly buffer Sums { int sums[]; };    /* [token][n_blocks][padded_rows] */

#include "packed.glsl" /* workgroups of 256 */

const uint GROUPS = 32, TILE = 32; /* column groups and tokens of a tile */
const uint PITCH = GROUPS + 4;     /* words from row to row: no conflicts of banks */
const uint SCALE_BLOCK = 64;       /* column groups */

shared uint tile_w[128 * PITCH];
shared uvec4 tile_x[TILE * PITCH / 4];

#define Left coopmat<int8_t, gl_ScopeSubgroup, 16, 32, gl_MatrixUseA>
#define Right coopmat<int8_t, gl_ScopeSubgroup, 32, 16, gl_MatrixUseB>
#define Products coopmat<int, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>

/* A thread's part of a tile on its way: words of its pair of column groups, the last ones of the
 * group to the left, and 16 columns of a token. */
struct Piece {
    uvec2 words[K];
    uint previous[2];
    uvec4 x;
};

/* The tile from column group g of row block `block` on.  Behind the end of the scale block x is 0. */
Piece load(uint block, uint g, uint end)
{
    const uint i = gl_LocalInvocationIndex, row = i % 16, group = min(g + i / 16 * 2, end - 2);
    const uint pair = (block * n_groups + group) / 2, token = gl_WorkGroupID.z * TILE + i / 8;
    const uint four = g / 4 + i % 8;
    Piece piece;

    [[unroll]] for (uint v = 0; v < K; v++)
        piece.words[v] = codes[(pair * K + v) * 16 + row];
    piece.previous[0] = group > 0 ? codes[(pair * K - K + (K == 2 ? 0 : 1)) * 16 + row].y : 0;
    piece.previous[1] = group > 0 ? codes[(pair * K - 1) * 16 + row].y : 0;
    piece.x = token < n_tokens && 4 * four < end ? x[token * (n_groups / 4) + four] : uvec4(0);
    return piece;
}

void decode_piece(Piece piece)
{
    const uint i = gl_LocalInvocationIndex, row = i % 16, group = i / 16 * 2;

    tile_x[i / 8 * (PITCH / 4) + i % 8] = piece.x;
    [[unroll]] for (uint j = 0; j < 2; j++) {
        uvec2 pairs_of[4];
        uint v[K];

        [[unroll]] for (uint k = 0; k < K; k++)
            v[k] = piece.words[k][j];
        decode(v, piece.previous, pairs_of);
        [[unroll]] for (uint k = 0; k < 4; k++) {
            const uvec2 two = rows_of(pairs_of[k]) ^ 0x80808080u; /* weights + 128 */

            tile_w[(32 * k + row) * PITCH + group + j] = two.x;
            tile_w[(32 * k + 16 + row) * PITCH + group + j] = two.y;
        }
    }
}

void main()
{
    const uint n_units = padded_rows / 128 * n_blocks, subgroup = gl_LocalInvocationIndex / 32;
    const uint begin = n_units * gl_WorkGroupID.x / gl_NumWorkGroups.x;
    const uint end = n_units * (gl_WorkGroupID.x + 1) / gl_NumWorkGroups.x;
    const uint first_token = gl_WorkGroupID.z * TILE;
    const bool has_second = n_tokens > first_token + 16;
    uint unit = begin, g = unit % n_blocks * SCALE_BLOCK;
    Products low = Products(0);
    Products high = Products(0);
    Piece piece = load(unit / n_blocks, g, min(g + SCALE_BLOCK, n_groups));

    choose_places();
    fill_tables();
    while (unit < end) {
        const uint h = unit % n_blocks, block = unit / n_blocks;
        const bool is_last = g + GROUPS >= min((h + 1) * SCALE_BLOCK, n_groups); /* of the unit */

        barrier();
        decode_piece(piece);
        barrier();
        unit += is_last ? 1 : 0;
        g = is_last ? unit % n_blocks * SCALE_BLOCK : g + GROUPS;
        if (unit < end)
            piece = load(unit / n_blocks, g, min((unit % n_blocks + 1) * SCALE_BLOCK, n_groups));
        [[unroll]] for (uint k = 0; k < GROUPS; k += 8) {
            Left left;
            Right right;

            coopMatLoad(right, tile_w, subgroup * 16 * PITCH + k, PITCH,
                        gl_CooperativeMatrixLayoutColumnMajor);
            coopMatLoad(left, tile_x, k / 4, PITCH / 4, gl_CooperativeMatrixLayoutRowMajor);
            low = coopMatMulAdd(left, right, low);
            if (has_second) {
                coopMatLoad(left, tile_x, 16 * (PITCH / 4) + k / 4, PITCH / 4,
                            gl_CooperativeMatrixLayoutRowMajor);
                high = coopMatMulAdd(left, right, high);
            }
        }
        if (is_last) {
            const uint stride = n_blocks * padded_rows;
            const uint to = first_token * stride + h * padded_rows + block * 128 + subgroup * 16;

            coopMatStore(low, sums, to, stride, gl_CooperativeMatrixLayoutRowMajor);
            if (has_second)
                coopMatStore(high, sums, to + 16 * stride, stride,
                             gl_CooperativeMatrixLayoutRowMajor);
            low = Products(0);
            high = Products(0);
        }
    }
}
