/* attention.comp -- causal attention over one span of positions, with a running softmax.
 *
 * Dao et al. 2022 (FlashAttention); spans side by side as in Dao et al. 2023 (Flash-Decoding).
 * Spans are cut at fixed positions, so a row's result does not depend on what runs beside it.
 * combine.comp puts the spans together.
 *
 *   partial[(i * n_heads + head) * n_spans + span] = greatest score, sum of exponentials,
 *                                                    weighted values[head_dim],
 *   i-th row of this dispatch
 *
 * Workgroups: (span, head, row).  Of 128 threads each scores one of 128 positions; then a thread
 * adds the values of a word's columns, over every TEAMSth position. */
#version 460
#extension GL_GOOGLE_include_directive : require
#include "cache.glsl"
layout(local_size_x = 128) in;

layout(push_constant) uniform Constants
{
    uint q_begin, q_stride; /* floats */
    uint n_heads, n_kv_heads, head_dim;
    uint first_row; /* of this dispatch */
    uint n_spans;   /* room for each head in partial */
    float scale;    /* 1 / sqrt(head_dim) */
};

layout(binding = 0) readonly buffer Qkv { float qkv[]; };
layout(binding = 1) readonly buffer Rows { Row rows[]; };
layout(binding = 2) readonly buffer Lists { uint lists[]; };
layout(binding = 3) readonly buffer Cache { uint cache[]; };
layout(binding = 4) buffer Partial { float partial[]; };

const uint SPAN = 256, CHUNK = 128;

shared float q[256];
shared float scores[CHUNK];
shared float reduced[CHUNK];
shared float parts[256 + CHUNK]; /* [team][head_dim] */

#ifdef F16
vec2 values_of(uint word) { return unpackHalf2x16(word); }
#else
vec2 values_of(uint word) { return vec2(uintBitsToFloat(word), 0); }
#endif

float reduce_max(uint i, float value)
{
    reduced[i] = value;
    barrier();
    for (uint d = CHUNK / 2; d > 0; d /= 2) {
        if (i < d)
            reduced[i] = max(reduced[i], reduced[i + d]);
        barrier();
    }
    const float result = reduced[0];
    barrier();
    return result;
}

float reduce_sum(uint i, float value)
{
    reduced[i] = value;
    barrier();
    for (uint d = CHUNK / 2; d > 0; d /= 2) {
        if (i < d)
            reduced[i] += reduced[i + d];
        barrier();
    }
    const float result = reduced[0];
    barrier();
    return result;
}

void main()
{
    const uint i = gl_LocalInvocationIndex, span = gl_WorkGroupID.x, head = gl_WorkGroupID.y;
    const uint row = first_row + gl_WorkGroupID.z;
    const uint pos = rows[row].pos, list = rows[row].list;
    const uint kv_head = head * n_kv_heads / n_heads, words = head_dim / EACH;
    const uint n_words = BLOCK * words; /* of keys, or of values, of a block and head */
    const uint teams = max(CHUNK / words, 1), team = i / words;
    float greatest = uintBitsToFloat(0xff800000u), sum = 0; /* greatest = -infinity */
    vec2 added[2] = {vec2(0), vec2(0)}; /* of words i % words and, if there are more, i + CHUNK */

    if (span * SPAN > pos)
        return;
    for (uint j = i; j < head_dim; j += CHUNK)
        q[j] = qkv[q_begin + row * q_stride + head * head_dim + j] * scale;
    barrier();
    for (uint begin = span * SPAN; begin < min((span + 1) * SPAN, pos + 1); begin += CHUNK) {
        const uint n = min(CHUNK, pos + 1 - begin);
        float score = uintBitsToFloat(0xff800000u);

        if (i < n) {
            const uint block = lists[list + (begin + i) / BLOCK];
            const uint key = (block * n_kv_heads + kv_head) * 2 * n_words + (begin + i) % BLOCK * words;

            score = 0;
            for (uint j = 0; j < words; j++) {
                const vec2 k = values_of(cache[key + j]);

                score = fma(q[EACH * j], k.x, score);
                if (EACH == 2)
                    score = fma(q[EACH * j + EACH - 1], k.y, score);
            }
        }
        const float most = max(greatest, reduce_max(i, score));
        const float p = i < n ? exp(score - most) : 0, shrink = exp(greatest - most);

        scores[i] = p;
        sum = sum * shrink + reduce_sum(i, p); /* its barriers order scores, too */
        greatest = most;
        added[0] *= shrink;
        added[1] *= shrink;
        if (team < teams)
            for (uint t = team; t < n; t += teams) {
                const uint block = lists[list + (begin + t) / BLOCK];
                const uint value = ((block * n_kv_heads + kv_head) * 2 + 1) * n_words +
                                   (begin + t) % BLOCK * words;

                added[0] = fma(vec2(scores[t]), values_of(cache[value + i % words]), added[0]);
                if (words > CHUNK && i + CHUNK < words)
                    added[1] = fma(vec2(scores[t]), values_of(cache[value + i + CHUNK]), added[1]);
            }
        barrier();
    }
    const uint to = ((gl_WorkGroupID.z * n_heads + head) * n_spans + span) * (head_dim + 2);
    if (words <= CHUNK && team < teams) {
        for (uint e = 0; e < EACH; e++)
            parts[team * head_dim + i % words * EACH + e] = added[0][e];
    } else if (words > CHUNK) { /* one team, float32 */
        parts[i] = added[0].x;
        if (i + CHUNK < words)
            parts[i + CHUNK] = added[1].x;
    }
    barrier();
    for (uint j = i; j < head_dim; j += CHUNK) {
        float value = 0;

        for (uint k = 0; k < teams; k++)
            value += parts[k * head_dim + j];
        partial[to + 2 + j] = value;
    }
    if (i == 0) {
        partial[to] = greatest;
        partial[to + 1] = sum;
    }
}
