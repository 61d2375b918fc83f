/* quantize.comp -- rows for packed matrices: signs, Hadamard blocks, int8 (docs/codec.md, section 5).
 *
 * With v = H_in D_in x and largest = max |v| of a scale block of 256 columns: scale = largest / 127,
 * codes = nearest integers to v * 127 / largest.  Columns from n_cols on count as 0.
 *
 * Where x comes from is chosen when the program is made, so that what was computed just before need
 * not go through memory first:
 *   (nothing)  rows of X
 *   NORM       as norm.comp      each workgroup adds the squares of the whole row again
 *   GATE       as gate.comp
 *   COMBINE    as combine.comp
 *
 * Workgroups: (scale block, token), a thread with four neighbouring columns.  Words hold columns 0,
 * 2, 1, 3 of a group of 4. */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef COMBINE
#define F16
#include "cache.glsl"
#include "spans.glsl"
#endif
layout(local_size_x = 64) in;

layout(push_constant) uniform Constants
{
    uint n_cols, padded_cols;
    uint x_begin; /* floats in front of token 0 */
    uint x_stride;
    uint option; /* NORM: has_pick; GATE: d_ff; COMBINE: n_heads */
#ifdef COMBINE
    uint is_coded, head_dim, n_spans;
#else
    float eps; /* NORM */
#endif
};

layout(binding = 0) readonly buffer X { float x[]; }; /* COMBINE: the partial results */
layout(binding = 1) readonly buffer Signs { uint signs[]; }; /* [padded_cols / 32] */
layout(binding = 2) buffer Codes { uint codes[]; };          /* [token][padded_cols / 4] */
layout(binding = 3) buffer Scales { float scales[]; };       /* [token][n_blocks][2]: scale, sum */
#if defined(NORM)
layout(binding = 4) readonly buffer Weight { float weight[]; };
layout(binding = 5) readonly buffer Pick { uint pick[]; };
#elif defined(COMBINE)
layout(binding = 4) readonly buffer Rows { Row rows[]; };
#endif

#include "hadamard.glsl"

shared uint most; /* bits of the largest magnitude: as integers they are in order, and NaN wins */
shared int sum_of_codes;

const float LEAST = 7.888609052210118e-31; /* 2^-100: smaller blocks count as 0 */

const uint THREADS = 64;

#if defined(NORM)
const uint AHEAD = 10;

/* In the order of norm.comp: 256 sums, added in a tree. */
float factor_of(uint from)
{
    const uint i = gl_LocalInvocationIndex;
    vec4 sum = vec4(0);

    for (uint first = i; first < n_cols; first += 256 * AHEAD) {
        vec4 ahead[AHEAD]; /* loads side by side */

        [[unroll]] for (uint j = 0; j < AHEAD; j++)
            [[unroll]] for (uint e = 0; e < 4; e++) {
                const uint at = first + 256 * j + THREADS * e;

                ahead[j][e] = at < n_cols ? x[from + at] : 0;
            }
        [[unroll]] for (uint j = 0; j < AHEAD; j++)
            sum = fma(ahead[j], ahead[j], sum);
    }
    values[i] = (sum.x + sum.z) + (sum.y + sum.w);
    barrier();
    for (uint d = 32; d > 0; d /= 2) {
        if (i < d)
            values[i] += values[i + d];
        barrier();
    }
    const float factor = 1 / sqrt(values[0] / float(n_cols) + eps);
    barrier();
    return factor;
}
#elif defined(COMBINE)
const uint SPAN = 256; /* positions; as in attention.comp */

/* Attended columns first_col .. first_col + 3. */
vec4 combined(uint token, uint first_col)
{
    const uint n = rows[token].pos / SPAN + 1, each = head_dim + 2;
    vec4 greatest = vec4(MINUS_INFINITY), sum = vec4(0), value = vec4(0);

    for (uint s = 0; s < n; s++)
        [[unroll]] for (uint e = 0; e < 4; e++) {
            const uint col = min(first_col + e, n_cols - 1);
            const uint at = ((token * option + col / head_dim) * n_spans + s) * each;
            float most = greatest[e], old, new;

            merge(most, x[at], old, new);
            greatest[e] = most;
            sum[e] = fma(x[at + 1], new, sum[e] * old);
            value[e] = fma(x[at + 2 + col % head_dim], new, value[e] * old);
        }
    return value / sum;
}

