/* peaks.c -- int8 products of NEON, of Armv8.2 and of Armv8.6 in registers; reading. */
#include "kernels/neon/neon.h"

#include "kernels/peaks.h"

#include <arm_neon.h>

enum { SUMS = 16 };

double upg_int8_products_neon_base(size_t n_rounds)
{
    int32x4_t sums[SUMS];
    int8x16_t a = vdupq_n_s8(1);
    const int8x16_t b = a;

    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        sums[j] = vdupq_n_s32(0);
    for (size_t i = 0; i < n_rounds * UPG_PEAK_REPEATS; i++) {
        UPG_UNROLL
        for (int j = 0; j < SUMS; j++) {
            UPG_KEEP(a);
            const int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
            sums[j] = vpadalq_s16(sums[j], vmlal_high_s8(low, a, b));
        }
    }
    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        UPG_KEEP(sums[j]);
    return UPG_PEAK_REPEATS * SUMS * 16 * 2;
}

__attribute__((target("arch=armv8.2-a+dotprod"))) double
upg_int8_products_neon_dotprod(size_t n_rounds)
{
    int32x4_t sums[SUMS];
    int8x16_t a = vdupq_n_s8(1);
    const int8x16_t b = a;

    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        sums[j] = vdupq_n_s32(0);
    for (size_t i = 0; i < n_rounds * UPG_PEAK_REPEATS; i++) {
        UPG_UNROLL
        for (int j = 0; j < SUMS; j++) {
            UPG_KEEP(a);
            sums[j] = vdotq_s32(sums[j], a, b);
        }
    }
    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        UPG_KEEP(sums[j]);
    return UPG_PEAK_REPEATS * SUMS * 16 * 2;
}

__attribute__((target("arch=armv8.2-a+i8mm"))) double upg_int8_products_neon_i8mm(size_t n_rounds)
{
    int32x4_t sums[SUMS];
    int8x16_t a = vdupq_n_s8(1);
    const int8x16_t b = a;

    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        sums[j] = vdupq_n_s32(0);
    for (size_t i = 0; i < n_rounds * UPG_PEAK_REPEATS; i++) {
        UPG_UNROLL
        for (int j = 0; j < SUMS; j++) {
            UPG_KEEP(a);
            sums[j] = vmmlaq_s32(sums[j], a, b);
        }
    }
    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        UPG_KEEP(sums[j]);
    return UPG_PEAK_REPEATS * SUMS * 32 * 2;
}

void upg_read_neon(const uint8_t *bytes, size_t n_bytes)
{
    uint8x16_t sums[SUMS];

    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        sums[j] = vdupq_n_u8(0);
    for (const uint8_t *end = bytes + n_bytes; bytes < end; bytes += 16 * SUMS) {
        UPG_UNROLL
        for (int j = 0; j < SUMS; j++) {
            if (j % 4 == 0)
                __builtin_prefetch(bytes + 4096 + 16 * j);
            sums[j] = vaddq_u8(sums[j], vld1q_u8(bytes + 16 * j));
        }
    }
    UPG_UNROLL
    for (int j = 0; j < SUMS; j++)
        UPG_KEEP(sums[j]);
}
