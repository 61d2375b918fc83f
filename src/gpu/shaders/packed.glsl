/* packed.glsl -- decoding packed weights (docs/codec.md, sections 3 and 4).
 *
 * A word is what a vector holds for the four columns of a row.  In each plane, the windows of two
 * neighbouring steps lie in 8 bits, which choose a pair of values: one look-up in shared memory
 * serves two weights.  Each thread reads a copy of the tables in its own bank.  Values are biased by
 * 64 in each plane, so bytes add without carry.  Needs K, the bits a weight, and a buffer pairs[]. */
layout(local_size_x_id = 0) in;                 /* 256 or more */
layout(constant_id = 1) const uint COPIES = 16; /* of a table: 16 or 32 */

#if K == 2
const uint ENTRIES = 128;
#else
const uint ENTRIES = 256; /* plane b of K == 3 uses 128 */
#endif
shared uint16_t table[ENTRIES * COPIES * 2]; /* [entry][copy][plane] */

void fill_tables()
{
    const uint thread = gl_LocalInvocationIndex, n = gl_WorkGroupSize.x / ENTRIES;
    const uint entry = thread % ENTRIES, pair = pairs[entry];

    for (uint j = thread / ENTRIES; j < COPIES; j += n) {
        const uint copy = (j + thread) % COPIES; /* neighbours write to different banks */

        table[(entry * COPIES + copy) * 2] = uint16_t(pair);
        table[(entry * COPIES + copy) * 2 + 1] = uint16_t(pair >> 16);
    }
}

/* Windows of steps (0, 1), (2, 3), (4, 5), (6, 7), a byte a column: previous is the last vector of
 * the block to the left. */
void windows_of_rate_1(uint previous, uint v, out uint windows[4])
{
    windows[0] = ((previous >> 3) & 0x1f1f1f1fu) | ((v << 5) & 0x60606060u);
    windows[1] = ((previous >> 5) & 0x07070707u) | ((v << 3) & 0x78787878u);
    windows[2] = ((previous >> 7) & 0x01010101u) | ((v << 1) & 0x7e7e7e7eu);
    windows[3] = (v >> 1) & 0x7f7f7f7fu;
}

void windows_of_rate_2(uint previous, uint v0, uint v1, out uint windows[4])
{
    windows[0] = ((previous >> 4) & 0x0f0f0f0fu) | ((v0 << 4) & 0xf0f0f0f0u);
    windows[1] = v0;
    windows[2] = ((v0 >> 4) & 0x0f0f0f0fu) | ((v1 << 4) & 0xf0f0f0f0u);
    windows[3] = v1;
}

/* Both planes' values of two steps of column c: step i low, step i + 1 high. */
uint look_up(uint window_a, uint window_b, int c, uint copy)
{
    const uint a = bitfieldExtract(window_a, 8 * c, 8), b = bitfieldExtract(window_b, 8 * c, 8);

    return uint(table[(a * COPIES + copy) * 2]) + uint(table[(b * COPIES + copy) * 2 + 1]);
}

/* Weights + 128 of a block: words[i] is row 16 i + r, columns 0, 2, 1, 3.  v: the thread's words of
 * the block; previous: of plane a and b, the last vector of the block to the left, brought forward. */
void decode(uint v[K], inout uint previous[2], uint copy, out uint words[8])
{
    uint a[4], b[4];

#if K == 2
    windows_of_rate_1(previous[0], v[0], a);
    windows_of_rate_1(previous[1], v[1], b);
    previous[0] = v[0];
#elif K == 3
    windows_of_rate_2(previous[0], v[0], v[1], a);
    windows_of_rate_1(previous[1], v[2], b);
    previous[0] = v[1];
#else
    windows_of_rate_2(previous[0], v[0], v[1], a);
    windows_of_rate_2(previous[1], v[2], v[3], b);
    previous[0] = v[1];
#endif
    previous[1] = v[K - 1];
    [[unroll]] for (uint i = 0; i < 4; i++) {
        const uint p = look_up(a[i], b[i], 0, copy) + (look_up(a[i], b[i], 1, copy) << 16);
        const uint q = look_up(a[i], b[i], 2, copy) + (look_up(a[i], b[i], 3, copy) << 16);

        words[2 * i] = (p & 0x00ff00ffu) | ((q << 8) & 0xff00ff00u);
        words[2 * i + 1] = ((p >> 8) & 0x00ff00ffu) | (q & 0xff00ff00u);
    }
}
