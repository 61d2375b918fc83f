/* packed.glsl -- decoding packed weights (docs/codec.md, sections 3 and 4).
 *
 * A word is what a vector holds for the four columns of a row.  In each plane, the windows of two
 * neighbouring steps lie in 8 bits, which choose a pair of values: one look-up in shared memory
 * serves two weights.  Values are biased by 64 in each plane, so bytes add without carry.
 *
 * There are four tables: the pairs of plane a and of plane b, in the low half of a word for the
 * first of two columns and in the high half for the second.  So the sum of four look-ups is two steps
 * of two columns and both planes.  An entry is a row of COPIES words, a quarter for each table; a
 * thread keeps to banks of its own by visiting the tables in an order of its own (table ^ quarter).
 *
 * Needs K, the bits a weight, and a buffer pairs[]. */
#include "windows.glsl"

layout(local_size_x_id = 0) in;                 /* 256 or more */
layout(constant_id = 1) const uint COPIES = 16; /* words of an entry: 16 or 32 */

shared uint table[256 * COPIES]; /* [entry][shifted][plane][copy] */

void fill_tables()
{
    const uint each = COPIES / 4;

    for (uint i = gl_LocalInvocationIndex; i < 256 * COPIES; i += gl_WorkGroupSize.x) {
        const uint number = i % COPIES / each, pair = pairs[i / COPIES];

        table[i] = ((number & 1) != 0 ? pair >> 16 : pair & 0xffff) << 8 * (number & 2);
    }
}

/* Of a thread: its order of planes and columns, and its place in the tables at each visit. */
bool begins_with_b;
uint column_bits[2];
uint places[4];

void choose_places()
{
    const uint each = COPIES / 4, copy = gl_LocalInvocationIndex % COPIES, quarter = copy / each;

    begins_with_b = (quarter & 1) != 0;
    column_bits[0] = 8 * (quarter / 2);
    column_bits[1] = 8 - column_bits[0];
    for (uint visit = 0; visit < 4; visit++)
        places[visit] = (quarter ^ visit) * each + copy % each;
}

/* The pair of a column's window. */
uint look_up(uint windows, uint bits, uint place)
{
#ifdef DOT
    return table[dot_unsigned(windows, COPIES << bits, 0) + place]; /* one instruction */
#else
    return table[bitfieldExtract(windows, int(bits), 8) * COPIES + place];
#endif
}

/* Steps i and i + 1 of two columns, bytes [column][step], from windows at 8 * column bits. */
uint two_columns(uint first, uint second, uint bits)
{
    return look_up(first, column_bits[0] + bits, places[0]) +
           look_up(second, column_bits[0] + bits, places[1]) +
           look_up(first, column_bits[1] + bits, places[2]) +
           look_up(second, column_bits[1] + bits, places[3]);
}

/* Weights + 128 of a block: pairs_of[i] is rows 32 i + r and 32 i + 16 + r in columns 0 and 1 and
 * in columns 2 and 3. */
void decode(uint v[K], inout uint previous[2], out uvec2 pairs_of[4])
{
    uint a[4], b[4];

    windows_of(v, previous, a, b);
    [[unroll]] for (uint i = 0; i < 4; i++) {
        const uint first = begins_with_b ? b[i] : a[i], second = begins_with_b ? a[i] : b[i];

        pairs_of[i] = uvec2(two_columns(first, second, 0), two_columns(first, second, 16));
    }
}

/* The same by rows: columns 0, 2, 1, 3 of row 32 i + r, and of row 32 i + 16 + r. */
uvec2 rows_of(uvec2 pair)
{
    return uvec2((pair.x & 0x00ff00ffu) | ((pair.y << 8) & 0xff00ff00u),
                 ((pair.x >> 8) & 0x00ff00ffu) | (pair.y & 0xff00ff00u));
}
