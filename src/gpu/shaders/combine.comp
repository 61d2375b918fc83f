/* combine.comp -- puts the spans of attention.comp together, in the order of positions.
 *
 * Workgroups: (head, row). */
#version 460
#extension GL_GOOGLE_include_directive : require
#define F16
#include "cache.glsl"
layout(local_size_x = 128) in;

layout(push_constant) uniform Constants
{
    uint out_begin, out_stride; /* floats */
    uint n_heads, head_dim;
    uint first_row; /* of this dispatch */
    uint n_spans;   /* room for each head in partial */
};

layout(binding = 0) buffer Out { float heads[]; };
layout(binding = 1) readonly buffer Rows { Row rows[]; };
layout(binding = 2) readonly buffer Partial { float partial[]; };

const uint SPAN = 256;

void main()
{
    const uint head = gl_WorkGroupID.x, row = first_row + gl_WorkGroupID.y;
    const uint n = rows[row].pos / SPAN + 1;
    const uint from = (gl_WorkGroupID.y * n_heads + head) * n_spans * (head_dim + 2);
    float greatest = partial[from], sum = 0;

    for (uint s = 1; s < n; s++)
        greatest = max(greatest, partial[from + s * (head_dim + 2)]);
    for (uint s = 0; s < n; s++) {
        const uint at = from + s * (head_dim + 2);

        sum += partial[at + 1] * exp(partial[at] - greatest);
    }
    for (uint j = gl_LocalInvocationIndex; j < head_dim; j += 128) {
        float value = 0;

        for (uint s = 0; s < n; s++) {
            const uint at = from + s * (head_dim + 2);

            value += partial[at + 2 + j] * exp(partial[at] - greatest);
        }
        heads[out_begin + row * out_stride + head * head_dim + j] = value / sum;
    }
}
