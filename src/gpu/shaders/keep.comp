/* keep.comp -- put the tokens of sequences' partly filled last blocks into their open blocks, exactly,
 * after attention has read what was there before; where it reads nothing of that, rope.comp does it.
 *
 * Workgroups: (key heads, then value heads; row). */
#version 460
#extension GL_GOOGLE_include_directive : require
#define F16
#include "cache.glsl"
layout(local_size_x = 64) in;

layout(push_constant) uniform Constants
{
    uint begin, stride; /* floats of qkv */
    uint n_heads, n_kv_heads, head_dim;
    uint block_words, n_open;
};

layout(binding = 0) readonly buffer Qkv { float qkv[]; };
layout(binding = 1) readonly buffer Rows { Row rows[]; };
layout(binding = 2) readonly buffer Lists { uint lists[]; };
layout(binding = 3) buffer Cache { uint cache[]; };

#include "open.glsl"

void main()
{
    const uint head = gl_WorkGroupID.x, row = gl_WorkGroupID.y, pos = rows[row].pos;
    const uint at = begin + row * stride + (n_heads + head) * head_dim;
    const uint to = open_word(head % n_kv_heads, head / n_kv_heads, pos % BLOCK, head_dim);

    if (pos / BLOCK < rows[row].end / BLOCK)
        return;
    for (uint j = gl_LocalInvocationIndex; j < head_dim / 2; j += 64) {
        const vec2 pair = vec2(qkv[at + 2 * j], qkv[at + 2 * j + 1]);

        cache[open_place(rows[row].list, to + j)] = packHalf2x16(clamp(pair, -65504.0, 65504.0));
    }
}
