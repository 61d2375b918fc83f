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
 * Workgroups: (span, four query heads that share a key/value head, row): a vec4 is one value of each
 * of the four, so that keys and values are read once for them.  Of 128 threads each scores one of
 * 128 positions; then a thread adds the values of a word's columns, over every TEAMSth position. */
#version 460
#extension GL_GOOGLE_include_directive : require
#include "cache.glsl"
#include "spans.glsl"
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

shared vec4 q[256];
shared vec4 scores[CHUNK];
shared vec4 reduced[CHUNK];
shared vec4 parts[256 + CHUNK]; /* [team][head_dim] */

#ifdef F16
vec2 values_of(uint word) { return unpackHalf2x16(word); }
#else
vec2 values_of(uint word) { return vec2(uintBitsToFloat(word), 0); }
#endif

vec4 reduce_max(uint i, vec4 value)
{
    reduced[i] = value;
    barrier();
    for (uint d = CHUNK / 2; d > 0; d /= 2) {
        if (i < d)
            reduced[i] = max(reduced[i], reduced[i + d]);
        barrier();
    }
    const vec4 result = reduced[0];
    barrier();
    return result;
}

vec4 reduce_sum(uint i, vec4 value)
{
    reduced[i] = value;
    barrier();
    for (uint d = CHUNK / 2; d > 0; d /= 2) {
        if (i < d)
            reduced[i] += reduced[i + d];
        barrier();
    }
    const vec4 result = reduced[0];
    barrier();
    return result;
}

/* Where a position's keys of a head begin; its values are n_words behind. */
uint find(uint list, uint pos, uint kv_head, uint n_words)
{
    return (lists[list + pos / BLOCK] * n_kv_heads + kv_head) * 2 * n_words +
           pos % BLOCK * (n_words / BLOCK);
}

vec4 score_of(uint key, uint words)
{
    vec4 score = vec4(0);

    for (uint j = 0; j < words; j++) {
        const vec2 k = values_of(cache[key + j]);

        score = fma(q[EACH * j], vec4(k.x), score);
        if (EACH == 2)
            score = fma(q[EACH * j + EACH - 1], vec4(k.y), score);
    }
    return score;
}

void main()
{
    const uint i = gl_LocalInvocationIndex, span = gl_WorkGroupID.x;
    const uint group = n_heads / n_kv_heads, fours = (group + 3) / 4;
    const uint kv_head = gl_WorkGroupID.y / fours, first = gl_WorkGroupID.y % fours * 4;
    const uint n_here = min(group - first, 4), head = kv_head * group + first;
    const uint row = first_row + gl_WorkGroupID.z, pos = rows[row].pos, list = rows[row].list;
    const uint words = head_dim / EACH, n_words = BLOCK * words; /* of keys of a block and head */
    const uint teams = max(CHUNK / words, 1), team = i / words, word = i % words;
    const bool has_second = words > CHUNK && i + CHUNK < words; /* float32, more than 128 */
    vec4 greatest = vec4(MINUS_INFINITY), sum = vec4(0);
    vec4 added[EACH], second = vec4(0);

    if (span * SPAN > pos)
        return;
    for (uint e = 0; e < EACH; e++)
        added[e] = vec4(0);
    for (uint j = i; j < head_dim; j += CHUNK)
        for (uint h = 0; h < 4; h++)
            q[j][h] = h < n_here
                          ? qkv[q_begin + row * q_stride + (head + h) * head_dim + j] * scale
                          : 0;
    barrier();
    for (uint begin = span * SPAN; begin < min((span + 1) * SPAN, pos + 1); begin += CHUNK) {
        const uint n = min(CHUNK, pos + 1 - begin);
        vec4 score = vec4(MINUS_INFINITY);
        if (i < n)
            score = score_of(find(list, begin + i, kv_head, n_words), words);
        const vec4 most = max(greatest, reduce_max(i, score));
        const vec4 p = i < n ? exp(score - most) : vec4(0), shrink = exp(greatest - most);

        scores[i] = p;
        sum = sum * shrink + reduce_sum(i, p); /* its barriers order scores, too */
        greatest = most;
        second *= shrink;
        for (uint e = 0; e < EACH; e++)
            added[e] *= shrink;
        if (team < teams)
            for (uint t = team; t < n; t += teams) {
                const uint value = find(list, begin + t, kv_head, n_words) + n_words;
                const vec2 v = values_of(cache[value + word]);

                for (uint e = 0; e < EACH; e++)
                    added[e] = fma(scores[t], vec4(v[e]), added[e]);
                if (has_second)
                    second = fma(scores[t], vec4(values_of(cache[value + i + CHUNK]).x), second);
            }
        barrier();
    }
    if (team < teams)
        for (uint e = 0; e < EACH; e++)
            parts[team * head_dim + word * EACH + e] = added[e];
    if (has_second)
        parts[i + CHUNK] = second;
    barrier();
    for (uint h = 0; h < n_here; h++) {
        const uint to =
            ((gl_WorkGroupID.z * n_heads + head + h) * n_spans + span) * (head_dim + 2);

        for (uint j = i; j < head_dim; j += CHUNK) {
            float value = 0;

            for (uint k = 0; k < teams; k++)
                value += parts[k * head_dim + j][h];
            partial[to + 2 + j] = value;
        }
        if (i == 0) {
            partial[to] = greatest[h];
            partial[to + 1] = sum[h];
        }
    }
}
