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
 * Workgroups: (span, four query heads that share a key/value head, ROWS rows): a vec4 is one value
 * of each of the four, so that keys and values are read once for them, and for rows of one sequence.
 * Of 128 threads each scores one of 128 positions; then a thread adds the values of a word's
 * columns, over every TEAMSth position.  A row's arithmetic does not depend on ROWS. */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
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
    uint n_rows;    /* of this dispatch */
};

layout(binding = 0) readonly buffer Qkv { float qkv[]; };
layout(binding = 1) readonly buffer Rows { Row rows[]; };
layout(binding = 2) readonly buffer Lists { uint lists[]; };
layout(binding = 3) readonly buffer Cache { uint cache[]; };
layout(binding = 4) buffer Partial { float partial[]; };

const uint SPAN = 256, CHUNK = 128;

shared vec4 q[ROWS * 256];
shared vec4 scores[ROWS * CHUNK];
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

/* Scores of a position for all rows. */
void score(uint key, uint words, out vec4 score[ROWS])
{
    [[unroll]] for (uint t = 0; t < ROWS; t++)
        score[t] = vec4(0);
    for (uint j = 0; j < words; j++) {
        const vec2 k = values_of(cache[key + j]);

        [[unroll]] for (uint t = 0; t < ROWS; t++) {
            score[t] = fma(q[256 * t + EACH * j], vec4(k.x), score[t]);
            if (EACH == 2)
                score[t] = fma(q[256 * t + EACH * j + EACH - 1], vec4(k.y), score[t]);
        }
    }
}

/* What a workgroup works on: n rows of one sequence, and n_here heads from the first on. */
struct Task {
    uint row, n, list, kv_head, head, n_here;
};

/* What a thread knows of each row. */
vec4 greatest[ROWS], sum[ROWS], added[ROWS][EACH], second[ROWS];

void begin_rows(Task task)
{
    const uint i = gl_LocalInvocationIndex;

    [[unroll]] for (uint t = 0; t < ROWS; t++) {
        const uint from = q_begin + (task.row + min(t, task.n - 1)) * q_stride;

        greatest[t] = vec4(MINUS_INFINITY);
        sum[t] = second[t] = vec4(0);
        for (uint e = 0; e < EACH; e++)
            added[t][e] = vec4(0);
        for (uint j = i; j < head_dim; j += CHUNK)
            for (uint h = 0; h < 4; h++)
                q[256 * t + j][h] =
                    h < task.n_here ? qkv[from + (task.head + h) * head_dim + j] * scale : 0;
    }
    barrier();
}

/* Positions of a chunk, of which `last` is the last that any row sees. */
void add_chunk(Task task, uint begin, uint last)
{
    const uint i = gl_LocalInvocationIndex, n = min(CHUNK, last + 1 - begin);
    const uint words = head_dim / EACH, n_words = BLOCK * words; /* of keys of a block and head */
    const uint teams = max(CHUNK / words, 1), team = i / words, word = i % words;
    const bool has_second = words > CHUNK && i + CHUNK < words; /* float32, more than 128 */
    vec4 all[ROWS];

    if (i < n)
        score(find(task.list, begin + i, task.kv_head, n_words), words, all);
    [[unroll]] for (uint t = 0; t < ROWS; t++) {
        const uint pos = rows[task.row + min(t, task.n - 1)].pos;

        scores[CHUNK * t + i] = vec4(0);
        if (begin <= pos) {
            const bool is_seen = begin + i <= pos;
            const vec4 mine = is_seen ? all[t] : vec4(MINUS_INFINITY);
            const vec4 most = max(greatest[t], reduce_max(i, mine));
            const vec4 p = is_seen ? exp(mine - most) : vec4(0), shrink = exp(greatest[t] - most);

            scores[CHUNK * t + i] = p;
            sum[t] = fma(sum[t], shrink, reduce_sum(i, p));
            greatest[t] = most;
            second[t] *= shrink;
            for (uint e = 0; e < EACH; e++)
                added[t][e] *= shrink;
        }
    }
    barrier();
    if (team < teams)
        for (uint k = team; k < n; k += teams) {
            const uint value = find(task.list, begin + k, task.kv_head, n_words) + n_words;
            const vec2 v = values_of(cache[value + word]);
            const float w = has_second ? values_of(cache[value + i + CHUNK]).x : 0;

            [[unroll]] for (uint t = 0; t < ROWS; t++) {
                for (uint e = 0; e < EACH; e++)
                    added[t][e] = fma(scores[CHUNK * t + k], vec4(v[e]), added[t][e]);
                if (has_second)
                    second[t] = fma(scores[CHUNK * t + k], vec4(w), second[t]);
            }
        }
    barrier();
}

/* Add what the teams have of row t, and write it. */
void write_row(Task task, uint t, uint span)
{
    const uint i = gl_LocalInvocationIndex, words = head_dim / EACH;
    const uint teams = max(CHUNK / words, 1), team = i / words, word = i % words;

    if (team < teams)
        for (uint e = 0; e < EACH; e++)
            parts[team * head_dim + word * EACH + e] = added[t][e];
    if (words > CHUNK && i + CHUNK < words)
        parts[i + CHUNK] = second[t];
    barrier();
    for (uint h = 0; h < task.n_here; h++) {
        const uint row = task.row + t - first_row;
        const uint to = ((row * n_heads + task.head + h) * n_spans + span) * (head_dim + 2);

        for (uint j = i; j < head_dim; j += CHUNK) {
            float value = 0;

            for (uint k = 0; k < teams; k++)
                value += parts[k * head_dim + j][h];
            partial[to + 2 + j] = value;
        }
        if (i == 0) {
            partial[to] = greatest[t][h];
            partial[to + 1] = sum[t][h];
        }
    }
    barrier();
}

void main()
{
    const uint span = gl_WorkGroupID.x, group = n_heads / n_kv_heads, fours = (group + 3) / 4;
    const uint first = gl_WorkGroupID.y % fours * 4, kv_head = gl_WorkGroupID.y / fours;
    const uint end = first_row + min((gl_WorkGroupID.z + 1) * ROWS, n_rows);
    uint row = first_row + gl_WorkGroupID.z * ROWS;

    while (row < end) { /* rows of one sequence at a time */
        Task task = Task(row, 1, rows[row].list, kv_head, kv_head * group + first,
                         min(group - first, 4));

        while (row + task.n < end && rows[row + task.n].list == task.list)
            task.n++;
        row += task.n;
        const uint last = rows[row - 1].pos;

        if (span * SPAN > last)
            continue;
        begin_rows(task);
        for (uint begin = span * SPAN; begin < min((span + 1) * SPAN, last + 1); begin += CHUNK)
            add_chunk(task, begin, last);
        [[unroll]] for (uint t = 0; t < ROWS; t++)
            if (t < task.n)
                write_row(task, t, span);
    }
}
