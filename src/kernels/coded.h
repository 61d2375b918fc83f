/* coded.h -- where the codes and scales of a side of a cache block are, for the tiers' coded.c; the
 * layout is described in kernels.h. */
#ifndef UPG_KERNELS_CODED_H
#define UPG_KERNELS_CODED_H

#include "kernels/kernels.h"

/* A product; the side is a matrix [n_rows, n_cols]. */
struct upg_coded {
    const uint16_t *scales;
    const uint8_t *codes;
    size_t head_dim, n_rows, n_cols;
    float *y;
    const float *x;
    size_t y_stride, x_stride, n_tokens;
};

static inline struct upg_coded upg_open_coded(bool keys, const void *side, size_t head_dim,
                                              float *y, size_t y_stride, const float *x,
                                              size_t x_stride, size_t n_tokens)
{
    const size_t n_scales = UPG_CODED_TOKENS * (head_dim / UPG_CODED_GROUP);

    return (struct upg_coded){.scales = side,
                              .codes = (const uint8_t *)side + n_scales * sizeof(uint16_t),
                              .head_dim = head_dim,
                              .n_rows = keys ? UPG_CODED_TOKENS : head_dim,
                              .n_cols = keys ? head_dim : UPG_CODED_TOKENS,
                              .y = y,
                              .x = x,
                              .y_stride = y_stride,
                              .x_stride = x_stride,
                              .n_tokens = n_tokens};
}

/* The code (8 bits), or the byte that has it (4 bits), of a row and a column.  Those of 16 columns
 * from a multiple of 16 on follow each other. */
static inline const uint8_t *upg_code_at(bool keys, int bits, const struct upg_coded *p, size_t row,
                                         size_t c)
{
    if (bits == 8)
        return p->codes + row * p->n_cols + c;
    if (keys)
        return p->codes + row * (p->head_dim / 2) + c / UPG_CODED_GROUP * 16 + c % 16;
    return p->codes + (row / UPG_CODED_GROUP * 16 + row % 16) * UPG_CODED_TOKENS + c;
}

/* Bits to shift such a byte by. */
static inline int upg_code_shift(bool keys, size_t row, size_t c)
{
    return (keys ? c : row) % UPG_CODED_GROUP < 16 ? 0 : 4;
}

/* Keys: the scale of 32 columns; values: the first of the scales of the columns from c on. */
static inline const uint16_t *upg_code_scale(bool keys, const struct upg_coded *p, size_t row,
                                             size_t c)
{
    return keys ? p->scales + row * (p->head_dim / UPG_CODED_GROUP) + c / UPG_CODED_GROUP
                : p->scales + row / UPG_CODED_GROUP * UPG_CODED_TOKENS + c;
}

#endif
