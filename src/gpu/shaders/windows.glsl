/* windows.glsl -- the windows of a packed block (docs/codec.md, section 3).  Needs K, the bits a weight. */

/* Windows of steps (0, 1), (2, 3), (4, 5), (6, 7), a byte a column: previous is the last vector of
 * the block to the left.  Those of rate 1 have 7 bits; the eighth does not matter. */
void windows_of_rate_1(uint previous, uint v, out uint windows[4])
{
    windows[0] = ((previous >> 3) & 0x1f1f1f1fu) | ((v << 5) & 0xe0e0e0e0u);
    windows[1] = ((previous >> 5) & 0x07070707u) | ((v << 3) & 0xf8f8f8f8u);
    windows[2] = ((previous >> 7) & 0x01010101u) | ((v << 1) & 0xfefefefeu);
    windows[3] = v >> 1;
}

void windows_of_rate_2(uint previous, uint v0, uint v1, out uint windows[4])
{
    windows[0] = ((previous >> 4) & 0x0f0f0f0fu) | ((v0 << 4) & 0xf0f0f0f0u);
    windows[1] = v0;
    windows[2] = ((v0 >> 4) & 0x0f0f0f0fu) | ((v1 << 4) & 0xf0f0f0f0u);
    windows[3] = v1;
}

/* v: the thread's words of a block; previous: of plane a and b, the last vector of the block to the
 * left, brought forward. */
void windows_of(uint v[K], inout uint previous[2], out uint a[4], out uint b[4])
{
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
}
