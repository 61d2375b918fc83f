/* finish.comp -- from integer sums to outputs, and the output side of the transform.
 *
 *   y[t][row] = row_scale[row] * F,  F = fma(sum_h, gain[h] * scale[t][h], F) for h ascending,
 *   then D_out H_out y if there is an output side (docs/codec.md, section 5).
 *
 * With `adds` y is added to what is there.
 *
 * Workgroups: (256 rows, token).  The Hadamard block of the last rows may be 128. */
#version 460
#extension GL_EXT_control_flow_attributes : require
layout(local_size_x = 256) in;

layout(push_constant) uniform Constants
{
    uint n_rows;      /* outputs that are written */
    uint padded_rows;
    uint n_blocks;    /* scale blocks of a row */
    uint y_begin;     /* floats in front of token 0's outputs */
    uint y_stride;
    uint has_output_transform, adds;
};

#ifdef FLOAT /* F itself, from gemm.comp */
layout(binding = 0) readonly buffer Sums { float sums[]; };      /* [token][padded_rows] */
#else
layout(binding = 0) readonly buffer Sums { int sums[]; };        /* [token][n_blocks][padded_rows] */
#endif
layout(binding = 1) readonly buffer Scales { float scales[]; };  /* [token][n_blocks][2]: scale, sum */
layout(binding = 2) readonly buffer RowScale { uint row_scale[]; }; /* [padded_rows / 2] binary16 */
layout(binding = 3) readonly buffer Gain { float gain[]; };      /* [n_blocks] */
layout(binding = 4) readonly buffer Signs { uint signs[]; };     /* [padded_rows / 32] */
layout(binding = 5) buffer Y { float y[]; };

shared float values[256];

const uint AHEAD = 10;

void main()
{
    const uint i = gl_LocalInvocationIndex, row = gl_WorkGroupID.x * 256 + i;
    const uint token = gl_WorkGroupID.y;
    const uint n = min(padded_rows - gl_WorkGroupID.x * 256, 256u); /* 256 or 128 */
    float value = 0;

    if (row < padded_rows) {
#ifdef FLOAT
        value = sums[token * padded_rows + row];
#else
        for (uint first = 0; first < n_blocks; first += AHEAD) {
            int ahead[AHEAD]; /* loads side by side; the order of the additions stays */

            [[unroll]] for (uint j = 0; j < AHEAD; j++)
                ahead[j] = sums[(token * n_blocks + min(first + j, n_blocks - 1)) * padded_rows + row];
            [[unroll]] for (uint j = 0; j < AHEAD; j++) {
                const uint h = min(first + j, n_blocks - 1), block = token * n_blocks + h;
                const int bias = 128 * floatBitsToInt(scales[2 * block + 1]);
                const float next = fma(float(ahead[j] - bias), gain[h] * scales[2 * block], value);

                value = first + j < n_blocks ? next : value;
            }
        }
#endif
        const vec2 scale = unpackHalf2x16(row_scale[row / 2]);
        value *= row % 2 == 0 ? scale.x : scale.y;
    }
    if (has_output_transform != 0) {
        for (uint d = 1; d < n; d *= 2) {
            values[i] = value;
            barrier();
            const float other = values[i ^ d];
            value = (i & d) == 0 ? value + other : other - value;
            barrier();
        }
        value *= n == 256 ? 0.0625 : 0.088388346;
    }
    if (row < n_rows) {
        if (has_output_transform != 0 && (signs[row / 32] >> row % 32 & 1) != 0)
            value = -value;
        const uint at = y_begin + token * y_stride + row;

        y[at] = adds != 0 ? y[at] + value : value;
    }
}
