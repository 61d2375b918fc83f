/* rope.comp -- rotate queries in place, rotate keys, and put keys and values into the cache.
 *
 * Su et al. 2021 (RoFormer), eq. 34: pairs (i, i + n_pairs), or (2 i, 2 i + 1) if interleaved.
 * Binary16 saturates.  Workgroups: (head of q, k or v; row). */
#version 460
#extension GL_GOOGLE_include_directive : require
#include "cache.glsl"
layout(local_size_x = 128) in;

layout(push_constant) uniform Constants
{
    uint begin, stride; /* floats of qkv */
    uint n_heads, n_kv_heads, head_dim, n_pairs, interleaved;
};

layout(binding = 0) buffer Qkv { float qkv[]; };
layout(binding = 1) readonly buffer Rows { Row rows[]; };
layout(binding = 2) readonly buffer Lists { uint lists[]; };
layout(binding = 3) readonly buffer Angles { float angles[]; }; /* [row][cosine, sine][n_pairs] */
layout(binding = 4) buffer Cache { uint cache[]; };

shared float values[256];

void main()
{
    const uint head = gl_WorkGroupID.x, row = gl_WorkGroupID.y, i = gl_LocalInvocationIndex;
    const uint at = begin + row * stride + head * head_dim;
    const bool is_rotated = head < n_heads + n_kv_heads;

    for (uint j = i; j < head_dim; j += 128)
        values[j] = qkv[at + j];
    barrier();
    if (is_rotated && i < n_pairs) {
        const float c = angles[2 * row * n_pairs + i], s = angles[(2 * row + 1) * n_pairs + i];
        const uint first = interleaved != 0 ? 2 * i : i;
        const uint second = interleaved != 0 ? first + 1 : i + n_pairs;
        const float a = values[first], b = values[second];

        values[first] = a * c - b * s;
        values[second] = b * c + a * s;
    }
    barrier();
    if (head < n_heads) {
        for (uint j = i; j < head_dim; j += 128)
            qkv[at + j] = values[j];
        return;
    }
    const bool is_value = head >= n_heads + n_kv_heads;
    const uint kv_head = (head - n_heads) % n_kv_heads, pos = rows[row].pos;
    const uint block = lists[rows[row].list + pos / BLOCK], words = head_dim / EACH;
    const uint to = (((block * n_kv_heads + kv_head) * 2 + uint(is_value)) * BLOCK + pos % BLOCK) * words;

    for (uint j = i; j < words; j += 128) {
#ifdef F16
        cache[to + j] = packHalf2x16(clamp(vec2(values[2 * j], values[2 * j + 1]), -65504.0, 65504.0));
#else
        cache[to + j] = floatBitsToUint(values[j]);
#endif
    }
}
