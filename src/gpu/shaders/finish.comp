/* finish.comp -- the outputs of a map.  Workgroups: (256 rows, token).
 *
 *   y = row_scale * F, then D_out H_out y if there is an output side (docs/codec.md, section 5); with
 *   `adds` y is added to what is there
 *
 * F is what gemm.comp leaves or, with SUMS, made here of the sums of packed.comp (weights + 128: bias
 * 128) or packed_matrix.comp (bias 0), scale blocks h ascending:
 *
 *   F = fma(sums - bias * sum of x, gain[h] * scale[t][h], F)
 *
 * What is added to is the residual stream, whose squares are summed for the norm that follows.
 *
 * A thread has four neighbouring rows.  The Hadamard block of the last rows may be 128. */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "hadamard.glsl"
#include "squares.glsl"
layout(local_size_x = 64) in;

layout(push_constant) uniform Constants
{
    uint n_rows;      /* outputs that are written */
    uint padded_rows;
    uint y_begin;     /* floats in front of token 0's outputs */
    uint y_stride;
    uint has_output_transform, adds;
    uint n_blocks;  /* SUMS */
    int bias;       /* SUMS */
    uint from_rows; /* of F or sums: all that the product made, */
    uint from_row;  /* and those in front of this part's */
};

#ifdef SUMS
layout(binding = 0) readonly buffer F { ivec4 sums[]; };     /* [token][n_blocks][from_rows / 4] */
layout(binding = 4) readonly buffer Scales { float scales[]; }; /* [token][n_blocks][2]: scale, sum */
layout(binding = 5) readonly buffer Gain { float gain[]; };     /* [n_blocks] */
#else
layout(binding = 0) readonly buffer F { vec4 f[]; };                /* [token][from_rows / 4] */
#endif
layout(binding = 1) readonly buffer RowScale { uint row_scale[]; }; /* [padded_rows / 2] binary16 */
layout(binding = 2) readonly buffer Signs { uint signs[]; };        /* [padded_rows / 32] */
layout(binding = 3) buffer Y { float y[]; };
layout(binding = 6) writeonly buffer Squares { float squares[]; }; /* [token][256 rows] */

#ifdef SUMS
const uint AHEAD = 24;           /* scale blocks that are loaded side by side */
const uint FACTORS = 5 * AHEAD; /* and whose factors are in shared memory */

shared float factors[FACTORS];
shared int biases[FACTORS];

void load(out ivec4 ahead[AHEAD], uint token, uint first, uint four)
{
    [[unroll]] for (uint j = 0; j < AHEAD; j++)
        ahead[j] = sums[((token * n_blocks + min(first + j, n_blocks - 1)) * from_rows + from_row) / 4 + four];
}

void load_factors(uint token, uint first)
{
    for (uint j = gl_LocalInvocationIndex; j < min(n_blocks - first, FACTORS); j += 64) {
        const uint block = token * n_blocks + first + j;

        factors[j] = gain[first + j] * scales[2 * block];
        biases[j] = bias * floatBitsToInt(scales[2 * block + 1]);
    }
}

/* F of four rows. */
vec4 total_of(uint token, uint four)
{
    ivec4 next[AHEAD];
    vec4 total = vec4(0);

    load(next, token, 0, four);
    for (uint first = 0; first < n_blocks; first += AHEAD) {
        const ivec4 now[AHEAD] = next;

        if (first % FACTORS == 0) {
            barrier();
            load_factors(token, first);
            barrier();
        }
        if (first + AHEAD < n_blocks)
            load(next, token, first + AHEAD, four);
        [[unroll]] for (uint j = 0; j < AHEAD; j++)
            if (first + j < n_blocks)
                total = fma(vec4(now[j] - biases[first % FACTORS + j]),
                            vec4(factors[first % FACTORS + j]), total);
    }
    return total;
}
#else
vec4 total_of(uint token, uint four) { return f[(token * from_rows + from_row) / 4 + four]; }
#endif

void main()
{
    const uint i = gl_LocalInvocationIndex, first_row = gl_WorkGroupID.x * BLOCK_COLS;
    const uint token = gl_WorkGroupID.y, n = min(padded_rows - first_row, BLOCK_COLS);
    const uint four = min(first_row + 4 * i, padded_rows - 4) / 4;
    const bool is_mixed = has_output_transform != 0;
    const uint row = first_row + (is_mixed ? i : 4 * i), step = is_mixed ? 64 : 1; /* results' */
    const uint to = y_begin + token * y_stride;
    vec4 old = vec4(0);
    bvec4 is_negated = bvec4(false);

    [[unroll]] for (uint e = 0; e < 4; e++) {
        const uint at = row + step * e;

        if (adds != 0 && at < n_rows)
            old[e] = y[to + at];
        if (is_mixed && at < n_rows)
            is_negated[e] = (signs[at / 32] >> at % 32 & 1) != 0;
    }
    const vec4 row_scales =
        vec4(unpackHalf2x16(row_scale[2 * four]), unpackHalf2x16(row_scale[2 * four + 1]));
    vec4 value = total_of(token, four) * row_scales;

    if (is_mixed)
        value = transform(i, n, value);
    [[unroll]] for (uint e = 0; e < 4; e++) {
        const uint at = row + step * e;

        if (is_negated[e])
            value[e] = -value[e];
        if (adds != 0)
            value[e] += old[e];
        if (at < n_rows)
            y[to + at] = value[e];
    }
    if (adds == 0)
        return;
    barrier();
    [[unroll]] for (uint e = 0; e < 4; e++)
        values[row + step * e - first_row] = row + step * e < n_rows ? value[e] : 0;
    const float sum = sum_of_squares(i);
    if (i == 0)
        squares[token * gl_NumWorkGroups.x + gl_WorkGroupID.x] = sum;
}
