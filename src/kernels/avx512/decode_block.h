/* decode_block.h -- blocks from their two planes.
 *
 * The end of decode_vbmi.h and of decode_bw.h, which give struct decoder, struct windows and struct
 * carry, open_plane() and value_at().  A block is opened once; then the 8 steps follow one by one,
 * so that few registers are live at a time. */

struct block {
    struct windows planes[2];
};

/* A code's rates as constants, which those of struct upg_code are not. */
INLINE int rate_of(int k, int plane)
{
    return plane == 0 ? (k == 2 ? 1 : 2) : (k == 4 ? 2 : 1);
}

INLINE struct block open_block(int k, const struct decoder *d, const uint8_t *codes,
                               struct carry *carry)
{
    __m512i vectors[4];

    for (int i = 0; i < k; i++)
        vectors[i] = _mm512_load_si512(codes + UPG_LANES * i);
    return (struct block){
        {open_plane(d, &d->planes[0], rate_of(k, 0), vectors, carry->planes[0]),
         open_plane(d, &d->planes[1], rate_of(k, 1), vectors + rate_of(k, 0), carry->planes[1])}};
}

/* Rows 16 step .. 16 step + 15 x 4 columns of a block. */
INLINE __m512i weights_at(int k, const struct decoder *d, const struct block *block, int step)
{
    return _mm512_add_epi8(value_at(d, &d->planes[0], rate_of(k, 0), &block->planes[0], step),
                           value_at(d, &d->planes[1], rate_of(k, 1), &block->planes[1], step));
}

/* The state at the left edge of a row block: all symbols before it are 0. */
INLINE struct carry left_edge(void)
{
    const __m512i zero = _mm512_setzero_si512();

    return (struct carry){{{zero, zero}, {zero, zero}}};
}

/* Decode n_groups blocks; out is [8][n_groups][16 rows][4 columns].  With each, two lines of the codes
 * behind them are prefetched. */
INLINE void decode_blocks(int k, const struct decoder *decoder, const uint8_t *codes,
                          struct carry *carried, size_t n_groups, int8_t *out)
{
    const struct decoder d = *decoder; /* `out` may alias what is behind the pointers */
    struct carry carry = *carried;
    const uint8_t *next = codes + n_groups * UPG_LANES * (size_t)k;

    for (size_t g = 0; g < n_groups; g++, codes += UPG_LANES * k, next += 128) {
        const struct block block = open_block(k, &d, codes, &carry);

        _mm_prefetch((const char *)next, _MM_HINT_T1);
        _mm_prefetch((const char *)next + 64, _MM_HINT_T1);
        UPG_UNROLL
        for (int i = 0; i < UPG_STEPS; i++)
            _mm512_store_si512(out + ((size_t)i * n_groups + g) * UPG_LANES,
                               weights_at(k, &d, &block, i));
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
    for (size_t r = 0; r < UPG_ROW_BLOCK; r += 16) {
        const __m256i halves = _mm256_loadu_si256((const __m256i *)(row_scale + r));
        const __m512 scale = _mm512_cvtph_ps(halves);
        _mm512_storeu_ps(y + r, _mm512_mul_ps(scale, _mm512_load_ps(sums + r)));
    }
}
