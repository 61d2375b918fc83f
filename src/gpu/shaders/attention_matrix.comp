/* attention_matrix.comp -- causal attention with cooperative matrices of binary16.
 *
 * Dao et al. 2022 (FlashAttention), on a paged cache (Kwon et al. 2023).  Scores, sums and weighted
 * values are float32; what is multiplied are binary16: the cache as it is, queries, and the
 * exponentials, whose sum is that of the rounded ones.
 *
 * A workgroup has a tile: rows of the step that follow each other in one sequence, for all query
 * heads of a key/value head, 64 queries at most.  It goes through the positions 64 at a time, whose
 * keys and then values pass through shared memory: scores (a subgroup has 16 positions of 16
 * queries, which stay in its registers), softmax (8 threads a query), weighted values (a subgroup
 * has 16 columns of 32 queries).  Positions are cut at fixed places, and spans merged in order, here
 * or by spans.glsl, with the same operations: a query's result depends neither on its tile nor on
 * `is_whole`.  Later tiles see more positions, so the last begins first.
 *
 *   is_whole  workgroups (1, key/value head, tile): attended heads to Out
 *   else      workgroups (spans_each spans, key/value head, tile): as attention.comp, to Partial
 *
 * Coded caches: codes become binary16 on their way to shared memory, what lies in the tile's own block
 * is exact (tiles end with blocks), and heads are rotated back.
 *
 * attention_matrix*.spv are made by scripts/matrix_shaders. */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_clustered : require
#if !defined(Q8) && !defined(Q4)
#define F16
#endif
#include "cache.glsl"
#include "spans.glsl"
layout(local_size_x = 512) in;

layout(push_constant) uniform Constants
{
    uint q_begin, q_stride; /* floats */
    uint n_heads, n_kv_heads, head_dim; /* a multiple of 16, 128 at most */
    uint is_whole;
    uint n_spans; /* room for each head in partial */
    float scale;  /* 1 / sqrt(head_dim) */
    uint out_begin, out_stride; /* floats */
    uint block_words; /* of a block */
    uint n_open;      /* coded: open blocks of a sequence */
    uint spans_each;  /* of a workgroup, unless is_whole */
};

layout(binding = 0) readonly buffer Qkv { vec4 qkv[]; };
layout(binding = 1) readonly buffer Rows { Row rows[]; };
layout(binding = 2) readonly buffer Lists { uint lists[]; };
layout(binding = 3) readonly buffer Cache { uvec4 cache[]; };
#ifdef CODED /* the same memory */
layout(binding = 3) readonly buffer Words { uint words_of[]; };
layout(binding = 3) readonly buffer Pairs { uvec2 pairs_of[]; };
#endif
layout(binding = 4) buffer Partial { float partial[]; }; /* as in attention.comp */
layout(binding = 5) readonly buffer Tiles { uvec2 tiles[]; }; /* first row, rows */
layout(binding = 6) buffer Out { float heads[]; };

const uint SPAN = 256, CHUNK = 64, QUERIES = 64, THREADS = 512;
const uint MOST = CHUNK * 16 / THREADS; /* fours of words that a thread brings */
/* Fours of words from row to row; no conflicts of banks. */
const uint PITCH = 17;       /* a position or a query */
const uint SCORE_PITCH = 18; /* a query's scores */
const uint P_PITCH = 9;      /* a query's exponentials */
const uint OUT_PITCH = 33;

shared uvec4 stage[CHUNK * PITCH];          /* keys, values; at the end results of 32 queries */
shared uvec4 scores[QUERIES * SCORE_PITCH]; /* first the queries */
shared uvec4 exponentials[QUERIES * P_PITCH];
shared float shares_old[QUERIES], shares_new[QUERIES]; /* of merge() */
shared float greatest_of[QUERIES], sum_of[QUERIES];

#define Left coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA>
#define Right coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseB>
#define Sums coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>

#ifdef CODED
#include "open.glsl"

/* The first row of the tile's sequence in this step, and its position; of the tile's own block. */
uint step_row, step_pos, own_pos;

