/* rotate.glsl -- the Hadamard transform of a head (src/engine/kv_codes.h), with 128 threads. */
shared float values[256];

/* values[n] = H values, n = 64, 128 or 256.  Begins and ends with a barrier. */
void rotate_head(uint i, uint n)
{
    const float factor = n == 256 ? 0.0625 : n == 128 ? 0.088388346 : 0.125;

    for (uint d = 1; d < n; d *= 2) {
        barrier();
        if (2 * i < n) {
            const uint at = 2 * i - i % d;
            const float a = values[at], b = values[at + d];

            values[at] = a + b;
            values[at + d] = a - b;
        }
    }
    barrier();
    for (uint j = i; j < n; j += 128)
        values[j] *= factor;
    barrier();
}
