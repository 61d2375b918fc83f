/* combine.comp -- puts the spans of attention.comp together, in the order of positions, and rotates heads
 * of coded caches back.
 *
 * Workgroups: (head, row). */
#version 460
#extension GL_GOOGLE_include_directive : require
#define F16
#include "cache.glsl"
#include "rotate.glsl"
#include "spans.glsl"
layout(local_size_x = 128) in;

layout(push_constant) uniform Constants
{
    uint out_begin, out_stride; /* floats */
    uint n_heads, head_dim;
    uint first_row; /* of this dispatch */
    uint n_spans;   /* room for each head in partial */
    uint is_coded;
};

layout(binding = 0) buffer Out { float heads[]; };
layout(binding = 1) readonly buffer Rows { Row rows[]; };
layout(binding = 2) readonly buffer Partial { float partial[]; };

const uint SPAN = 256;

void main()
{
    const uint head = gl_WorkGroupID.x, row = first_row + gl_WorkGroupID.y;
    const uint n = rows[row].pos / SPAN + 1, each = head_dim + 2;
    const uint from = (gl_WorkGroupID.y * n_heads + head) * n_spans * each;

    for (uint j = gl_LocalInvocationIndex; j < head_dim; j += 128) {
        float greatest = MINUS_INFINITY, sum = 0, value = 0;

        for (uint at = from; at < from + n * each; at += each) {
            float old, new;

            merge(greatest, partial[at], old, new);
            sum = fma(partial[at + 1], new, sum * old);
            value = fma(partial[at + 2 + j], new, value * old);
        }
        values[j] = value / sum;
    }
    if (is_coded != 0)
        rotate_head(gl_LocalInvocationIndex, head_dim);
    for (uint j = gl_LocalInvocationIndex; j < head_dim; j += 128) /* a thread's own, or ordered */
        heads[out_begin + row * out_stride + head * head_dim + j] = values[j];
}
