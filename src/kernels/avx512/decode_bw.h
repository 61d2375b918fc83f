/* decode_bw.h -- 512 weights of a block with AVX-512 BW alone.
 *
 * Shuffles look up 16 entries, so the index of a window is put together from the nibbles that it
 * touches (windows.h); a shuffle ignores bits 4 to 6 of its index, bit 7 must be 0.
 *
 * Operations for 512 weights at k = 3: 34 for the rate-2 plane, 34 for the other, 40 of them
 * shuffles, 8 additions, and 8 vpdpbusd or 24 for its replacement: 84 or 100, on two ports. */
#ifndef UPG_KERNELS_AVX512_DECODE_BW_H
#define UPG_KERNELS_AVX512_DECODE_BW_H

#include "kernels/unroll.h"
#include "kernels/windows.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

/* Look-ups of one plane: value[index], and parts of indices by a nibble whose lowest bit is this
 * bit of the window. */
struct plane {
    __m512i value, at1, at2, at3, at4;
};

struct decoder {
    struct plane planes[2];
    __m512i shift1, shift2; /* nibble >> 1, nibble >> 2 */
};

/* Of the last vector of each plane: the whole of it, and its high nibbles. */
struct carry {
    __m512i planes[2][2];
};

INLINE __m512i repeat16(const uint8_t bytes[16])
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)bytes));
}

INLINE __m512i nibble_part(const struct upg_code *code, int plane, int shift)
{
    uint8_t part[16];

    upg_nibble_part(code, plane, shift, part);
    return repeat16(part);
}

INLINE struct plane plane_of(const struct upg_code *code, int plane, int offset)
{
    uint8_t values[16];

    for (int i = 0; i < 16; i++)
        values[i] = (uint8_t)(code->table[plane][i] + offset);
    return (struct plane){repeat16(values), nibble_part(code, plane, 1),
                          nibble_part(code, plane, 2), nibble_part(code, plane, 3),
                          nibble_part(code, plane, 4)};
}

/* offset is added to every weight. */
INLINE struct decoder decoder_of(int k, int offset)
{
    const struct upg_code *code = upg_code_of(k);
    uint8_t halves[16], quarters[16];

    assert(upg_windows_linear(code));
    for (int i = 0; i < 16; i++) {
        halves[i] = (uint8_t)(i >> 1);
        quarters[i] = (uint8_t)(i >> 2);
    }
    return (struct decoder){
        {plane_of(code, 0, offset), plane_of(code, 1, 0)}, repeat16(halves), repeat16(quarters)};
}

INLINE __m512i look_up(__m512i table, __m512i nibbles)
{
    return _mm512_shuffle_epi8(table, nibbles);
}

INLINE __m512i low_nibbles(__m512i v)
{
    return _mm512_and_si512(v, _mm512_set1_epi8(15));
}

INLINE __m512i high_nibbles(__m512i v)
{
    return low_nibbles(_mm512_srli_epi16(v, 4));
}

/* Nibbles of a plane's stream that the windows of a block touch.
 *   rate 1   bits -4 .. -1, 0 .. 3, 4 .. 7.  Steps 0 and 4 also need bits -5 and 4, but at the ends
 *            of their windows, where a bit counts as 1 in the index: `ends` has the sums of both
 *            ends in bits 0 and 4
 *   rate 2   symbols -2 and -1, 0 and 1, ..., 6 and 7 */
struct windows {
    __m512i nibbles[5], ends;
};

INLINE struct windows open_plane(const struct decoder *d, const struct plane *p, int rate,
                                 const __m512i *bits, __m512i carried[2])
{
    struct windows w = {.nibbles = {carried[1], low_nibbles(bits[0]), high_nibbles(bits[0])}};

    (void)d;
    (void)p;
    if (rate == 1) {
        w.ends = _mm512_ternarylogic_epi32(_mm512_srli_epi16(carried[0], 3), bits[0],
                                           _mm512_set1_epi8(0x11), 0x28); /* (x ^ y) & z */
        carried[0] = bits[0];
        carried[1] = w.nibbles[2];
    } else {
        w.nibbles[3] = low_nibbles(bits[1]);
        w.nibbles[4] = high_nibbles(bits[1]);
        carried[1] = w.nibbles[4];
    }
    return w;
}

/* The plane's part of the weights of one step; rate and step are constants. */
INLINE __m512i value_at(const struct decoder *d, const struct plane *p, int rate,
                        const struct windows *w, int step)
{
    const int at = rate == 2 ? step / 2 : step / 4; /* the window begins in this nibble */
    const __m512i before = w->nibbles[at], after = w->nibbles[at + 1];
    __m512i index;

    switch (rate == 2 ? step % 2 * 2 + 1 : step % 4) {
    case 0:
        index = _mm512_xor_si512(step == 0 ? w->ends : _mm512_srli_epi16(w->ends, 4),
                                 look_up(p->at1, before));
        break;
    case 1: index = _mm512_xor_si512(before, look_up(p->at4, after)); break;
    case 2: index = _mm512_xor_si512(look_up(d->shift1, before), look_up(p->at3, after)); break;
    default: index = _mm512_xor_si512(look_up(d->shift2, before), look_up(p->at2, after)); break;
    }
    return look_up(p->value, index);
}

#include "kernels/avx512/decode_block.h"

#endif
