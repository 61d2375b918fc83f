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
 * Workgroups: (scale block, token).  Words hold columns 0, 2, 1, 3 of a group of 4. */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef COMBINE
#define F16
#include "cache.glsl"
#endif
layout(local_size_x = 256) in;

layout(push_constant) uniform Constants
{
    uint n_cols, padded_cols;
    uint x_begin; /* floats in front of token 0 */
    uint x_stride;
    uint option; /* NORM: has_pick; GATE: d_ff; COMBINE: n_heads */
    float eps;   /* NORM */
    uint head_dim, n_spans; /* COMBINE */
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

shared float values[256];
shared uint most; /* bits of the largest magnitude: as integers they are in order, and NaN wins */
shared int sum_of_codes;

const float LEAST = 7.888609052210118e-31; /* 2^-100: smaller blocks count as 0 */

#if defined(NORM)
const uint AHEAD = 20;

float factor_of(uint from)
{
    const uint i = gl_LocalInvocationIndex;
    float sum = 0;

    for (uint first = i; first < n_cols; first += 256 * AHEAD) {
        float ahead[AHEAD]; /* loads side by side */

        [[unroll]] for (uint j = 0; j < AHEAD; j++)
            ahead[j] = first + 256 * j < n_cols ? x[from + first + 256 * j] : 0;
        [[unroll]] for (uint j = 0; j < AHEAD; j++)
            sum = fma(ahead[j], ahead[j], sum);
    }
    values[i] = sum;
    barrier();
    for (uint d = 128; d > 0; d /= 2) {
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

float combined(uint token, uint col)
{
    const uint n = rows[token].pos / SPAN + 1, each = head_dim + 2;
    const uint from = (token * option + col / head_dim) * n_spans * each;
    float greatest = x[from], sum = 0, value = 0;

    for (uint s = 1; s < n; s++)
        greatest = max(greatest, x[from + s * each]);
    for (uint s = 0; s < n; s++) {
        const float share = exp(x[from + s * each] - greatest);

        sum += x[from + s * each + 1] * share;
        value += x[from + s * each + 2 + col % head_dim] * share;
    }
    return value / sum;
}
#endif

/* Hadamard blocks of 256, or of 128 and 64, in values[]: 64 threads with four values each, so that
 * two distances are one round.  All threads enter. */
void transform(uint i, uint n)
{
    [[unroll]] for (uint d = 1; d < 256; d *= 4) {
        const uint first = i % d + i / d * 4 * d;

        if (i < 64) {
            float a = values[first], b = values[first + d];
            float c = values[first + 2 * d], e = values[first + 3 * d];
            const bool with_b = d < 64 || n >= 128, with_e = d < 64 || n == 256;
            const vec2 low = with_b ? vec2(a + b, a - b) : vec2(a, b);
            const vec2 high = with_e ? vec2(c + e, c - e) : vec2(c, e);

            values[first] = with_e ? low.x + high.x : low.x;
            values[first + d] = with_e ? low.y + high.y : low.y;
            values[first + 2 * d] = with_e ? low.x - high.x : high.x;
            values[first + 3 * d] = with_e ? low.y - high.y : high.y;
        }
        if (d < 64)
            barrier();
    }
}

uint code_of(uint col) { return floatBitsToUint(values[col]); }

void main()
{
    const uint i = gl_LocalInvocationIndex, col = gl_WorkGroupID.x * 256 + i;
    const uint token = gl_WorkGroupID.y, n_blocks = gl_NumWorkGroups.x;
    const uint n = min(padded_cols - gl_WorkGroupID.x * 256, 256u); /* 64, 128, 192 or 256 */
    const uint size = n == 256 ? 256 : n >= 128 && i < 128 ? 128 : 64; /* of the Hadamard block */
    float value = 0;

#if defined(NORM)
    const uint from = x_begin + (option != 0 ? pick[token] : token) * x_stride;
    const float factor = factor_of(from);
#endif
    if (col < n_cols) {
#if defined(NORM)
        value = weight[col] * (x[from + col] * factor);
#elif defined(GATE)
        const float g = x[x_begin + token * x_stride + col], e = exp(-abs(g));

        value = x[x_begin + token * x_stride + col + option] * (g * ((g < 0 ? e : 1) / (1 + e)));
#elif defined(COMBINE)
        value = combined(token, col);
#else
        value = x[x_begin + token * x_stride + col];
#endif
        if ((signs[col / 32] >> col % 32 & 1) != 0)
            value = -value;
    }
    values[i] = value;
    if (i == 0) {
        most = 0;
        sum_of_codes = 0;
    }
    barrier();
    transform(i, n);
    barrier();

    value = values[i] * (size == 256 ? 0.0625 : size == 128 ? 0.088388346 : 0.125);
    if (i < n)
        atomicMax(most, floatBitsToUint(abs(value)));
    barrier();
    const float largest = uintBitsToFloat(most);
    const bool is_finite = most < 0x7f800000;
    const bool is_usable = is_finite && largest >= LEAST;
    const int code = is_usable && i < n ? int(roundEven(value * (127 / largest))) : 0;

    values[i] = intBitsToFloat(code);
    atomicAdd(sum_of_codes, code);
    barrier();
    if (i < n / 4)
        codes[token * (padded_cols / 4) + gl_WorkGroupID.x * 64 + i] =
            (code_of(4 * i) & 255) | (code_of(4 * i + 2) & 255) << 8 |
            (code_of(4 * i + 1) & 255) << 16 | code_of(4 * i + 3) << 24;
    if (i == 0) {
        const uint block = token * n_blocks + gl_WorkGroupID.x;

        scales[2 * block] = is_usable ? largest / 127 : is_finite ? 0 : uintBitsToFloat(0x7fc00000);
        scales[2 * block + 1] = intBitsToFloat(sum_of_codes);
    }
}
