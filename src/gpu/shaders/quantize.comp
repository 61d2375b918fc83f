/* quantize.comp -- rows for packed matrices: signs, Hadamard blocks, int8 (docs/codec.md, section 5).
 *
 * With v = H_in D_in x and largest = max |v| of a scale block of 256 columns: scale = largest / 127,
 * codes = nearest integers to v * 127 / largest.  Columns from n_cols on count as 0.
 *
 * Workgroups: (scale block, token).  Words hold columns 0, 2, 1, 3 of a group of 4. */
#version 460
layout(local_size_x = 256) in;

layout(push_constant) uniform Constants
{
    uint n_cols, padded_cols;
    uint x_begin; /* floats in front of token 0 */
    uint x_stride;
};

layout(binding = 0) readonly buffer X { float x[]; };
layout(binding = 1) readonly buffer Signs { uint signs[]; }; /* [padded_cols / 32] */
layout(binding = 2) buffer Codes { uint codes[]; };          /* [token][padded_cols / 4] */
layout(binding = 3) buffer Scales { float scales[]; };       /* [token][n_blocks][2]: scale, sum */

shared float values[256];
shared int codes_of[256];
shared int sums[256];

const float LEAST = 7.888609052210118e-31; /* 2^-100: smaller blocks count as 0 */

void main()
{
    const uint i = gl_LocalInvocationIndex, col = gl_WorkGroupID.x * 256 + i;
    const uint token = gl_WorkGroupID.y, n_blocks = gl_NumWorkGroups.x;
    const uint n = min(padded_cols - gl_WorkGroupID.x * 256, 256u); /* 64, 128, 192 or 256 */
    const uint size = n == 256 ? 256 : n >= 128 && i < 128 ? 128 : 64; /* of the Hadamard block */
    float value = 0;

    if (col < n_cols) {
        value = x[x_begin + token * x_stride + col];
        if ((signs[col / 32] >> col % 32 & 1) != 0)
            value = -value;
    }
    for (uint d = 1; d < 256; d *= 2) {
        values[i] = value;
        barrier();
        const float other = values[i ^ d];
        if (d < size)
            value = (i & d) == 0 ? value + other : other - value;
        barrier();
    }
    value *= size == 256 ? 0.0625 : size == 128 ? 0.088388346 : 0.125;

    values[i] = i < n ? abs(value) : 0;
    barrier();
    for (uint d = 128; d > 0; d /= 2) { /* a NaN wins: it must show in the outputs */
        if (i < d && !(values[i] >= values[i + d]) && !isnan(values[i]))
            values[i] = values[i + d];
        barrier();
    }
    const float largest = values[0];
    const bool is_finite = !isnan(largest) && !isinf(largest);
    const bool is_usable = is_finite && largest >= LEAST;
    const int code = is_usable && i < n ? int(roundEven(value * (127 / largest))) : 0;

    codes_of[i] = code;
    sums[i] = code;
    barrier();
    for (uint d = 128; d > 0; d /= 2) {
        if (i < d)
            sums[i] += sums[i + d];
        barrier();
    }
    if (i < n / 4)
        codes[token * (padded_cols / 4) + gl_WorkGroupID.x * 64 + i] =
            (uint(codes_of[4 * i]) & 255) | (uint(codes_of[4 * i + 2]) & 255) << 8 |
            (uint(codes_of[4 * i + 1]) & 255) << 16 | uint(codes_of[4 * i + 3]) << 24;
    if (i == 0) {
        const uint block = token * n_blocks + gl_WorkGroupID.x;

        scales[2 * block] = is_usable ? largest / 127 : is_finite ? 0 : uintBitsToFloat(0x7fc00000);
        scales[2 * block + 1] = intBitsToFloat(sums[0]);
    }
}