/* Eight values of the tile's own block, as binary16. */
uvec4 exact(uint list, uint pos, uint side, uint col)
{
    const uint word = open_word(gl_WorkGroupID.y, side, pos % BLOCK, head_dim) + col / 2;
    const uint at = q_begin + (step_row + pos - step_pos) * q_stride +
                    (n_heads + side * n_kv_heads + gl_WorkGroupID.y) * head_dim + col;

    if (pos < step_pos)
        return cache[open_place(list, word) / 4]; /* blocks are whole fours */
    const vec4 low = clamp(qkv[at / 4], -65504.0, 65504.0);
    const vec4 high = clamp(qkv[at / 4 + 1], -65504.0, 65504.0);

    return uvec4(packHalf2x16(low.xy), packHalf2x16(low.zw), packHalf2x16(high.xy),
                 packHalf2x16(high.zw));
}

/* Their codes, and in the last word their scale. */
uvec4 coded(uint list, uint pos, uint side, uint col)
{
    const uint first = lists[list + pos / BLOCK] * block_words +
                       (2 * gl_WorkGroupID.y + side) * side_words(head_dim);
    const uint token = pos % BLOCK, at = first + (token * head_dim + col) / EACH;
    const uint scale = token * (head_dim / GROUP) + col / GROUP;
    const uint scales = words_of[first + BLOCK * head_dim / EACH + scale / 2];

#ifdef Q8
    return uvec4(pairs_of[at / 2], 0, scales >> 16 * (scale % 2));
#else
    return uvec4(words_of[at], 0, 0, scales >> 16 * (scale % 2));
#endif
}

/* Codes become binary16 by the mantissas of 1024 and of 64, whose last places are 1 and 1/16. */
uvec4 decoded(uvec4 words)
{
    const f16vec2 scale = f16vec2(unpackFloat2x16(words.w).x);
    uvec4 result;

    [[unroll]] for (uint e = 0; e < 4; e++) {
#ifdef Q8 /* bytes are columns 0, 2, 1, 3 */
        const uint pair = ((words[e / 2] ^ 0x80808080) >> 8 * (e % 2)) & 0x00ff00ff;
        const f16vec2 code = unpackFloat2x16(pair | 0x64006400) - f16vec2(1152);
#else /* fours of bits are columns 0, 2, 4, 6, 1, 3, 5, 7 */
        const uint pair = (e == 0 ? words.x << 4 : words.x >> (4 * e - 4)) & 0x00f000f0;
        const f16vec2 code = unpackFloat2x16(pair | 0x54005400) - f16vec2(71.5);
#endif
        result[e] = packFloat2x16(code * scale);
    }
    return result;
}
#endif

/* What a thread brings to stage[]: eight keys (side 0) or values (1) each of positions from begin on.
 * Behind the last one it is repeated; its exponentials are 0 there. */
void load(uint list, uint begin, uint last, uint side, out uvec4 words[MOST])
{
    const uint n = head_dim / 8; /* fours of words of a position */

    [[unroll]] for (uint j = 0; j < MOST; j++) {
        const uint k = gl_LocalInvocationIndex + THREADS * j, pos = min(begin + k / n, last);

        if (k < CHUNK * n)
#ifdef CODED
            words[j] = pos < own_pos ? coded(list, pos, side, k % n * 8)
                                     : exact(list, pos, side, k % n * 8);
#else
            words[j] = cache[lists[list + pos / BLOCK] * (block_words / 4) +
                             ((2 * gl_WorkGroupID.y + side) * BLOCK + pos % BLOCK) * n + k % n];
#endif
    }
}

void store(uvec4 words[MOST], uint begin)
{
    const uint n = head_dim / 8;

    [[unroll]] for (uint j = 0; j < MOST; j++) {
        const uint k = gl_LocalInvocationIndex + THREADS * j;

        if (k < CHUNK * n)
#ifdef CODED
            stage[k / n * PITCH + k % n] = begin + k / n < own_pos ? decoded(words[j]) : words[j];
#else
            stage[k / n * PITCH + k % n] = words[j];
#endif
    }
}

