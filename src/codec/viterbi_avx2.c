/* viterbi_avx2.c -- 16 sequences in a register of AVX2. */
#include "codec/trellis.h"

#if defined(__AVX2__)

#include <immintrin.h>

enum { VEC_LANES = 16 };
typedef __m256i vec;

static inline vec vec_load(const uint16_t *from)
{
    return _mm256_load_si256((const __m256i *)from);
}

static inline void vec_store(uint16_t *to, vec x)
{
    _mm256_store_si256((__m256i *)to, x);
}

static inline vec vec_set(uint16_t x)
{
    return _mm256_set1_epi16((short)x);
}

static inline vec vec_add(vec x, vec y)
{
    return _mm256_add_epi16(x, y);
}

static inline vec vec_sub(vec x, vec y)
{
    return _mm256_sub_epi16(x, y);
}

static inline vec vec_min(vec x, vec y)
{
    return _mm256_min_epu16(x, y);
}

static inline vec vec_add_signed(vec x, vec y)
{
    return _mm256_adds_epi16(x, y);
}

static inline vec vec_sub_signed(vec x, vec y)
{
    return _mm256_subs_epi16(x, y);
}

static inline vec vec_square(vec x)
{
    return _mm256_mulhrs_epi16(x, x);
}

static inline vec vec_retag(vec x, vec mask, vec tag)
{
    return _mm256_or_si256(_mm256_andnot_si256(mask, x), tag);
}

static inline vec vec_push(vec x, vec mask, vec y)
{
    return _mm256_or_si256(_mm256_slli_epi16(x, 4), _mm256_and_si256(mask, y));
}

#include "codec/viterbi_steps.h"

const struct upg_viterbi *upg_viterbi_avx2(void)
{
    static const struct upg_viterbi viterbi = {"avx2", VEC_LANES, viterbi_run};

    return __builtin_cpu_supports("avx2") ? &viterbi : NULL;
}

#else

const struct upg_viterbi *upg_viterbi_avx2(void)
{
    return NULL;
}

#endif
