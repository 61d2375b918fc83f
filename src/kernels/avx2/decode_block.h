/* decode_block.h -- blocks from their two planes.
 *
 * The end of decode_fma.h and of decode_gfni.h, which give struct decoder, struct half_carry,
 * decode_rate1() and decode_rate2(). */

/* Decode half of a block, lanes 32 half .. 32 half + 31: out[i] holds rows 16 i + 8 half .. + 7 of
 * 4 columns each. */
INLINE void decode_half(int k, const struct decoder *d, const uint8_t *block, int half,
                        struct half_carry *carry, __m256i out[UPG_STEPS])
{
    const __m256i *vectors = (const __m256i *)block + half;
    const struct plane *a = &d->planes[0], *b = &d->planes[1];
    __m256i part[UPG_STEPS];

    if (k == 2) {
        decode_rate1(d, a, carry->a, _mm256_load_si256(vectors), out);
        decode_rate1(d, b, carry->b, _mm256_load_si256(vectors + 2), part);
    } else {
        decode_rate2(d, a, carry->a, _mm256_load_si256(vectors), out);
        decode_rate2(d, a, carry->a, _mm256_load_si256(vectors + 2), out + 4);
        if (k == 3) {
            decode_rate1(d, b, carry->b, _mm256_load_si256(vectors + 4), part);
        } else {
            decode_rate2(d, b, carry->b, _mm256_load_si256(vectors + 4), part);
            decode_rate2(d, b, carry->b, _mm256_load_si256(vectors + 6), part + 4);
        }
    }
    for (int i = 0; i < UPG_STEPS; i++)
        out[i] = _mm256_add_epi8(out[i], part[i]);
}

struct carry {
    struct half_carry halves[2];
};

/* The state at the left edge of a row block: all symbols before it are 0. */
INLINE struct carry left_edge(void)
{
    const __m256i zero = _mm256_setzero_si256();
    const struct half_carry half = {{zero, zero}, {zero, zero}};

    return (struct carry){{half, half}};
}

/* Decode n_groups blocks; out is [16][n_groups][8 rows][4 columns].  With each, a line of the codes
 * behind them is prefetched. */
INLINE void decode_blocks(int k, const struct decoder *d, const uint8_t *codes, struct carry *carry,
                          size_t n_groups, int8_t *out)
{
    const uint8_t *next = codes + n_groups * UPG_LANES * (size_t)k;

    for (size_t g = 0; g < n_groups; g++, codes += UPG_LANES * k, next += 64) {
        _mm_prefetch((const char *)next, _MM_HINT_T1);
        for (size_t half = 0; half < 2; half++) {
            __m256i weights[UPG_STEPS];

            decode_half(k, d, codes, (int)half, &carry->halves[half], weights);
            for (size_t i = 0; i < UPG_STEPS; i++) {
                int8_t *to = out + ((2 * i + half) * n_groups + g) * 32;
                _mm256_store_si256((__m256i *)to, weights[i]);
            }
        }
    }
}

static void decode_chunk(int k, const struct decoder *d, const uint8_t *codes, struct carry *carry,
                         size_t n_groups, int8_t *out)
{
    switch (k) {
    case 2: decode_blocks(2, d, codes, carry, n_groups, out); break;
    case 3: decode_blocks(3, d, codes, carry, n_groups, out); break;
    default: decode_blocks(4, d, codes, carry, n_groups, out); break;
    }
}

/* y[128] = row scales times sums. */
INLINE void store_rows(float *y, const uint16_t *row_scale, const float sums[UPG_ROW_BLOCK])
{
    for (size_t r = 0; r < UPG_ROW_BLOCK; r += 8) {
        const __m128i halves = _mm_loadu_si128((const __m128i *)(row_scale + r));
        const __m256 scale = _mm256_cvtph_ps(halves);
        _mm256_storeu_ps(y + r, _mm256_mul_ps(scale, _mm256_load_ps(sums + r)));
    }
}
