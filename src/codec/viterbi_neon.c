/* viterbi_neon.c -- 8 sequences in a register of Advanced SIMD. */
#include "codec/trellis.h"

#if defined(__ARM_NEON)

#include <arm_neon.h>

enum { VEC_LANES = 8 };
typedef uint16x8_t vec;

static inline vec vec_load(const uint16_t *from)
{
    return vld1q_u16(from);
}

static inline void vec_store(uint16_t *to, vec x)
{
    vst1q_u16(to, x);
}

static inline vec vec_set(uint16_t x)
{
    return vdupq_n_u16(x);
}

static inline vec vec_add(vec x, vec y)
{
    return vaddq_u16(x, y);
}

static inline vec vec_sub(vec x, vec y)
{
    return vsubq_u16(x, y);
}

static inline vec vec_min(vec x, vec y)
{
    return vminq_u16(x, y);
}

static inline int16x8_t as_signed(vec x)
{
    return vreinterpretq_s16_u16(x);
}

static inline vec vec_add_signed(vec x, vec y)
{
    return vreinterpretq_u16_s16(vqaddq_s16(as_signed(x), as_signed(y)));
}

static inline vec vec_sub_signed(vec x, vec y)
{
    return vreinterpretq_u16_s16(vqsubq_s16(as_signed(x), as_signed(y)));
}

/* Narrowing does not saturate: -32768 gives 2^15, as on the other machines. */
static inline vec vec_square(vec x)
{
    const int32x4_t low = vmull_s16(vget_low_s16(as_signed(x)), vget_low_s16(as_signed(x)));
    const int32x4_t high = vmull_high_s16(as_signed(x), as_signed(x));

    return vreinterpretq_u16_s16(vrshrn_high_n_s32(vrshrn_n_s32(low, 15), high, 15));
}

static inline vec vec_retag(vec x, vec mask, vec tag)
{
    return vorrq_u16(vbicq_u16(x, mask), tag);
}

static inline vec vec_push(vec x, vec mask, vec y)
{
    return vorrq_u16(vshlq_n_u16(x, 4), vandq_u16(y, mask));
}

#include "codec/viterbi_steps.h"

const struct upg_viterbi *upg_viterbi_neon(void)
{
    static const struct upg_viterbi viterbi = {"neon", VEC_LANES, viterbi_run};

    return &viterbi;
}

#else

const struct upg_viterbi *upg_viterbi_neon(void)
{
    return NULL;
}

#endif
