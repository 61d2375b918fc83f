/* finish.glsl -- the output side of a map for 256 rows of a token, a row a thread.
 *
 *   y[row] = row_scale[row] * F, then D_out H_out y if there is an output side (docs/codec.md,
 *   section 5); with `adds` y is added to what is there.
 *
 * The Hadamard block of the last rows may be 128.  Needs the buffers and constants named here, and
 * scratch[] in shared memory. */
struct Side { /* of a row: loaded before the values are there */
    float scale;
    bool is_negated;
    float old;
};

Side side_of(uint token, uint row)
{
    const vec2 scale = unpackHalf2x16(row_scale[row / 2]);

    return Side(row % 2 == 0 ? scale.x : scale.y,
                has_output_transform != 0 && (signs[row / 32] >> row % 32 & 1) != 0,
                adds != 0 && row < n_rows ? y[y_begin + token * y_stride + row] : 0);
}

/* All threads of a workgroup enter; 256 of them, which have scratch[at .. at + 511], compute the
 * rows from first_row on. */
void finish(float value, Side side, uint token, uint first_row, uint i, uint at, bool is_used)
{
    value *= side.scale;
    if (has_output_transform != 0) {
        const uint n = min(padded_rows - first_row, 256u); /* 256 or 128 */

        for (uint d = 1, part = 0; d < 256; d *= 2, part ^= 256) { /* two halves: one barrier */
            scratch[at + part + i] = floatBitsToInt(value);
            barrier();
            const float other = intBitsToFloat(scratch[at + part + (i ^ d)]);
            if (d < n)
                value = (i & d) == 0 ? value + other : other - value;
        }
        value *= n == 256 ? 0.0625 : 0.088388346;
    }
    if (first_row + i < n_rows && is_used) {
        value = side.is_negated ? -value : value;
        y[y_begin + token * y_stride + first_row + i] = adds != 0 ? side.old + value : value;
    }
}
