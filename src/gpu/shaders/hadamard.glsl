/* hadamard.glsl -- the blocks of a transform in 256 columns: 256, or 128 and 64 (docs/codec.md, section
 * 5), with 64 threads that have four columns each. */
const uint BLOCK_COLS = 256;

shared float values[BLOCK_COLS];

/* Sums and differences of four values at distances d and 2 d. */
vec4 butterfly(vec4 v, bool with_first, bool with_second)
{
    const vec2 low = with_first ? vec2(v.x + v.y, v.x - v.y) : v.xy;
    const vec2 high = with_first ? vec2(v.z + v.w, v.z - v.w) : v.zw;

    return with_second ? vec4(low + high, low - high) : vec4(low, high);
}

/* H v for n columns; v is columns 4 i to 4 i + 3, the result columns i + 64 e.  Columns from n on
 * are anything. */
vec4 transform(uint i, uint n, vec4 v)
{
    v = butterfly(v, true, true);
    [[unroll]] for (uint e = 0; e < 4; e++)
        values[4 * i + e] = v[e];
    [[unroll]] for (uint d = 4; d < BLOCK_COLS; d *= 4) {
        const uint first = i % d + i / d * 4 * d;

        barrier();
        v = vec4(values[first], values[first + d], values[first + 2 * d], values[first + 3 * d]);
        v = butterfly(v, d < 64 || n >= 128, d < 64 || n == 256);
        if (d < 64)
            [[unroll]] for (uint e = 0; e < 4; e++)
                values[first + e * d] = v[e];
    }
    [[unroll]] for (uint e = 0; e < 4; e++)
        v[e] *= n == 256 ? 0.0625 : n >= 128 && e < 2 ? 0.088388346 : 0.125;
    return v;
}
