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
    __m512i a[2], b[2];
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
    return _mm512_ternarylogic_epi32(_mm512_set1_epi8((char)mask), low, high, 0xCA);
}

INLINE __m512i value_at(const struct plane *p, __m512i windows)
{
    return _mm512_permutexvar_epi8(windows, p->table);
}

/* 4 steps of a rate-2 plane from one vector.  Symbols -2 .. 1 of the stream, then 0 .. 3. */
INLINE void decode_rate2(const struct decoder *d, const struct plane *p, __m512i carried[2],
                         __m512i bits, __m512i out[4])
{
    const __m512i rotated = rotate_right(bits, d->rotate4);
    const __m512i across = select_bits(0x0F, carried[0], rotated);

    out[0] = value_at(p, across);
    out[1] = value_at(p, _mm512_srli_epi16(across, 2));
    out[2] = value_at(p, bits);
    out[3] = value_at(p, _mm512_srli_epi16(bits, 2));
    carried[0] = rotated;
}

/* 8 steps of a rate-1 plane from one vector.  Bits -5 .. 2, then -2 .. 5, then 0 .. 7. */
INLINE void decode_rate1(const struct decoder *d, const struct plane *p, __m512i carried[2],
                         __m512i bits, __m512i out[8])
{
    const __m512i by3 = rotate_right(bits, d->rotate3), by6 = rotate_right(bits, d->rotate6);
    const __m512i from_minus5 = select_bits(0x1F, carried[0], by3);
    const __m512i from_minus2 = select_bits(0x03, carried[1], by6);

    out[0] = value_at(p, from_minus5);
    out[1] = value_at(p, _mm512_srli_epi16(from_minus5, 1));
    out[2] = value_at(p, _mm512_srli_epi16(from_minus5, 2));
    out[3] = value_at(p, from_minus2);
    out[4] = value_at(p, _mm512_srli_epi16(from_minus2, 1));
    out[5] = value_at(p, bits);
    out[6] = value_at(p, _mm512_srli_epi16(bits, 1));
    out[7] = value_at(p, _mm512_srli_epi16(bits, 2));
    carried[0] = by3;
    carried[1] = by6;
}

#include "kernels/avx512/decode_block.h"

#endif
