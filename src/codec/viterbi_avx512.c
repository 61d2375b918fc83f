/* viterbi_avx512.c -- 32 sequences in a register of AVX-512BW.
 *
 * Minimum runs on port 0 only, addition also on port 5: a branch costs a cycle, 4096 of them a step
 * of 32 weights.  Around them a state costs about five operations. */
#include "codec/trellis.h"

#if defined(__AVX512BW__)

#include <immintrin.h>

enum { VEC_LANES = 32 };
typedef __m512i vec;

static inline vec vec_load(const uint16_t *from)
{
    return _mm512_load_si512(from);
}

static inline void vec_store(uint16_t *to, vec x)
{
    _mm512_store_si512(to, x);
}

static inline vec vec_set(uint16_t x)
{
    return _mm512_set1_epi16((short)x);
}

static inline vec vec_add(vec x, vec y)
{
    return _mm512_add_epi16(x, y);
}

static inline vec vec_sub(vec x, vec y)
{
    return _mm512_sub_epi16(x, y);
}

static inline vec vec_min(vec x, vec y)
{
    return _mm512_min_epu16(x, y);
}

static inline vec vec_add_signed(vec x, vec y)
{
    return _mm512_adds_epi16(x, y);
}

static inline vec vec_sub_signed(vec x, vec y)
{
    return _mm512_subs_epi16(x, y);
}

static inline vec vec_square(vec x)
{
    return _mm512_mulhrs_epi16(x, x);
}

static inline vec vec_retag(vec x, vec mask, vec tag)
{
    return _mm512_ternarylogic_epi32(x, mask, tag, 0xBA); /* (x & ~mask) | tag */
}

static inline vec vec_push(vec x, vec mask, vec y)
{
    return _mm512_ternarylogic_epi32(_mm512_slli_epi16(x, 4), mask, y, 0xF8); /* x | (mask & y) */
}

#include "codec/viterbi_steps.h"

const struct upg_viterbi *upg_viterbi_avx512(void)
{
    static const struct upg_viterbi viterbi = {"avx512", VEC_LANES, viterbi_run};

    return __builtin_cpu_supports("avx512bw") ? &viterbi : NULL;
}

#else

const struct upg_viterbi *upg_viterbi_avx512(void)
{
    return NULL;
}

#endif
