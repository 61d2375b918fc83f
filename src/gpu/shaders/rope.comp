/* rope.comp -- rotate queries in place, rotate keys, and put keys and values into the cache.
 *
 * Su et al. 2021 (RoFormer), eq. 34: pairs (i, i + n_pairs), or (2 i, 2 i + 1) if interleaved.
 * Binary16 saturates.  Coded caches: all heads are rotated once more, by a Hadamard transform (Ashkboos
 * et al. 2024, QuaRot, section 4), and keys and values stay in qkv, too.
 * Workgroups: (head of q, k or v; row). */
#version 460
#extension GL_GOOGLE_include_directive : require
#include "cache.glsl"
#include "rotate.glsl"
layout(local_size_x = 128) in;

layout(push_constant) uniform Constants
{
    uint begin, stride; /* floats of qkv */
    uint n_heads, n_kv_heads, head_dim, n_pairs, interleaved;
    uint block_words; /* of a block */
    uint n_open;      /* coded: open blocks of a sequence */
    uint keeps;       /* coded: does what keep.comp does */
};

layout(binding = 0) buffer Qkv { float qkv[]; };
layout(binding = 1) readonly buffer Rows { Row rows[]; };
layout(binding = 2) readonly buffer Lists { uint lists[]; };
layout(binding = 3) readonly buffer Angles { float angles[]; }; /* [row][cosine, sine][n_pairs] */
layout(binding = 4) buffer Cache { uint cache[]; };

#ifdef CODED
shared uint most[8]; /* of a group: bits of the largest magnitude; NaN is above all */

uint half_of(float x) { return packHalf2x16(vec2(clamp(x, -65504.0, 65504.0), 0)); }

#include "open.glsl"

/* values[head_dim] into the open blocks. */
void keep(uint i, uint list, uint word)
{
    for (uint j = i; j < head_dim / 2; j += 128)
        cache[open_place(list, word + j)] =
            packHalf2x16(clamp(vec2(values[2 * j], values[2 * j + 1]), -65504.0, 65504.0));
}

/* values[head_dim] as a token of a side that begins at word `to`. */
void encode(uint i, uint to, uint token)
{
#ifdef Q8
    const float steps = 127;
#else
    const float steps = 7.5;
#endif
    const uint words = head_dim / EACH, n_groups = head_dim / GROUP;

    if (i < 8)
        most[i] = 0;
    barrier();
    for (uint j = i; j < head_dim; j += 128)
        atomicMax(most[j / GROUP], floatBitsToUint(abs(values[j])));
    barrier();
    for (uint j = i; j < words; j += 128) {
        const uint largest = most[j * EACH / GROUP];
        const bool is_finite = largest < 0x7f800000;
        const float scale = unpackHalf2x16(half_of(uintBitsToFloat(largest) / steps)).x;
        uint word = 0;

        for (uint e = 0; e < EACH; e++) {
            const float value = scale > 0 ? values[j * EACH + e] / scale : 0;
#ifdef Q8
            const uint code = uint(int(roundEven(clamp(value, -127.0, 127.0)))) & 255;
#else
            const uint code = uint(roundEven(clamp(value + 7.5, 0.0, 15.0)));
#endif
            word |= code << place_of(e);
        }
        cache[to + token * words + j] = is_finite ? word : 0;
    }
    if (i < n_groups / 2) {
        uint scales = 0;

        for (uint e = 0; e < 2; e++) {
            const uint largest = most[2 * i + e];

            scales |= (largest < 0x7f800000 ? half_of(uintBitsToFloat(largest) / steps) : 0x7e00)
                      << 16 * e;
        }
        cache[to + BLOCK * words + token * (n_groups / 2) + i] = scales;
    }
}
#endif

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
#ifdef CODED
    rotate_head(i, head_dim);
    const bool is_kept = true;
#else
    const bool is_kept = head < n_heads;
#endif
    if (is_kept)
        for (uint j = i; j < head_dim; j += 128)
            qkv[at + j] = values[j];
    if (head < n_heads)
        return;
    const uint is_value = head >= n_heads + n_kv_heads ? 1 : 0;
    const uint kv_head = (head - n_heads) % n_kv_heads, pos = rows[row].pos;
    const uint block = lists[rows[row].list + pos / BLOCK];
    const uint to = block * block_words + (2 * kv_head + is_value) * side_words(head_dim);

#ifdef CODED
    encode(i, to, pos % BLOCK);
    if (keeps != 0 && pos / BLOCK >= rows[row].end / BLOCK)
        keep(i, rows[row].list, open_word(kv_head, is_value, pos % BLOCK, head_dim));
#else
    const uint words = head_dim / EACH;

    for (uint j = i; j < words; j += 128) {
#ifdef F16
        const vec2 pair = vec2(values[2 * j], values[2 * j + 1]);

        cache[to + pos % BLOCK * words + j] = packHalf2x16(clamp(pair, -65504.0, 65504.0));
#else
        cache[to + pos % BLOCK * words + j] = floatBitsToUint(values[j]);
#endif
    }
#endif
}
