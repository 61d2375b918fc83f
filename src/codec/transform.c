/* transform.c -- random signs and Walsh-Hadamard blocks: they make weights look Gaussian.
 *
 * The order of operations is part of the specification, so that every kernel gives the same bits:
 * butterflies (a, b) -> (a + b, a - b) at distance 1, 2, 4, ..., n/2 in float32, then one
 * multiplication by the factor.  H is symmetric and orthonormal, so it is its own inverse. */
#include "codec/codec.h"

#include "base/random.h"

size_t upg_hadamard_block(size_t begin, size_t n_padded)
{
    size_t n = UPG_SCALE_BLOCK;

    while (n > n_padded - begin)
        n /= 2;
    return n;
}

bool upg_transform_sign(uint64_t seed, size_t index)
{
    return upg_splitmix64(seed + index) >> 63;
}

/* 1 / sqrt(n) in float32: 1/8, 0.088388346, 1/16. */
static float hadamard_factor(size_t n)
{
    return n == 256 ? 0x1p-4F : n == 128 ? 0x1.6a09e6p-4F : 0x1p-3F;
}

void upg_hadamard(float *x, size_t n)
{
    const float factor = hadamard_factor(n);

    for (size_t distance = 1; distance < n; distance *= 2)
        for (size_t begin = 0; begin < n; begin += 2 * distance)
            for (size_t i = begin; i < begin + distance; i++) {
                const float a = x[i], b = x[i + distance];
                x[i] = a + b;
                x[i + distance] = a - b;
            }
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

void upg_hadamard_columns(float *x, size_t n, size_t row_stride, size_t n_cols)
{
    const float factor = hadamard_factor(n);

    for (size_t distance = 1; distance < n; distance *= 2)
        for (size_t begin = 0; begin < n; begin += 2 * distance)
            for (size_t i = begin; i < begin + distance; i++) {
                float *upper = x + i * row_stride, *lower = upper + distance * row_stride;
                for (size_t col = 0; col < n_cols; col++) {
                    const float a = upper[col], b = lower[col];
                    upper[col] = a + b;
                    lower[col] = a - b;
                }
            }
    for (size_t i = 0; i < n; i++)
        for (size_t col = 0; col < n_cols; col++)
            x[i * row_stride + col] *= factor;
}

static void flip_signs(float *x, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        if (upg_transform_sign(seed, i))
            x[i] = -x[i];
}

static void hadamard_blocks(float *x, size_t n_padded)
{
    for (size_t begin = 0, n; begin < n_padded; begin += n) {
        n = upg_hadamard_block(begin, n_padded);
        upg_hadamard(x + begin, n);
    }
}

void upg_transform_in(float *x, size_t n_padded, uint64_t seed)
{
    flip_signs(x, n_padded, seed);
    hadamard_blocks(x, n_padded);
}

void upg_transform_out(float *y, size_t n_padded, uint64_t seed)
{
    hadamard_blocks(y, n_padded);
    flip_signs(y, n_padded, seed);
}