/* As rotate_head(): blocks of head_dim, 64, 128 or 256, among 256 columns. */
vec4 rotate_back(vec4 v)
{
    const float factor = head_dim == 256 ? 0.0625 : head_dim == 128 ? 0.088388346 : 0.125;
    const uint i = gl_LocalInvocationIndex;

    v = butterfly(v, true, true);
    [[unroll]] for (uint e = 0; e < 4; e++)
        values[4 * i + e] = v[e];
    for (uint d = 4; d < head_dim; d *= 2) {
        barrier();
        [[unroll]] for (uint e = 0; e < 2; e++) {
            const uint pair = i + THREADS * e, at = 2 * pair - pair % d;
            const float a = values[at], b = values[at + d];

            values[at] = a + b;
            values[at + d] = a - b;
        }
    }
    barrier();
    [[unroll]] for (uint e = 0; e < 4; e++)
        v[e] = values[4 * i + e] * factor;
    return v;
}
#endif

/* x of four columns; 0 from n_cols on. */
vec4 columns(uint token, uint first_col)
{
    vec4 value = vec4(0);

#if defined(NORM)
    const uint from = x_begin + (option != 0 ? pick[token] : token) * x_stride;
    const float factor = factor_of(from);
#elif defined(COMBINE)
    vec4 heads = combined(token, first_col);
    if (is_coded != 0)
        heads = rotate_back(heads);
#else
    const uint from = x_begin + token * x_stride;
#endif
    [[unroll]] for (uint e = 0; e < 4; e++) {
        const uint col = first_col + e;

        if (col < n_cols) {
#if defined(NORM)
            value[e] = weight[col] * (x[from + col] * factor);
#elif defined(GATE)
            const float g = x[from + col], decay = exp(-abs(g));

            value[e] = x[from + col + option] * (g * ((g < 0 ? decay : 1) / (1 + decay)));
#elif defined(COMBINE)
            value[e] = heads[e];
#else
            value[e] = x[from + col];
#endif
            if ((signs[col / 32] >> col % 32 & 1) != 0)
                value[e] = -value[e];
        }
    }
    return value;
}

uint code_of(uint col) { return floatBitsToUint(values[col]) & 255; }

void main()
{
    const uint i = gl_LocalInvocationIndex, first_col = gl_WorkGroupID.x * BLOCK_COLS;
    const uint token = gl_WorkGroupID.y, n_blocks = gl_NumWorkGroups.x;
    const uint n = min(padded_cols - first_col, BLOCK_COLS); /* 64, 128, 192 or 256 */
    vec4 value = columns(token, first_col + 4 * i);

    if (i == 0) {
        most = 0;
        sum_of_codes = 0;
    }
    value = transform(i, n, value);
    [[unroll]] for (uint e = 0; e < 4; e++)
        if (THREADS * e < n)
            atomicMax(most, floatBitsToUint(abs(value[e])));
    barrier();
    const float largest = uintBitsToFloat(most);
    const bool is_finite = most < 0x7f800000;
    const bool is_usable = is_finite && largest >= LEAST;
    const ivec4 codes_of = is_usable ? ivec4(roundEven(value * (127 / largest))) : ivec4(0);
    int sum = 0;

    [[unroll]] for (uint e = 0; e < 4; e++)
        if (THREADS * e < n) {
            values[i + THREADS * e] = intBitsToFloat(codes_of[e]);
            sum += codes_of[e];
        }
    atomicAdd(sum_of_codes, sum);
    barrier();
    if (i < n / 4)
        codes[token * (padded_cols / 4) + first_col / 4 + i] =
            code_of(4 * i) | code_of(4 * i + 2) << 8 | code_of(4 * i + 1) << 16 |
            code_of(4 * i + 3) << 24;
    if (i == 0) {
        const uint block = token * n_blocks + gl_WorkGroupID.x;

        scales[2 * block] = is_usable ? largest / 127 : is_finite ? 0 : uintBitsToFloat(0x7fc00000);
        scales[2 * block + 1] = intBitsToFloat(sum_of_codes);
    }
}
