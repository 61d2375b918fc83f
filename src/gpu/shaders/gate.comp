/* gate.comp -- rows [gate, up] of d_ff each: gate = up * silu(gate).  Shazeer 2020 (SwiGLU).
 *
 * Workgroups: (256 columns, row). */
#version 460
layout(local_size_x = 256) in;

layout(push_constant) uniform Constants
{
    uint d_ff, begin, stride; /* floats */
};

layout(binding = 0) buffer Rows { float rows[]; };

void main()
{
    const uint at = begin + gl_WorkGroupID.y * stride + gl_GlobalInvocationID.x;

    if (gl_GlobalInvocationID.x < d_ff) {
        const float g = rows[at], e = exp(-abs(g)); /* at most 1: nothing overflows */

        rows[at] = rows[at + d_ff] * (g * ((g < 0 ? e : 1) / (1 + e)));
    }
}
