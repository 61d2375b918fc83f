/* types_gguf.c -- GGUF block types to float32, exactly as the format says.
 *
 * Layouts follow ggml's quantization structures as the reference dequantizer of the Python package
 * `gguf` reads them (gguf/quants.py).  d and m are binary16, little-endian, as all numbers here.
 * Products and sums are single float32 operations in the reference's order.  Loops run over 16 or
 * 32 consecutive weights with one scale, so that compilers vectorise them. */
#include "model/types_gguf.h"

#include "base/half.h"

static float load_f16(const uint8_t *bytes)
{
    return upg_f16_to_f32((uint16_t)(bytes[0] | bytes[1] << 8));
}

static uint32_t load_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* ---- Blocks of 32 weights: d, [m], [32 fifth bits], 16 bytes of nibbles or 32 of int8.  Byte i
 * of the nibbles has weight i in its low half and weight i + 16 in its high half. ---- */

/* d(2) int8[32] */
void upg_decode_q8_0(const uint8_t *restrict block, size_t n_blocks, float *restrict out)
{
    for (size_t b = 0; b < n_blocks; b++, block += 34, out += 32) {
        const float d = load_f16(block);
        const uint8_t *q = block + 2;

        for (size_t i = 0; i < 32; i++)
            out[i] = d * (float)(int8_t)q[i];
    }
}

/* d(2) nibbles(16), w = d (q - 8) */
void upg_decode_q4_0(const uint8_t *restrict block, size_t n_blocks, float *restrict out)
{
    for (size_t b = 0; b < n_blocks; b++, block += 18, out += 32) {
        const float d = load_f16(block);
        const uint8_t *q = block + 2;

        for (size_t i = 0; i < 16; i++)
            out[i] = d * (float)((q[i] & 15) - 8);
        for (size_t i = 0; i < 16; i++)
            out[i + 16] = d * (float)((q[i] >> 4) - 8);
    }
}

/* d(2) m(2) nibbles(16), w = d q + m */
void upg_decode_q4_1(const uint8_t *restrict block, size_t n_blocks, float *restrict out)
{
    for (size_t b = 0; b < n_blocks; b++, block += 20, out += 32) {
        const float d = load_f16(block), m = load_f16(block + 2);
        const uint8_t *q = block + 4;

        for (size_t i = 0; i < 16; i++)
            out[i] = d * (float)(q[i] & 15) + m;
        for (size_t i = 0; i < 16; i++)
            out[i + 16] = d * (float)(q[i] >> 4) + m;
    }
}

/* Nibbles and the bits of `high` (bit i for weight i, worth 16) together: q[32] of 0 .. 31. */
static void join_5_bits(uint8_t q[32], const uint8_t *restrict nibbles, uint32_t high)
{
    for (uint32_t i = 0; i < 16; i++)
        q[i] = (uint8_t)((nibbles[i] & 15) | (high >> i & 1) << 4);
    for (uint32_t i = 0; i < 16; i++)
        q[i + 16] = (uint8_t)((nibbles[i] >> 4) | (high >> (i + 16) & 1) << 4);
}

/* d(2) high(4) nibbles(16), w = d (q - 16) */
void upg_decode_q5_0(const uint8_t *restrict block, size_t n_blocks, float *restrict out)
{
    for (size_t b = 0; b < n_blocks; b++, block += 22, out += 32) {
        const float d = load_f16(block);
        uint8_t q[32];

        join_5_bits(q, block + 6, load_u32(block + 2));
        for (size_t i = 0; i < 32; i++)
            out[i] = d * (float)(q[i] - 16);
    }
}

/* d(2) m(2) high(4) nibbles(16), w = d q + m */
void upg_decode_q5_1(const uint8_t *restrict block, size_t n_blocks, float *restrict out)
{
    for (size_t b = 0; b < n_blocks; b++, block += 24, out += 32) {
        const float d = load_f16(block), m = load_f16(block + 2);
        uint8_t q[32];

        join_5_bits(q, block + 8, load_u32(block + 4));
        for (size_t i = 0; i < 32; i++)
            out[i] = d * (float)q[i] + m;
    }
}

/* ---- Blocks of 256 weights: two levels of scales. ---- */

/* scales(16): low nibble s, high nibble t, one for 16 weights; q(64): 2 bits; d(2) dmin(2).
 * w = (d s) q - (dmin t).  Each 32 bytes of q hold 128 weights: bits 2j of byte i are weight
 * 32 j + i. */
void upg_decode_q2_k(const uint8_t *restrict block, size_t n_blocks, float *restrict out)
{
    for (size_t b = 0; b < n_blocks; b++, block += 84, out += 256) {
        const float d = load_f16(block + 80), dmin = load_f16(block + 82);

        for (size_t g = 0; g < 16; g++) { /* group of 16 weights */
            const float scale = d * (float)(block[g] & 15);
            const float offset = dmin * (float)(block[g] >> 4);
            const uint8_t *q = block + 16 + g / 8 * 32 + g % 2 * 16;
            const int shift = (int)(g % 8 / 2 * 2);

            for (size_t i = 0; i < 16; i++)
                out[g * 16 + i] = scale * (float)(q[i] >> shift & 3) - offset;
        }
    }
}