/* Queries to scores[]. */
void load_queries(uint first_row, uint n)
{
    const uint fours = head_dim / 8, group = n_heads / n_kv_heads;

    for (uint k = gl_LocalInvocationIndex; k < QUERIES * fours; k += THREADS) {
        const uint query = k / fours;
        const uint at = q_begin + (first_row + query / group) * q_stride +
                        (gl_WorkGroupID.y * group + query % group) * head_dim + k % fours * 8;
        uvec4 words = uvec4(0);

        if (query < n) {
            const vec4 low = qkv[at / 4] * scale, high = qkv[at / 4 + 1] * scale;

            words = uvec4(packHalf2x16(low.xy), packHalf2x16(low.zw), packHalf2x16(high.xy),
                          packHalf2x16(high.zw));
        }
        scores[query * PITCH + k % fours] = words;
    }
}

/* Scores of the subgroup's 16 queries and 16 positions of the chunk. */
void score(Left queries[8])
{
    const uint query = gl_SubgroupID / 4 * 16, position = gl_SubgroupID % 4 * 16;
    Sums sum = Sums(0.0);

    [[unroll]] for (uint d = 0; d < 8; d++)
        if (16 * d < head_dim) {
            Right right;

            coopMatLoad(right, stage, position * PITCH + 2 * d, PITCH,
                        gl_CooperativeMatrixLayoutColumnMajor);
            sum = coopMatMulAdd(queries[d], right, sum);
        }
    coopMatStore(sum, scores, query * SCORE_PITCH + position / 4, SCORE_PITCH,
                 gl_CooperativeMatrixLayoutRowMajor);
}

/* Exponentials from scores; the 8 threads of a query get the same results. */
void softmax(uint begin, uint pos, out float greatest, out float sum)
{
    const uint query = gl_LocalInvocationIndex / 8, lane = gl_LocalInvocationIndex % 8;
    vec4 values[2];

    greatest = MINUS_INFINITY;
    [[unroll]] for (uint j = 0; j < 2; j++) {
        values[j] = uintBitsToFloat(scores[query * SCORE_PITCH + lane + 8 * j]);
        [[unroll]] for (uint e = 0; e < 4; e++) {
            if (begin + 4 * (lane + 8 * j) + e > pos)
                values[j][e] = MINUS_INFINITY;
            greatest = max(greatest, values[j][e]);
        }
    }
    greatest = subgroupClusteredMax(greatest, 8);
    sum = 0;
    [[unroll]] for (uint j = 0; j < 2; j++) {
        vec4 p = vec4(0);

        [[unroll]] for (uint e = 0; e < 4; e++)
            if (values[j][e] > MINUS_INFINITY)
                p[e] = exp(values[j][e] - greatest);
        const uint low = packHalf2x16(p.xy), high = packHalf2x16(p.zw), four = lane + 8 * j;
        const vec2 rounded = unpackHalf2x16(low) + unpackHalf2x16(high);

        exponentials[query * P_PITCH + four / 2][four % 2 * 2] = low;
        exponentials[query * P_PITCH + four / 2][four % 2 * 2 + 1] = high;
        sum += rounded.x + rounded.y;
    }
    sum = subgroupClusteredAdd(sum, 8);
}

/* Exponentials times values, in the subgroup's columns and two times 16 queries. */
void weigh(bool has_second, out Sums low, out Sums high)
{
    const uint query = gl_SubgroupID / 8 * 32;

    low = Sums(0.0);
    high = Sums(0.0);
    [[unroll]] for (uint k = 0; k < CHUNK / 16; k++) {
        Left left;
        Right right;

        coopMatLoad(right, stage, 16 * k * PITCH + 2 * (gl_SubgroupID % 8), PITCH,
                    gl_CooperativeMatrixLayoutRowMajor);
        coopMatLoad(left, exponentials, query * P_PITCH + 2 * k, P_PITCH,
                    gl_CooperativeMatrixLayoutRowMajor);
        low = coopMatMulAdd(left, right, low);
        if (has_second) {
            coopMatLoad(left, exponentials, (query + 16) * P_PITCH + 2 * k, P_PITCH,
                        gl_CooperativeMatrixLayoutRowMajor);
            high = coopMatMulAdd(left, right, high);
        }
    }
}

