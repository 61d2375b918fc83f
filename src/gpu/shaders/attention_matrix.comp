/* attention_matrix.comp -- causal attention with cooperative matrices of binary16.
 *
 * Dao et al. 2022 (FlashAttention), on a paged cache (Kwon et al. 2023).  Scores, sums and weighted
 * values are float32; what is multiplied are binary16: the cache as it is, queries, and the
 * exponentials, whose sum is that of the rounded ones.
 *
 * A workgroup has a tile: rows of the step that follow each other in one sequence, for all query
 * heads of a key/value head, 32 queries at most.  It goes through the positions 64 at a time, whose
 * keys and then values pass through shared memory: scores (a subgroup has 16 positions of 16
 * queries), softmax (8 threads a query), weighted values (a subgroup has 16 columns).  Positions
 * are cut at fixed places, and spans merged in order, here or by spans.glsl, with the same
 * operations: a query's result depends neither on its tile nor on `is_whole`.
 *
 *   is_whole  workgroups (1, key/value head, tile): attended heads to Out
 *   else      workgroups (span, key/value head, tile): as attention.comp, to Partial
 *
 * attention_matrix.spv is made by scripts/matrix_shaders. */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_clustered : require
#define F16
#include "cache.glsl"
#include "spans.glsl"
layout(local_size_x = 256) in;

layout(push_constant) uniform Constants
{
    uint q_begin, q_stride; /* floats */
    uint n_heads, n_kv_heads, head_dim; /* a multiple of 16, 128 at most */
    uint is_whole;
    uint n_spans; /* room for each head in partial */
    float scale;  /* 1 / sqrt(head_dim) */
    uint out_begin, out_stride; /* floats */
};

layout(binding = 0) readonly buffer Qkv { float qkv[]; };
layout(binding = 1) readonly buffer Rows { Row rows[]; };
layout(binding = 2) readonly buffer Lists { uint lists[]; };
layout(binding = 3) readonly buffer Cache { uvec4 cache[]; };
layout(binding = 4) buffer Partial { float partial[]; }; /* as in attention.comp */
layout(binding = 5) readonly buffer Tiles { uvec2 tiles[]; }; /* first row, rows */
layout(binding = 6) buffer Out { float heads[]; };

const uint SPAN = 256, CHUNK = 64, QUERIES = 32;
/* From row to row; no conflicts of banks.  Matrices are loaded faster from fours of words. */
const uint PITCH = 17;       /* fours of a position or a query */
const uint SCORE_PITCH = 72; /* words */
const uint P_PITCH = 9;      /* fours of a query's exponentials */
const uint OUT_PITCH = 33;   /* fours */

shared uvec4 q[QUERIES * PITCH];
shared uvec4 stage[CHUNK * PITCH]; /* keys, values; at the end results */
shared float scores[QUERIES * SCORE_PITCH];
shared uvec4 exponentials[QUERIES * P_PITCH];
shared float shares_old[QUERIES], shares_new[QUERIES]; /* of merge() */
shared float greatest_of[QUERIES], sum_of[QUERIES];

#define Left coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA>
#define Right coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseB>
#define Sums coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>

/* What a thread brings to stage[]: keys (side 0) or values (1) of the positions from begin on.
 * Behind the last one it is repeated; its exponentials are 0 there. */
void load(uint list, uint begin, uint last, uint side, out uvec4 words[4])
{
    const uint n = head_dim / 8; /* fours of words of a position */

    [[unroll]] for (uint j = 0; j < 4; j++) {
        const uint k = gl_LocalInvocationIndex + 256 * j, pos = min(begin + k / n, last);

        if (k < CHUNK * n)
            words[j] = cache[(((lists[list + pos / BLOCK] * n_kv_heads + gl_WorkGroupID.y) * 2 + side) *
                                  BLOCK + pos % BLOCK) * n + k % n];
    }
}

void store(uvec4 words[4])
{
    const uint n = head_dim / 8;

    [[unroll]] for (uint j = 0; j < 4; j++) {
        const uint k = gl_LocalInvocationIndex + 256 * j;

        if (k < CHUNK * n)
            stage[k / n * PITCH + k % n] = words[j];
    }
}

void load_queries(uint first_row, uint n)
{
    const uint words = head_dim / 2, group = n_heads / n_kv_heads;

    for (uint k = gl_LocalInvocationIndex; k < QUERIES * words; k += 256) {
        const uint query = k / words, word = k % words;
        const uint at = q_begin + (first_row + query / group) * q_stride +
                        (gl_WorkGroupID.y * group + query % group) * head_dim + 2 * word;

        q[query * PITCH + word / 4][word % 4] =
            query < n ? packHalf2x16(vec2(qkv[at], qkv[at + 1]) * scale) : 0;
    }
}

/* Scores of 16 queries and 16 positions of the chunk. */
void score()
{
    const uint query = gl_SubgroupID / 4 * 16, position = gl_SubgroupID % 4 * 16;
    Sums sum = Sums(0.0);

    for (uint d = 0; d < head_dim / 8; d += 2) {
        Left left;
        Right right;

        coopMatLoad(left, q, query * PITCH + d, PITCH, gl_CooperativeMatrixLayoutRowMajor);
        coopMatLoad(right, stage, position * PITCH + d, PITCH, gl_CooperativeMatrixLayoutColumnMajor);
        sum = coopMatMulAdd(left, right, sum);
    }
    coopMatStore(sum, scores, query * SCORE_PITCH + position, SCORE_PITCH,
                 gl_CooperativeMatrixLayoutRowMajor);
}

