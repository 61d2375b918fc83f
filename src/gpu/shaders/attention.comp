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
    uint block_words; /* of a block */
    uint n_open;      /* coded: open blocks of a sequence */
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
shared vec4 parts[EACH * CHUNK + CHUNK]; /* [team][head_dim] */

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

/* The row's own sequence and key/value head. */
uint list, kv_head;

/* A position's keys (side 0) or values (1). */
struct Place {
    uint words;  /* the first */
    uint scales; /* half-words in front of the scales of coded ones */
};

Place find(uint pos, uint side)
{
    const uint block = lists[list + pos / BLOCK], words = head_dim / EACH;
    const uint first = block * block_words + (kv_head * 2 + side) * side_words(head_dim);

    return Place(first + pos % BLOCK * words,
                 2 * (first + BLOCK * words) + pos % BLOCK * (head_dim / 32));
}

/* The values of a word. */
float[EACH] values_of(Place place, uint number)
{
    const uint word = cache[place.words + number];
    float v[EACH];

#ifdef CODED
    const uint at = place.scales + number * EACH / GROUP;
    const float scale = unpackHalf2x16(cache[at / 2] >> 16 * (at % 2)).x;

    for (uint e = 0; e < EACH; e++) {
#ifdef Q8
        v[e] = scale * float(bitfieldExtract(int(word), int(place_of(e)), 8));
#else
        v[e] = scale * (float(bitfieldExtract(word, int(place_of(e)), 4)) - 7.5);
#endif
    }
#elif defined(F16)
    const vec2 pair = unpackHalf2x16(word);

    v[0] = pair.x;
    v[1] = pair.y;
#else
    v[0] = uintBitsToFloat(word);
#endif
    return v;
}

#ifdef CODED
#include "open.glsl"

/* The same of a position in the row's own block, which is exact. */
float[EACH] exact_values(uint row, uint pos, uint side, uint number)
{
    const uint first = rows[row].first_row, begin = rows[row].pos - (row - first); /* the step's */
    float v[EACH];

    for (uint e = 0; e < EACH; e += 2) {
        const uint col = number * EACH + e;
        uint word;

        if (pos < begin) {
            word = cache[open_place(list, open_word(kv_head, side, pos % BLOCK, head_dim) + col / 2)];
        } else {
            const uint at = q_begin + (first + pos - begin) * q_stride +
                            (n_heads + side * n_kv_heads + kv_head) * head_dim + col;

            word = packHalf2x16(clamp(vec2(qkv[at], qkv[at + 1]), -65504.0, 65504.0));
        }
        const vec2 pair = unpackHalf2x16(word);

        v[e] = pair.x;
        v[e + 1] = pair.y;
    }
    return v;
}
#endif

vec4 score_of(uint row, uint pos)
{
    const Place place = find(pos, 0);
    vec4 score = vec4(0);

    for (uint j = 0; j < head_dim / EACH; j++) {
#ifdef CODED
        const float v[EACH] = pos / BLOCK == rows[row].pos / BLOCK ? exact_values(row, pos, 0, j)
                                                                   : values_of(place, j);
#else
        const float v[EACH] = values_of(place, j);
#endif
        for (uint e = 0; e < EACH; e++)
            score = fma(q[EACH * j + e], vec4(v[e]), score);
    }
    return score;
}

void main()
{
    const uint i = gl_LocalInvocationIndex, span = gl_WorkGroupID.x;
    const uint group = n_heads / n_kv_heads, fours = (group + 3) / 4;
    const uint first = gl_WorkGroupID.y % fours * 4;
    const uint n_here = min(group - first, 4), head = gl_WorkGroupID.y / fours * group + first;
    const uint row = first_row + gl_WorkGroupID.z, pos = rows[row].pos;
    const uint words = head_dim / EACH;
    const uint teams = max(CHUNK / words, 1), team = i / words, word = i % words;
    const bool has_second = words > CHUNK && i + CHUNK < words; /* float32, more than 128 */
    vec4 greatest = vec4(MINUS_INFINITY), sum = vec4(0);
    vec4 added[EACH], second = vec4(0);

    if (span * SPAN > pos)
        return;
    kv_head = gl_WorkGroupID.y / fours;
    list = rows[row].list;
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
            score = score_of(row, begin + i);
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
                const Place place = find(begin + t, 1);
#ifdef CODED
                const float v[EACH] = (begin + t) / BLOCK == pos / BLOCK
                                          ? exact_values(row, begin + t, 1, word)
                                          : values_of(place, word);
#else
                const float v[EACH] = values_of(place, word);
#endif

                for (uint e = 0; e < EACH; e++)
                    added[e] = fma(scores[t], vec4(v[e]), added[e]);
                if (has_second)
                    second = fma(scores[t], vec4(values_of(place, i + CHUNK)[0]), second);
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