/* A part with its greatest score and its sum; what merge_values() needs goes to shares_*[]. */
void merge_part(inout float greatest, inout float sum, float part_greatest, float part_sum)
{
    float old, new;

    merge(greatest, part_greatest, old, new);
    sum = fma(part_sum, new, sum * old);
    if (gl_LocalInvocationIndex % 8 == 0) {
        shares_old[gl_LocalInvocationIndex / 8] = old;
        shares_new[gl_LocalInvocationIndex / 8] = new;
    }
}

void merge_values(inout Sums total, Sums part, uint first_query)
{
    Sums old;
    Sums new;

    /* Equal in all columns. */
    coopMatLoad(old, shares_old, first_query, 0, gl_CooperativeMatrixLayoutColumnMajor);
    coopMatLoad(new, shares_new, first_query, 0, gl_CooperativeMatrixLayoutColumnMajor);
    [[unroll]] for (uint e = 0; e < total.length(); e++)
        total[e] = fma(part[e], new[e], total[e] * old[e]);
}

#ifdef CODED
/* H values / sum of n queries from the first on, in stage[]; as in combine.comp. */
void rotate_back(uint first_query, uint n)
{
    const float factor = head_dim == 128 ? 0.088388346 : 0.125;

    for (uint k = gl_LocalInvocationIndex; k < n * head_dim; k += THREADS) {
        const uint query = k / head_dim, at = query * OUT_PITCH + k % head_dim / 4;

        stage[at][k % 4] =
            floatBitsToUint(uintBitsToFloat(stage[at][k % 4]) / sum_of[first_query + query]);
    }
    for (uint d = 1; d < head_dim; d *= 2) {
        barrier();
        for (uint k = gl_LocalInvocationIndex; k < n * head_dim / 2; k += THREADS) {
            const uint from = k / (head_dim / 2) * OUT_PITCH, i = k % (head_dim / 2);
            const uint low = 2 * i - i % d, high = low + d;
            const float a = uintBitsToFloat(stage[from + low / 4][low % 4]);
            const float b = uintBitsToFloat(stage[from + high / 4][high % 4]);
            const float by = 2 * d == head_dim ? factor : 1;

            stage[from + low / 4][low % 4] = floatBitsToUint((a + b) * by);
            stage[from + high / 4][high % 4] = floatBitsToUint((a - b) * by);
        }
    }
    barrier();
}
#endif

/* Results of n queries from the first on, which are in stage[]. */
void write_staged(uint first_row, uint first_query, uint n, uint span)
{
    const uint group = n_heads / n_kv_heads;

    for (uint k = gl_LocalInvocationIndex; k < n * head_dim; k += THREADS) {
        const uint query = first_query + k / head_dim, col = k % head_dim;
        const uint row = first_row + query / group, head = gl_WorkGroupID.y * group + query % group;
        const float value = uintBitsToFloat(stage[k / head_dim * OUT_PITCH + col / 4][col % 4]);

        if (is_whole != 0) {
#ifdef CODED
            heads[out_begin + row * out_stride + head * head_dim + col] = value; /* rotated back */
#else
            heads[out_begin + row * out_stride + head * head_dim + col] = value / sum_of[query];
#endif
        } else {
            const uint to = ((row * n_heads + head) * n_spans + span) * (head_dim + 2);

            partial[to + 2 + col] = value;
            if (col == 0) {
                partial[to] = greatest_of[query];
                partial[to + 1] = sum_of[query];
            }
        }
    }
}

