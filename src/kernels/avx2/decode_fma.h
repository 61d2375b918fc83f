/* decode_fma.h -- 256 weights of a block with AVX2 alone.
 *
 * As avx512/decode_bw.h, for one half of the lanes: shuffles look up 16 entries, so the index of a
 * window is put together from the nibbles that it touches (windows.h); a shuffle ignores bits 4 to
 * 6 of its index, bit 7 must be 0.
 *
 * Operations for 256 weights at k = 3: 34 for the rate-2 plane, 35 for the other, 40 of them
 * shuffles, 8 additions, 24 to multiply: 101, on three ports. */
#ifndef UPG_KERNELS_AVX2_DECODE_FMA_H
#define UPG_KERNELS_AVX2_DECODE_FMA_H

#include "kernels/unroll.h"
#include "kernels/windows.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

/* Look-ups of one plane: value[index], and parts of indices by a nibble whose lowest bit is this
 * bit of the window. */
struct plane {
    __m256i value, at1, at2, at3, at4;
};

struct decoder {
    struct plane planes[2];
    __m256i shift1, shift2; /* nibble >> 1, nibble >> 2 */
};

/* Of the last vector of each plane: the whole of it, and its high nibbles. */
struct half_carry {
    __m256i planes[2][2];
};

INLINE __m256i repeat16(const uint8_t bytes[16])
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)bytes));
}

INLINE __m256i nibble_part(const struct upg_code *code, int plane, int shift)
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

INLINE __m256i look_up(__m256i table, __m256i nibbles)
{
    return _mm256_shuffle_epi8(table, nibbles);
}

INLINE __m256i low_nibbles(__m256i v)
{
    return _mm256_and_si256(v, _mm256_set1_epi8(15));
}

INLINE __m256i high_nibbles(__m256i v)
{
    return low_nibbles(_mm256_srli_epi16(v, 4));
}

/* Nibbles of a plane's stream that the windows of a block touch.
 *   rate 1   bits -4 .. -1, 0 .. 3, 4 .. 7.  Steps 0 and 4 also need bits -5 and 4, but at the ends
 *            of their windows, where a bit counts as 1 in the index: `ends` has the sums of both
 *            ends in bits 0 and 4
 *   rate 2   symbols -2 and -1, 0 and 1, ..., 6 and 7 */
struct windows {
    __m256i nibbles[5], ends;
};

INLINE struct windows open_plane(const struct decoder *d, const struct plane *p, int rate,
                                 const __m256i *bits, __m256i carried[2])
{
    struct windows w = {.nibbles = {carried[1], low_nibbles(bits[0]), high_nibbles(bits[0])}};

    (void)d;
    (void)p;
    if (rate == 1) {
        w.ends = _mm256_and_si256(_mm256_xor_si256(_mm256_srli_epi16(carried[0], 3), bits[0]),
                                  _mm256_set1_epi8(0x11));
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
INLINE __m256i value_at(const struct decoder *d, const struct plane *p, int rate,
                        const struct windows *w, int step)
{
    const int at = rate == 2 ? step / 2 : step / 4; /* the window begins in this nibble */
    const __m256i before = w->nibbles[at], after = w->nibbles[at + 1];
    __m256i index;

    switch (rate == 2 ? step % 2 * 2 + 1 : step % 4) {
    case 0:
        index = _mm256_xor_si256(step == 0 ? w->ends : _mm256_srli_epi16(w->ends, 4),
                                 look_up(p->at1, before));
        break;
    case 1: index = _mm256_xor_si256(before, look_up(p->at4, after)); break;
    case 2: index = _mm256_xor_si256(look_up(d->shift1, before), look_up(p->at3, after)); break;
    default: index = _mm256_xor_si256(look_up(d->shift2, before), look_up(p->at2, after)); break;
    }
    return look_up(p->value, index);
}

#include "kernels/avx2/decode_block.h"

#endif
