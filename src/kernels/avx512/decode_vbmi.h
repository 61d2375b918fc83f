/* decode_vbmi.h -- 512 weights of a block with AVX-512 VBMI and GFNI.
 *
 * The 64 windows of a plane index a table of 64 bytes: one vpermb a step, which ignores the upper
 * two bits of its index.  So a byte that holds 8 consecutive bits of the stream serves three
 * windows of a rate-1 plane (shifted by 0, 1, 2) or two of a rate-2 plane (by 0, 2); contamination
 * by 16-bit shifts reaches only the bits that are ignored.  Bytes across the border of two vectors
 * are put together from both, rotated into place.
 *
 * Operations for 512 weights at k = 3: 4 rotations, 4 selections, 9 shifts, 16 vpermb, 8 additions,
 * and 8 vpdpbusd: 49, on two ports. */
#ifndef UPG_KERNELS_AVX512_DECODE_VBMI_H
#define UPG_KERNELS_AVX512_DECODE_VBMI_H

#include "kernels/unroll.h"
#include "kernels/windows.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

struct plane {
    __m512i table; /* value[window] */
};

struct decoder {
    struct plane planes[2];
    __m512i rotate3, rotate4, rotate6; /* bit matrices that rotate bytes right */
};

/* The last vector of each plane, rotated as the next one wants it: at rate 2 right by 4, at rate 1
 * right by 3 and by 6. */
struct carry {
    __m512i planes[2][2];
};

INLINE struct plane plane_of(const struct upg_code *code, int plane, int offset)
{
    _Alignas(64) int8_t table[UPG_N_WINDOWS];

    for (unsigned u = 0; u < UPG_N_WINDOWS; u++)
        table[u] = (int8_t)(code->table[plane][upg_window_index(code, plane, u)] + offset);
    return (struct plane){_mm512_load_si512(table)};
}

/* offset is added to every weight. */
INLINE struct decoder decoder_of(int k, int offset)
{
    const struct upg_code *code = upg_code_of(k);

    return (struct decoder){
        .planes = {plane_of(code, 0, offset), plane_of(code, 1, 0)},
        .rotate3 = _mm512_set1_epi64((int64_t)upg_byte_rotation(3)),
        .rotate4 = _mm512_set1_epi64((int64_t)upg_byte_rotation(4)),
        .rotate6 = _mm512_set1_epi64((int64_t)upg_byte_rotation(6)),
    };
}

INLINE __m512i rotate_right(__m512i v, __m512i rotation)
{
    return _mm512_gf2p8affine_epi64_epi8(v, rotation, 0);
}

/* Bits of `low` where the byte `mask` has ones, else of `high`. */
INLINE __m512i select_bits(int mask, __m512i low, __m512i high)
{
    return _mm512_ternarylogic_epi32(low, high, _mm512_set1_epi8((char)mask), 0xE4);
}

/* Bytes of 8 consecutive bits of a plane's stream, for the 8 steps of a block.
 *   rate 1   from bit -5, -2 and 0 of the block on
 *   rate 2   from symbol -2, 0, 2 and 4 on */
struct windows {
    __m512i from[4];
};

INLINE struct windows open_plane(const struct decoder *d, const struct plane *p, int rate,
                                 const __m512i *bits, __m512i carried[2])
{
    struct windows w;

    (void)p;
    if (rate == 1) {
        const __m512i by3 = rotate_right(bits[0], d->rotate3);
        const __m512i by6 = rotate_right(bits[0], d->rotate6);
        w.from[0] = select_bits(0x1F, carried[0], by3);
        w.from[1] = select_bits(0x03, carried[1], by6);
        w.from[2] = bits[0];
        carried[0] = by3;
        carried[1] = by6;
    } else {
        const __m512i first = rotate_right(bits[0], d->rotate4);
        const __m512i second = rotate_right(bits[1], d->rotate4);
        w.from[0] = select_bits(0x0F, carried[0], first);
        w.from[1] = bits[0];
        w.from[2] = select_bits(0x0F, first, second);
        w.from[3] = bits[1];
        carried[0] = second;
    }
    return w;
}

/* The plane's part of the weights of one step; rate and step are constants. */
INLINE __m512i value_at(const struct decoder *d, const struct plane *p, int rate,
                        const struct windows *w, int step)
{
    static const int first_step[] = {0, 3, 5}; /* of each of the three bytes at rate 1 */
    const int byte = rate == 2 ? step / 2 : step < 3 ? 0 : step < 5 ? 1 : 2;
    const int shift = rate == 2 ? step % 2 * 2 : step - first_step[byte];
    const __m512i window = shift == 0   ? w->from[byte]
                           : shift == 1 ? _mm512_srli_epi16(w->from[byte], 1)
                                        : _mm512_srli_epi16(w->from[byte], 2);

    (void)d;
    return _mm512_permutexvar_epi8(window, p->table);
}

#include "kernels/avx512/decode_block.h"

#endif