/* What n queries have seen of a span, or of all; each thread and subgroup has its share. */
void write_results(uint first_row, uint n, uint span, float greatest, float sum, Sums low, Sums high)
{
    const uint query = gl_LocalInvocationIndex / 8, column = 4 * (gl_SubgroupID % 8); /* fours */

    if (gl_LocalInvocationIndex % 8 == 0) {
        greatest_of[query] = greatest;
        sum_of[query] = sum;
    }
    for (uint begin = 0; begin < n; begin += 32) {
        const uint n_here = min(n - begin, 32);

        barrier();
        if (begin == gl_SubgroupID / 8 * 32 && 4 * column < head_dim) {
            coopMatStore(low, stage, column, OUT_PITCH, gl_CooperativeMatrixLayoutRowMajor);
            coopMatStore(high, stage, 16 * OUT_PITCH + column, OUT_PITCH,
                         gl_CooperativeMatrixLayoutRowMajor);
        }
        barrier();
#ifdef CODED
        if (is_whole != 0)
            rotate_back(begin, n_here);
#endif
        write_staged(first_row, begin, n_here, span);
    }
}

void main()
{
    const uvec2 tile = tiles[gl_NumWorkGroups.z - 1 - gl_WorkGroupID.z];
    const uint first_row = tile.x, n_rows = tile.y;
    const uint group = n_heads / n_kv_heads, n = n_rows * group; /* queries */
    const uint query = gl_LocalInvocationIndex / 8, half_query = gl_SubgroupID / 8 * 32;
    const uint first_pos = rows[first_row].pos, pos = first_pos + min(query, n - 1) / group;
    const uint list = rows[first_row].list, last = first_pos + n_rows - 1;
    const uint first = is_whole != 0 ? 0 : gl_WorkGroupID.x * spans_each * SPAN;
    const uint end = is_whole != 0 ? last + 1 : min(first + spans_each * SPAN, last + 1);
    const bool has_scores = n > gl_SubgroupID / 4 * 16;
    const bool has_columns = n > half_query && 16 * (gl_SubgroupID % 8) < head_dim;
    const bool has_second = n > half_query + 16;
    float greatest = MINUS_INFINITY, sum = 0, span_greatest = MINUS_INFINITY, span_sum = 0;
    Sums total_low = Sums(0.0);
    Sums total_high = Sums(0.0);
    Sums span_low = Sums(0.0);
    Sums span_high = Sums(0.0);
    Left queries[8];
    uvec4 words[MOST];

    if (first > last)
        return;
#ifdef CODED
    step_row = rows[first_row].first_row;
    step_pos = first_pos - (first_row - step_row);
    own_pos = last / BLOCK * BLOCK;
#endif
    load(list, first, last, 0, words);
    load_queries(first_row, n);
    barrier();
    [[unroll]] for (uint d = 0; d < 8; d++)
        if (16 * d < head_dim)
            coopMatLoad(queries[d], scores, gl_SubgroupID / 4 * 16 * PITCH + 2 * d, PITCH,
                        gl_CooperativeMatrixLayoutRowMajor);
    for (uint begin = first; begin < end; begin += CHUNK) {
        float part_greatest, part_sum;

        barrier();
        store(words, begin); /* keys */
        load(list, begin, last, 1, words);
        barrier();
        if (has_scores)
            score(queries);
        barrier();
        store(words, begin); /* values */
        softmax(begin, pos, part_greatest, part_sum);
        merge_part(span_greatest, span_sum, part_greatest, part_sum);
        barrier();
        load(list, begin + CHUNK, last, 0, words);
        if (has_columns) {
            Sums low;
            Sums high;

            weigh(has_second, low, high);
            merge_values(span_low, low, half_query);
            merge_values(span_high, high, half_query + 16);
        }
        if ((begin + CHUNK) % SPAN != 0 && begin + CHUNK < end)
            continue;
        if (is_whole != 0) {
            barrier();
            merge_part(greatest, sum, span_greatest, span_sum);
            barrier();
            if (has_columns) {
                merge_values(total_low, span_low, half_query);
                merge_values(total_high, span_high, half_query + 16);
            }
        } else {
            write_results(first_row, n, begin / SPAN, span_greatest, span_sum, span_low, span_high);
        }
        span_greatest = MINUS_INFINITY;
        span_sum = 0;
        span_low = Sums(0.0);
        span_high = Sums(0.0);
    }
    if (is_whole != 0)
        write_results(first_row, n, 0, greatest, sum, total_low, total_high);
}
