/* decode_block.h -- blocks from their two planes.
 *
 * The end of decode_vbmi.h and of decode_bw.h, which give struct decoder, struct carry,
 * decode_rate1() and decode_rate2(). */

/* Decode a block of 128 rows x 4 columns: out[i] holds rows 16 i .. 16 i + 15, 4 bytes a row. */
INLINE void decode_block(int k, const struct decoder *d, const uint8_t *block, struct carry *carry,
                         __m512i out[UPG_STEPS])
{
    const __m512i *vectors = (const __m512i *)block;
    const struct plane *a = &d->planes[0], *b = &d->planes[1];
    __m512i part[UPG_STEPS];

    if (k == 2) {
        decode_rate1(d, a, carry->a, _mm512_load_si512(vectors), out);
        decode_rate1(d, b, carry->b, _mm512_load_si512(vectors + 1), part);
    } else {
        decode_rate2(d, a, carry->a, _mm512_load_si512(vectors), out);
        decode_rate2(d, a, carry->a, _mm512_load_si512(vectors + 1), out + 4);
        if (k == 3) {
            decode_rate1(d, b, carry->b, _mm512_load_si512(vectors + 2), part);
        } else {
            decode_rate2(d, b, carry->b, _mm512_load_si512(vectors + 2), part);
            decode_rate2(d, b, carry->b, _mm512_load_si512(vectors + 3), part + 4);
        }
    }
    for (int i = 0; i < UPG_STEPS; i++)
        out[i] = _mm512_add_epi8(out[i], part[i]);
}

/* The state at the left edge of a row block: all symbols before it are 0. */
INLINE struct carry left_edge(void)
{
    const __m512i zero = _mm512_setzero_si512();

    return (struct carry){{zero, zero}, {zero, zero}};
}

/* Decode n_groups blocks; out is [8][n_groups][16 rows][4 columns].  With each, a line of the codes
 * behind them is prefetched. */
INLINE void decode_blocks(int k, const struct decoder *d, const uint8_t *codes, struct carry *carry,
                          size_t n_groups, int8_t *out)
{
    const uint8_t *next = codes + n_groups * UPG_LANES * (size_t)k;

    for (size_t g = 0; g < n_groups; g++, codes += UPG_LANES * k, next += 64) {
        __m512i weights[UPG_STEPS];

        decode_block(k, d, codes, carry, weights);
        _mm_prefetch((const char *)next, _MM_HINT_T1);
        for (size_t i = 0; i < UPG_STEPS; i++)
            _mm512_store_si512(out + (i * n_groups + g) * UPG_LANES, weights[i]);
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
    for (size_t r = 0; r < UPG_ROW_BLOCK; r += 16) {
        const __m256i halves = _mm256_loadu_si256((const __m256i *)(row_scale + r));
        const __m512 scale = _mm512_cvtph_ps(halves);
        _mm512_storeu_ps(y + r, _mm512_mul_ps(scale, _mm512_load_ps(sums + r)));
    }
}
