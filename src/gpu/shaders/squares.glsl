/* squares.glsl -- sums of squares of blocks of 256 columns, which rows are normed by.  Whoever makes a
 * block of the residual stream adds its squares, always in the same order. */
shared float sums_of_squares[64];

/* Of values[256] (hadamard.glsl), with 64 threads.  Begins with a barrier. */
float sum_of_squares(uint i)
{
    barrier();
    float sum = 0;

    for (uint e = 0; e < 4; e++)
        sum = fma(values[i + 64 * e], values[i + 64 * e], sum);
    sums_of_squares[i] = sum;
    barrier();
    for (uint d = 32; d > 0; d /= 2) {
        if (i < d)
            sums_of_squares[i] += sums_of_squares[i + d];
        barrier();
    }
    return sums_of_squares[0];
}
