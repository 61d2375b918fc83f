/* decode_block.h -- blocks from their two planes, half a block at a time.
 *
 * The end of decode_fma.h and of decode_gfni.h, which give struct decoder, struct windows and struct
 * half_carry, open_plane() and value_at().  A half is opened once; then the 8 steps follow one by
 * one, so that few registers are live at a time. */

struct half_block {
    struct windows planes[2];
};

/* A code's rates as constants, which those of struct upg_code are not. */
INLINE int rate_of(int k, int plane)
{
    return plane == 0 ? (k == 2 ? 1 : 2) : (k == 4 ? 2 : 1);
}

/* Lanes 32 half .. 32 half + 31 of a block. */
INLINE struct half_block open_half(int k, const struct decoder *d, const uint8_t *codes, int half,
                                   struct half_carry *carry)
{
    __m256i vectors[4];

    for (int i = 0; i < k; i++)
        vectors[i] = _mm256_load_si256((const __m256i *)(codes + UPG_LANES * i + 32 * half));
    return (struct half_block){
        {open_plane(d, &d->planes[0], rate_of(k, 0), vectors, carry->planes[0]),
         open_plane(d, &d->planes[1], rate_of(k, 1), vectors + rate_of(k, 0), carry->planes[1])}};
}

/* Rows 16 step + 8 half .. + 7 of a block, 4 columns each. */
INLINE __m256i weights_at(int k, const struct decoder *d, const struct half_block *block, int step)
{
    return _mm256_add_epi8(value_at(d, &d->planes[0], rate_of(k, 0), &block->planes[0], step),
                           value_at(d, &d->planes[1], rate_of(k, 1), &block->planes[1], step));
}

struct carry {
    struct half_carry halves[2];
};

/* The state at the left edge of a row block: all symbols before it are 0. */
INLINE struct carry left_edge(void)
{
    const __m256i zero = _mm256_setzero_si256();
    const struct half_carry half = {{{zero, zero}, {zero, zero}}};

    return (struct carry){{half, half}};
}

/* Decode n_groups blocks; out is [16][n_groups][8 rows][4 columns].  With each, two lines of the codes
 * behind them are prefetched. */
INLINE void decode_blocks(int k, const struct decoder *decoder, const uint8_t *codes,
                          struct carry *carried, size_t n_groups, int8_t *out)
{
    const struct decoder d = *decoder; /* `out` may alias what is behind the pointers */
    struct carry carry = *carried;
    const uint8_t *next = codes + n_groups * UPG_LANES * (size_t)k;

    for (size_t g = 0; g < n_groups; g++, codes += UPG_LANES * k, next += 128) {
        _mm_prefetch((const char *)next, _MM_HINT_T1);
        _mm_prefetch((const char *)next + 64, _MM_HINT_T1);
        UPG_UNROLL
        for (int half = 0; half < 2; half++) {
            const struct half_block opened = open_half(k, &d, codes, half, &carry.halves[half]);

            UPG_UNROLL
            for (int i = 0; i < UPG_STEPS; i++) {
                int8_t *to = out + ((size_t)(2 * i + half) * n_groups + g) * 32;
                _mm256_store_si256((__m256i *)to, weights_at(k, &d, &opened, i));
            }
        }
    }
    *carried = carry;
}

static inline void decode_chunk(int k, const struct decoder *d, const uint8_t *codes,
                                struct carry *carry, size_t n_groups, int8_t *out)
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
