/* spans.glsl -- how parts of a softmax are put together.
 *
 * A part is its greatest score, the sum of exponentials of scores minus that, and values weighted
 * with them.  Parts are merged one after the other in the order of positions, from nothing (least
 * score, 0, 0) on:
 *
 *   sum = fma(part's sum, share_new, sum * share_old), and so the weighted values */
#define MINUS_INFINITY uintBitsToFloat(0xff800000u)

void merge(inout float greatest, float part, out float share_old, out float share_new)
{
    const float most = max(greatest, part);

    share_old = greatest > MINUS_INFINITY ? exp(greatest - most) : 0;
    share_new = part > MINUS_INFINITY ? exp(part - most) : 0;
    greatest = most;
}