/* Exponentials from scores; the 8 threads of a query get the same results. */
void softmax(uint begin, uint pos, out float greatest, out float sum)
{
    const uint query = gl_LocalInvocationIndex / 8, lane = gl_LocalInvocationIndex % 8;
    vec2 values[4];

    greatest = MINUS_INFINITY;
    [[unroll]] for (uint j = 0; j < 4; j++) {
        const uint at = 2 * (8 * j + lane), from = query * SCORE_PITCH + at;

        values[j].x = begin + at <= pos ? scores[from] : MINUS_INFINITY;
        values[j].y = begin + at + 1 <= pos ? scores[from + 1] : MINUS_INFINITY;
        greatest = max(greatest, max(values[j].x, values[j].y));
    }
    greatest = subgroupClusteredMax(greatest, 8);
    sum = 0;
    [[unroll]] for (uint j = 0; j < 4; j++) {
        const uint word =
            packHalf2x16(vec2(values[j].x > MINUS_INFINITY ? exp(values[j].x - greatest) : 0,
                              values[j].y > MINUS_INFINITY ? exp(values[j].y - greatest) : 0));
        const vec2 rounded = unpackHalf2x16(word);

        exponentials[query * P_PITCH + 2 * j + lane / 4][lane % 4] = word;
        sum += rounded.x + rounded.y;
    }
    sum = subgroupClusteredAdd(sum, 8);
}

/* Exponentials times values, in the subgroup's columns. */
void weigh(bool has_second, out Sums low, out Sums high)
{
    low = Sums(0.0);
    high = Sums(0.0);
    [[unroll]] for (uint k = 0; k < CHUNK / 16; k++) {
        Left left;
        Right right;

        coopMatLoad(right, stage, 16 * k * PITCH + 2 * gl_SubgroupID, PITCH,
                    gl_CooperativeMatrixLayoutRowMajor);
        coopMatLoad(left, exponentials, 2 * k, P_PITCH, gl_CooperativeMatrixLayoutRowMajor);
        low = coopMatMulAdd(left, right, low);
        if (has_second) {
            coopMatLoad(left, exponentials, 16 * P_PITCH + 2 * k, P_PITCH,
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

void write_results(uint first_row, uint n, uint span)
{
    const uint group = n_heads / n_kv_heads;

    for (uint k = gl_LocalInvocationIndex; k < n * head_dim; k += 256) {
        const uint query = k / head_dim, col = k % head_dim, row = first_row + query / group;
        const uint head = gl_WorkGroupID.y * group + query % group;
        const float value = uintBitsToFloat(stage[query * OUT_PITCH + col / 4][col % 4]);

        if (is_whole != 0) {
            heads[out_begin + row * out_stride + head * head_dim + col] = value / sum_of[query];
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

void main()
{
    const uint first_row = tiles[gl_WorkGroupID.z].x, n_rows = tiles[gl_WorkGroupID.z].y;
    const uint group = n_heads / n_kv_heads, n = n_rows * group; /* queries */
    const uint query = gl_LocalInvocationIndex / 8;
    const uint pos = rows[first_row + min(query, n - 1) / group].pos;
    const uint list = rows[first_row].list, last = rows[first_row + n_rows - 1].pos;
    const uint first = is_whole != 0 ? 0 : gl_WorkGroupID.x * SPAN;
    const uint end = is_whole != 0 ? last + 1 : min(first + SPAN, last + 1);
    const bool has_second = n > 16, has_columns = 16 * gl_SubgroupID < head_dim;
    float greatest = MINUS_INFINITY, sum = 0, span_greatest = MINUS_INFINITY, span_sum = 0;
    Sums total_low = Sums(0.0);
    Sums total_high = Sums(0.0);
    Sums span_low = Sums(0.0);
    Sums span_high = Sums(0.0);
    uvec4 words[4];

    if (first > last)
        return;
    load_queries(first_row, n);
    load(list, first, last, 0, words);
    for (uint begin = first; begin < end; begin += CHUNK) {
        float part_greatest, part_sum;

        barrier();
        store(words); /* keys */
        load(list, begin, last, 1, words);
        barrier();
        if (has_second || gl_SubgroupID < 4)
            score();
        barrier();
        store(words); /* values */
        softmax(begin, pos, part_greatest, part_sum);
        merge_part(span_greatest, span_sum, part_greatest, part_sum);
        barrier();
        load(list, begin + CHUNK, last, 0, words);
        if (has_columns) {
            Sums low;
            Sums high;

            weigh(has_second, low, high);
            merge_values(span_low, low, 0);
            merge_values(span_high, high, 16);
        }
        if ((begin + CHUNK) % SPAN == 0 || begin + CHUNK >= end) {
            barrier();
            merge_part(greatest, sum, span_greatest, span_sum);
            barrier();
            if (has_columns) {
                merge_values(total_low, span_low, 0);
                merge_values(total_high, span_high, 16);
            }
            span_greatest = MINUS_INFINITY;
            span_sum = 0;
            span_low = Sums(0.0);
            span_high = Sums(0.0);
        }
    }
    if (gl_LocalInvocationIndex % 8 == 0) {
        greatest_of[query] = greatest;
        sum_of[query] = sum;
    }
    barrier();
    if (has_columns) {
        coopMatStore(total_low, stage, 4 * gl_SubgroupID, OUT_PITCH,
                     gl_CooperativeMatrixLayoutRowMajor);
        coopMatStore(total_high, stage, 16 * OUT_PITCH + 4 * gl_SubgroupID, OUT_PITCH,
                     gl_CooperativeMatrixLayoutRowMajor);
    }
    barrier();
    write_results(first_row, n, gl_WorkGroupID.x);
}
