/* quantize.comp -- rows for packed matrices: signs, Hadamard blocks, int8 (docs/codec.md, section 5).
 *
 * With v = H_in D_in x and largest = max |v| of a scale block of 256 columns: scale = largest / 127,
 * codes = nearest integers to v * 127 / largest.  Columns from n_cols on count as 0.
 *
 * Where x comes from is chosen when the program is made, so that what was computed just before need
 * not go through memory first:
 *   (nothing)  rows of X
 *   NORM       as norm.comp
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
layout(binding = 6) readonly buffer Squares { float squares[]; };
#elif defined(COMBINE)
layout(binding = 4) readonly buffer Rows { Row rows[]; };
#endif

#include "hadamard.glsl"

shared uint most; /* bits of the largest magnitude: as integers they are in order, and NaN wins */
shared int sum_of_codes;

const float LEAST = 7.888609052210118e-31; /* 2^-100: smaller blocks count as 0 */

const uint THREADS = 64;

#if defined(NORM)
#include "norm.glsl"
#elif defined(COMBINE)
const uint SPAN = 256; /* positions; as in attention.comp */
const uint AHEAD = 8;  /* spans that are loaded side by side */

/* Parts of softmaxes (spans.glsl), of four columns. */
struct Span {
    vec4 greatest, sum, value;
};

/* Span s of the heads of columns that begin at heads[]. */
Span load_span(uvec4 heads, uvec4 cols, uint s)
{
    const uvec4 at = heads + s * (head_dim + 2);
    Span span;

    [[unroll]] for (uint e = 0; e < 4; e++) {
        span.greatest[e] = x[at[e]];
        span.sum[e] = x[at[e] + 1];
        span.value[e] = x[at[e] + 2 + cols[e] % head_dim];
    }
    return span;
}

void merge_span(inout Span all, Span span)
{
    [[unroll]] for (uint e = 0; e < 4; e++) {
        float most = all.greatest[e], old, new;

        merge(most, span.greatest[e], old, new);
        all.greatest[e] = most;
        all.sum[e] = fma(span.sum[e], new, all.sum[e] * old);
        all.value[e] = fma(span.value[e], new, all.value[e] * old);
    }
}

/* Attended columns first_col .. first_col + 3. */
vec4 combined(uint token, uint first_col)
{
    const uint n = rows[token].pos / SPAN + 1;
    const uvec4 cols = min(first_col + uvec4(0, 1, 2, 3), n_cols - 1);
    const uvec4 heads = (token * option + cols / head_dim) * n_spans * (head_dim + 2);
    Span all = Span(vec4(MINUS_INFINITY), vec4(0), vec4(0));

    merge_span(all, load_span(heads, cols, 0)); /* often there is no other */
    for (uint first = 1; first < n; first += AHEAD) {
        Span spans[AHEAD];

        [[unroll]] for (uint j = 0; j < AHEAD; j++)
            spans[j] = load_span(heads, cols, min(first + j, n - 1));
        [[unroll]] for (uint j = 0; j < AHEAD; j++)
            if (first + j < n)
                merge_span(all, spans[j]);
    }
    return all.value / all.sum;
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
    const uint row = option != 0 ? pick[token] : token, from = x_begin + row * x_stride;
    const float factor = norm_factor(row, n_cols, eps);
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
