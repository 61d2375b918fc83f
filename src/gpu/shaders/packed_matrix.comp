/* packed_matrix.comp -- as packed.comp for up to 32 rows, with cooperative matrices of int8.
 *
 *   sums[t][h][row] = sum over the columns of scale block h of v[row, col] * x[t, col]
 *
 * A workgroup has a run of units, in the order of memory, and decodes 128 columns of one at a time
 * into shared memory, a column group a team of 16 threads; subgroup s multiplies rows 16 (s % 8) with
 * tokens 16 (s / 8).  Sums are written for 16 or 32 tokens, of which the last may lie behind n_tokens.
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

layout(binding = 0) readonly buffer Codes { uint codes[]; };  /* [row block][2 groups][K][16][group] */
layout(binding = 1) readonly buffer X { uvec4 x[]; };         /* [token][n_groups / 4] */
layout(binding = 2) readonly buffer Pairs { uint pairs[]; };  /* [256] plane a low, b high */
layout(binding = 3) writeonly buffer Sums { int sums[]; };    /* [token][n_blocks][padded_rows] */

#include "packed.glsl" /* workgroups of 512 */

const uint GROUPS = 32, TILE = 32; /* column groups and tokens of a tile */
const uint PITCH = GROUPS / 4 + 1; /* fours of words from row to row: no conflicts of banks */
const uint SCALE_BLOCK = 64;       /* column groups */

shared uvec4 tile_w[128 * PITCH]; /* matrices are loaded faster from fours */
shared uvec4 tile_x[TILE * PITCH];

#define Left coopmat<int8_t, gl_ScopeSubgroup, 16, 32, gl_MatrixUseA>
#define Right coopmat<int8_t, gl_ScopeSubgroup, 32, 16, gl_MatrixUseB>
#define Products coopmat<int, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>

/* A thread's part of a tile on its way: words of its column group, the last ones of the group to the
 * left, and 16 columns of a token (half of the threads). */
struct Piece {
    uint words[K];
    uint previous[2];
    uvec4 x;
};

/* Word v of a column group, for the rows that are r modulo 16 of a row block. */
uint word_of(uint block, uint group, uint v, uint r)
{
    return codes[(((block * n_groups + group) / 2 * K + v) * 16 + r) * 2 + group % 2];
}

/* The tile from column group g of row block `block` on.  Behind the end of the scale block x is 0. */
Piece load(uint block, uint g, uint end)
{
    const uint i = gl_LocalInvocationIndex, r = i % 16, group = min(g + i / 16, end - 1);
    const uint token = gl_WorkGroupID.z * TILE + i / 8, four = g / 4 + i % 8;
    Piece piece;

    [[unroll]] for (uint v = 0; v < K; v++)
        piece.words[v] = word_of(block, group, v, r);
    piece.previous[0] = group > 0 ? word_of(block, group - 1, K == 2 ? 0 : 1, r) : 0;
    piece.previous[1] = group > 0 ? word_of(block, group - 1, K - 1, r) : 0;
    piece.x = i < 8 * TILE && token < n_tokens && 4 * four < end ? x[token * (n_groups / 4) + four]
                                                                 : uvec4(0);
    return piece;
}

void decode_piece(Piece piece)
{
    const uint i = gl_LocalInvocationIndex, row = i % 16, group = i / 16;
    uvec2 pairs_of[4];

    if (i < 8 * TILE)
        tile_x[i / 8 * PITCH + i % 8] = piece.x;
    decode(piece.words, piece.previous, pairs_of);
    [[unroll]] for (uint k = 0; k < 4; k++) {
        const uvec2 two = rows_of(pairs_of[k]) ^ 0x80808080u; /* weights + 128 */

        tile_w[(32 * k + row) * PITCH + group / 4][group % 4] = two.x;
        tile_w[(32 * k + 16 + row) * PITCH + group / 4][group % 4] = two.y;
    }
}

void main()
{
    const uint n_units = padded_rows / 128 * n_blocks, subgroup = gl_LocalInvocationIndex / 32;
    const uint begin = n_units * gl_WorkGroupID.x / gl_NumWorkGroups.x;
    const uint end = n_units * (gl_WorkGroupID.x + 1) / gl_NumWorkGroups.x;
    const uint rows = subgroup % 8 * 16, tokens = subgroup / 8 * 16; /* of the tile */
    const uint first_token = gl_WorkGroupID.z * TILE + tokens;
    const bool is_used = first_token < n_tokens;
    uint unit = begin, g = unit % n_blocks * SCALE_BLOCK;
    Products sum = Products(0);
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
        if (is_used) {
            [[unroll]] for (uint k = 0; k < GROUPS / 4; k += 2) {
                Left left;
                Right right;

                coopMatLoad(left, tile_x, tokens * PITCH + k, PITCH,
                            gl_CooperativeMatrixLayoutRowMajor);
                coopMatLoad(right, tile_w, rows * PITCH + k, PITCH,
                            gl_CooperativeMatrixLayoutColumnMajor);
                sum = coopMatMulAdd(left, right, sum);
            }
            if (is_last) {
                coopMatStore(sum, sums,
                             (first_token * n_blocks + h) * padded_rows + block * 128 + rows,
                             n_blocks * padded_rows, gl_CooperativeMatrixLayoutRowMajor);
                sum = Products(0);
            }
        }
    }
}
