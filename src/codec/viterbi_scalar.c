/* viterbi_scalar.c -- one sequence at a time, plain integers: the reference. */
#include <stdint.h>

enum { VEC_LANES = 1 };
typedef uint16_t vec;

static inline vec vec_load(const uint16_t *from)
{
    return *from;
}

static inline void vec_store(uint16_t *to, vec x)
{
    *to = x;
}

static inline vec vec_set(uint16_t x)
{
    return x;
}

static inline vec vec_add(vec x, vec y)
{
    return (vec)(x + y);
}

static inline vec vec_sub(vec x, vec y)
{
    return (vec)(x - y);
}

static inline vec vec_min(vec x, vec y)
{
    return x < y ? x : y;
}

static inline vec saturate(int x)
{
    return (vec)(x > INT16_MAX ? INT16_MAX : x < INT16_MIN ? INT16_MIN : x);
}

static inline vec vec_add_signed(vec x, vec y)
{
    return saturate((int16_t)x + (int16_t)y);
}

static inline vec vec_sub_signed(vec x, vec y)
{
    return saturate((int16_t)x - (int16_t)y);
}

static inline vec vec_square(vec x)
{
    const int value = (int16_t)x;

    return (vec)((value * value + (1 << 14)) >> 15);
}

static inline vec vec_retag(vec x, vec mask, vec tag)
{
    return (vec)((x & ~(unsigned)mask) | tag);
}

static inline vec vec_push(vec x, vec mask, vec y)
{
    return (vec)(x << 4 | (y & mask));
}

#include "codec/viterbi_steps.h"

const struct upg_viterbi *upg_viterbi_scalar(void)
{
    static const struct upg_viterbi viterbi = {"scalar", VEC_LANES, viterbi_run};

    return &viterbi;
}
