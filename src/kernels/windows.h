/* windows.h -- the code's look-ups in the forms that vectors want.
 *
 * A weight needs, of each plane, table[index(u)] with u the window of the 6 newest bits.  The index
 * is linear over GF(2), index(u ^ v) = index(u) ^ index(v), because xor_map is.  So it may be put
 * together from parts of the window: a nibble of the bit stream is mapped by a 16-entry shuffle, or
 * eight bits by an 8 x 8 bit matrix. */
#ifndef UPG_KERNELS_WINDOWS_H
#define UPG_KERNELS_WINDOWS_H

#include "codec/codec.h"

#include <assert.h>

enum { UPG_N_WINDOWS = 1 << UPG_WINDOW_BITS };

static inline unsigned upg_window_index(const struct upg_code *code, int plane, unsigned window)
{
    return (window & 15) ^ code->xor_map[plane][window >> 4 & 3];
}

/* Is the index linear, and at rate 1 index(32) = index(1) = 1?  The vector decoders count on it. */
static inline bool upg_windows_linear(const struct upg_code *code)
{
    for (int plane = 0; plane < 2; plane++) {
        const uint8_t *map = code->xor_map[plane];
        if (map[0] != 0 || map[3] != (map[1] ^ map[2]) || (code->rate[plane] == 1 && map[2] != 1))
            return false;
    }
    return true;
}

/* out[16]: the part of the index that a nibble gives whose lowest bit is bit `shift` of the window
 * (negative: bits before the window count nothing). */
static inline void upg_nibble_part(const struct upg_code *code, int plane, int shift,
                                   uint8_t out[16])
{
    for (unsigned nibble = 0; nibble < 16; nibble++) {
        const unsigned window = shift < 0 ? nibble >> -shift : nibble << shift;
        out[nibble] = (uint8_t)upg_window_index(code, plane, window & (UPG_N_WINDOWS - 1));
    }
}

/* The 8 x 8 bit matrix, as gf2p8affineqb takes it, that maps a byte to the part of the index that
 * its bits give when its lowest bit is bit `shift` of the window. */
static inline uint64_t upg_byte_part(const struct upg_code *code, int plane, int shift)
{
    uint64_t matrix = 0;

    for (int in = 0; in < 8; in++) {
        const int at = in + shift;
        const unsigned part =
            at < 0 || at >= UPG_WINDOW_BITS ? 0 : upg_window_index(code, plane, 1U << at);
        for (int out = 0; out < 4; out++)
            matrix |= (uint64_t)(part >> out & 1) << (8 * (7 - out) + in);
    }
    return matrix;
}

/* The bit matrix that shifts a byte left by n bits, right if n is negative. */
static inline uint64_t upg_byte_shift(int n)
{
    uint64_t matrix = 0;

    for (int out = 0; out < 8; out++)
        if (out - n >= 0 && out - n < 8)
            matrix |= (uint64_t)1 << (8 * (7 - out) + out - n);
    return matrix;
}

/* The bit matrix that rotates a byte right by n bits. */
static inline uint64_t upg_byte_rotation(int n)
{
    return upg_byte_shift(-n) | upg_byte_shift(8 - n);
}

#endif
