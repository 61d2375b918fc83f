/* plain.comp -- y[t][r] = sum over c of w[r, c] * x[t, c], weights of a plain type.
 *
 * Rows of the matrix are padded to whole words of 4 bytes.  32 threads share a row; each adds every
 * 32nd word in order, then the threads' sums are added in a tree: one order, whatever the batch.
 *
 * Workgroups: (8 rows of the matrix, token). */
#version 460
layout(local_size_x = 256) in;

layout(push_constant) uniform Constants
{
    uint n_rows, n_cols;
    uint w_stride; /* words of a row */
    uint x_begin, x_stride, y_begin, y_stride; /* floats */
};

layout(binding = 0) readonly buffer W { uint w[]; };
layout(binding = 1) readonly buffer RowScale { float row_scale[]; }; /* I8 */
layout(binding = 2) readonly buffer X { float x[]; };
layout(binding = 3) buffer Y { float y[]; };

shared float sums[256];

#if defined(F32)
const uint EACH = 1;
float weight(uint word, uint i, uint row) { return uintBitsToFloat(word); }
#elif defined(F16)
const uint EACH = 2;
float weight(uint word, uint i, uint row) { return unpackHalf2x16(word)[i]; }
#elif defined(BF16)
const uint EACH = 2;
float weight(uint word, uint i, uint row) { return uintBitsToFloat(i == 0 ? word << 16 : word & 0xffff0000u); }
#else
const uint EACH = 4;
float weight(uint word, uint i, uint row) /* bf16(int8 * scale), to nearest even */
{
    const float exact = float(bitfieldExtract(int(word), int(8 * i), 8)) * row_scale[row];
    const uint bits = floatBitsToUint(exact);

    return uintBitsToFloat((bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u);
}
#endif

void main()
{
    const uint thread = gl_LocalInvocationIndex, lane = thread % 32, token = gl_WorkGroupID.y;
    const uint row = min(gl_WorkGroupID.x * 8 + thread / 32, n_rows - 1);
    const uint from = x_begin + token * x_stride;
    float sum = 0;

    for (uint i = lane; i < w_stride; i += 32) {
        const uint word = w[row * w_stride + i];

        for (uint j = 0; j < EACH; j++)
            if (i * EACH + j < n_cols)
                sum = fma(weight(word, j, row), x[from + i * EACH + j], sum);
    }
    sums[thread] = sum;
    barrier();
    for (uint d = 16; d > 0; d /= 2) {
        if (lane < d)
            sums[thread] += sums[thread + d];
        barrier();
    }
    if (lane == 0 && gl_WorkGroupID.x * 8 + thread / 32 < n_rows)
        y[y_begin + token * y_stride + row] = sums[thread];
}
