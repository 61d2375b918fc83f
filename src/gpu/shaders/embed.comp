/* embed.comp -- rows of a packed embedding, without an output side (docs/codec.md, section 5).
 *
 *   x[t] = D_in H_in w,  w[col] = row_scale[id] * gain[h] * v[id, col],  id = ids[t]
 *
 * Workgroups: (scale block, token), a thread with a column group. */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "hadamard.glsl"
#include "windows.glsl"
layout(local_size_x = 64) in;

layout(push_constant) uniform Constants
{
    uint n_groups; /* of a row */
    uint n_cols;
    uint x_begin; /* floats in front of token 0 */
    uint x_stride;
};

layout(binding = 0) readonly buffer Codes { uvec2 codes[]; }; /* [row block][2 groups][K][16] */
layout(binding = 1) readonly buffer Pairs { uint pairs[]; };  /* [256] plane a low, b high */
layout(binding = 2) readonly buffer RowScale { uint row_scale[]; }; /* [padded_rows / 2] binary16 */
layout(binding = 3) readonly buffer Gain { float gain[]; };         /* [n_blocks] */
layout(binding = 4) readonly buffer Signs { uint signs[]; };        /* [padded_cols / 32] */
layout(binding = 5) readonly buffer Ids { uint ids[]; };
layout(binding = 6) writeonly buffer X { float x[]; };

/* Word v of a column group, for the rows that are r modulo 16 of a row block. */
uint word_of(uint block, uint group, uint v, uint r)
{
    return codes[((block * n_groups + group) / 2 * K + v) * 16 + r][group % 2];
}

/* The weights of a row in four columns. */
vec4 weights(uint row, uint group)
{
    const uint block = row / 128, step = row % 128 / 16, r = row % 16, shift = 8 * (step % 2);
    uint v[K], previous[2] = {0, 0}, a[4], b[4];
    vec4 value;

    [[unroll]] for (uint i = 0; i < K; i++)
        v[i] = word_of(block, group, i, r);
    if (group > 0) {
        previous[0] = word_of(block, group - 1, K == 2 ? 0 : 1, r);
        previous[1] = word_of(block, group - 1, K - 1, r);
    }
    windows_of(v, previous, a, b);
    [[unroll]] for (uint c = 0; c < 4; c++) {
        const uint pair_a = pairs[bitfieldExtract(a[step / 2], int(8 * c), 8)];
        const uint pair_b = pairs[bitfieldExtract(b[step / 2], int(8 * c), 8)];

        value[c] = float(int(pair_a >> shift & 255) + int(pair_b >> (16 + shift) & 255) - 128);
    }
    return value;
}

void main()
{
    const uint i = gl_LocalInvocationIndex, h = gl_WorkGroupID.x, token = gl_WorkGroupID.y;
    const uint group = 64 * h + i, row = ids[token];
    const vec2 scales = unpackHalf2x16(row_scale[row / 2]);
    vec4 value = vec4(0);

    if (group < n_groups)
        value = (row % 2 == 0 ? scales.x : scales.y) * gain[h] * weights(row, group);
    value = transform(i, min(4 * n_groups - BLOCK_COLS * h, BLOCK_COLS), value);
    [[unroll]] for (uint e = 0; e < 4; e++) {
        const uint col = BLOCK_COLS * h + i + 64 * e;

        if (col < n_cols)
            x[x_begin + token * x_stride + col] =
                (signs[col / 32] >> col % 32 & 1) != 0 ? -value[e] : value[e];
    }
}
