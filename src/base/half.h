/* half.h -- IEEE binary16 and bfloat16 as bits. */
#ifndef UPG_BASE_HALF_H
#define UPG_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float upg_bits_to_f32(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t upg_f32_to_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float upg_bf16_to_f32(uint16_t bits)
{
    return upg_bits_to_f32((uint32_t)bits << 16);
}

/* Round to nearest, ties to even; NaN stays NaN. */
static inline uint16_t upg_f32_to_bf16(float value)
{
    const uint32_t bits = upg_f32_to_bits(value);

    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

static inline float upg_f16_to_f32(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 0x1Fu, fraction = half & 0x3FFu;

    if (exponent == 0) /* zero and subnormal: fraction * 2^-24 */
        return sign ? -(float)fraction * 0x1p-24f : (float)fraction * 0x1p-24f;
    if (exponent == 31)
        return upg_bits_to_f32(sign | 0x7F800000u | (fraction << 13));
    return upg_bits_to_f32(sign | ((exponent + 112u) << 23) | (fraction << 13));
}

/* Round to nearest, ties to even; beyond 65504 infinity; NaN stays NaN. */
static inline uint16_t upg_f32_to_f16(float value)
{
    const uint32_t bits = upg_f32_to_bits(value);
    const uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
    const uint32_t magnitude = bits & 0x7FFFFFFFu;

    if (magnitude > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00u);
    if (magnitude >= 0x477FF000u) /* 65520 rounds to infinity */
        return (uint16_t)(sign | 0x7C00u);
    if (magnitude <
        0x38800000u) { /* below 2^-14: adding 0.5 moves the units of 2^-24 to the lowest bits */
        const uint32_t rounded = upg_f32_to_bits(upg_bits_to_f32(magnitude) + 0.5f);
        return (uint16_t)(sign | (rounded - 0x3F000000u));
    }
    return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1u)) >> 13));
}

#endif