/* The 16 six-bit scales of Q3_K: byte g % 8 of the first 8 has the low nibbles of g and g + 8, byte
 * g % 4 of the last 4 the two high bits of g, g + 4, g + 8, g + 12. */
static int q3_k_scale(const uint8_t *scales, size_t g)
{
    const int low = scales[g % 8] >> (g / 8 * 4) & 15;
    const int high = scales[8 + g % 4] >> (g / 4 * 2) & 3;

    return (low | high << 4) - 32;
}

/* high(32) q(64) scales(12) d(2), w = (d s) (q - 4 (1 - h)): q as in Q2_K, h is bit g / 2 of high
 * byte i % 32. */
void upg_decode_q3_k(const uint8_t *restrict block, size_t n_blocks, float *restrict out)
{
    for (size_t b = 0; b < n_blocks; b++, block += 110, out += 256) {
        const float d = load_f16(block + 108);

        for (size_t g = 0; g < 16; g++) {
            const float scale = d * (float)q3_k_scale(block + 96, g);
            const uint8_t *high = block + g % 2 * 16;
            const uint8_t *q = block + 32 + g / 8 * 32 + g % 2 * 16;
            const int shift = (int)(g % 8 / 2 * 2), high_shift = (int)(g / 2);

            for (size_t i = 0; i < 16; i++) {
                const int value = (q[i] >> shift & 3) + (high[i] >> high_shift & 1) * 4 - 4;
                out[g * 16 + i] = scale * (float)value;
            }
        }
    }
}

/* Six-bit scale s and minimum t of group g of Q4_K and Q5_K, 12 bytes in all: groups 0 .. 3 have
 * theirs in the low 6 bits of bytes g and g + 4, groups 4 .. 7 nibbles in byte g + 4 and their high
 * bits in the top of bytes g - 4 and g. */
static void q4_k_scale(const uint8_t *scales, size_t g, int *s, int *t)
{
    if (g < 4) {
        *s = scales[g] & 63;
        *t = scales[g + 4] & 63;
    } else {
        *s = (scales[g + 4] & 15) | (scales[g - 4] >> 6) << 4;
        *t = scales[g + 4] >> 4 | (scales[g] >> 6) << 4;
    }
}

/* d(2) dmin(2) scales(12) q(128), w = (d s) q - (dmin t) for 8 groups of 32: groups 2j and 2j + 1
 * are the low and the high nibbles of the j-th 32 bytes. */
void upg_decode_q4_k(const uint8_t *restrict block, size_t n_blocks, float *restrict out)
{
    for (size_t b = 0; b < n_blocks; b++, block += 144, out += 256) {
        const float d = load_f16(block), dmin = load_f16(block + 2);

        for (size_t g = 0; g < 8; g++) {
            const uint8_t *q = block + 16 + g / 2 * 32;
            const int shift = (int)(g % 2 * 4);
            float scale, offset;
            int s, t;

            q4_k_scale(block + 4, g, &s, &t);
            scale = d * (float)s;
            offset = dmin * (float)t;
            for (size_t i = 0; i < 32; i++)
                out[g * 32 + i] = scale * (float)(q[i] >> shift & 15) - offset;
        }
    }
}

/* d(2) dmin(2) scales(12) high(32) q(128): as Q4_K, with a fifth bit, bit g of high byte i. */
void upg_decode_q5_k(const uint8_t *restrict block, size_t n_blocks, float *restrict out)
{
    for (size_t b = 0; b < n_blocks; b++, block += 176, out += 256) {
        const float d = load_f16(block), dmin = load_f16(block + 2);
        const uint8_t *high = block + 16;

        for (size_t g = 0; g < 8; g++) {
            const uint8_t *q = block + 48 + g / 2 * 32;
            const int shift = (int)(g % 2 * 4), high_shift = (int)g;
            float scale, offset;
            int s, t;

            q4_k_scale(block + 4, g, &s, &t);
            scale = d * (float)s;
            offset = dmin * (float)t;
            for (size_t i = 0; i < 32; i++) {
                const int value = (q[i] >> shift & 15) | (high[i] >> high_shift & 1) << 4;
                out[g * 32 + i] = scale * (float)value - offset;
            }
        }
    }
}

/* low(128) high(64) scales(16, int8) d(2), w = (d s) (q - 32), one scale for 16 weights.  Halves of
 * 128 weights have 64 bytes of low and 32 of high: the weights 32 j + i, j = 0 .. 3, take nibble
 * j / 2 of low byte 32 (j % 2) + i and bits 2j of high byte i. */
void upg_decode_q6_k(const uint8_t *restrict block, size_t n_blocks, float *restrict out)
{
    for (size_t b = 0; b < n_blocks; b++, block += 210, out += 256) {
        const float d = load_f16(block + 208);

        for (size_t g = 0; g < 16; g++) {
            const size_t half = g / 8, j = g % 8 / 2, begin = g % 2 * 16;
            const float scale = d * (float)(int8_t)block[192 + g];
            const uint8_t *low = block + half * 64 + j % 2 * 32 + begin;
            const uint8_t *high = block + 128 + half * 32 + begin;
            const int low_shift = (int)(j / 2 * 4), high_shift = (int)(j * 2);

            for (size_t i = 0; i < 16; i++) {
                const int value = (low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4;
                out[g * 16 + i] = scale * (float)(value - 32);
            }
        }
    }
}
