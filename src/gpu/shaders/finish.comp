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
 * A thread has four neighbouring rows.  The Hadamard block of the last rows may be 128. */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "hadamard.glsl"
layout(local_size_x = 64) in;

layout(push_constant) uniform Constants
{
    uint n_rows;      /* outputs that are written */
    uint padded_rows;
    uint y_begin;     /* floats in front of token 0's outputs */
    uint y_stride;
    uint has_output_transform, adds;
    uint n_blocks; /* SUMS */
    int bias;
};

#ifdef SUMS
layout(binding = 0) readonly buffer F { ivec4 sums[]; };     /* [token][n_blocks][padded_rows / 4] */
layout(binding = 4) readonly buffer Scales { float scales[]; }; /* [token][n_blocks][2]: scale, sum */
layout(binding = 5) readonly buffer Gain { float gain[]; };     /* [n_blocks] */
#else
layout(binding = 0) readonly buffer F { vec4 f[]; };                /* [token][padded_rows / 4] */
#endif
layout(binding = 1) readonly buffer RowScale { uint row_scale[]; }; /* [padded_rows / 2] binary16 */
layout(binding = 2) readonly buffer Signs { uint signs[]; };        /* [padded_rows / 32] */
layout(binding = 3) buffer Y { float y[]; };

#ifdef SUMS
const uint AHEAD = 24; /* scale blocks at a time; the order of the additions stays */

shared float factors[AHEAD];
shared int biases[AHEAD];

/* F of four rows. */
vec4 total_of(uint token, uint four)
{
    const uint i = gl_LocalInvocationIndex;
    vec4 total = vec4(0);

    for (uint first = 0; first < n_blocks; first += AHEAD) {
        const uint n = min(n_blocks - first, AHEAD), from = token * n_blocks + first;
        ivec4 ahead[AHEAD]; /* loads side by side */

        [[unroll]] for (uint j = 0; j < AHEAD; j++)
            ahead[j] = sums[(from + min(j, n - 1)) * (padded_rows / 4) + four];
        if (i < n) {
            factors[i] = gain[first + i] * scales[2 * (from + i)];
            biases[i] = bias * floatBitsToInt(scales[2 * (from + i) + 1]);
        }
        barrier();
        [[unroll]] for (uint j = 0; j < AHEAD; j++)
            if (j < n)
                total = fma(vec4(ahead[j] - biases[j]), vec4(factors[j]), total);
        barrier();
    }
    return total;
}
#else
vec4 total_of(uint token, uint four) { return f[token * (padded_rows / 4) + four]; }
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

    [[unroll]] for (uint e = 0; e < 4; e++)
        if (adds != 0 && row + step * e < n_rows)
            old[e] = y[to + row + step * e];
    vec4 value = total_of(token, four) * vec4(unpackHalf2x16(row_scale[2 * four]),
                                              unpackHalf2x16(row_scale[2 * four + 1]));
    if (is_mixed)
        value = transform(i, n, value);
    [[unroll]] for (uint e = 0; e < 4; e++) {
        const uint at = row + step * e;

        if (at < n_rows) {
            const bool is_negated = is_mixed && (signs[at / 32] >> at % 32 & 1) != 0;
            const float result = is_negated ? -value[e] : value[e];

            y[to + at] = adds != 0 ? old[e] + result : result;
        }
    }
}
