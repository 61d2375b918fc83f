/* tables.c -- the tables of the codes, made by scripts/train_code_tables.c.
 *
 * A weight of table units v = table[a][..] + table[b][..].  The sums of both planes stay within
 * UPG_WEIGHT_LIMIT so that v + 64 is an unsigned byte of 7 bits, which no multiply-add of bytes
 * saturates on.  `sigma` is the scale at which the tables fit a Gaussian source best. */
#include "codec/codec.h"

static const struct upg_code codes[] = {
    {.rate = {1, 1},
     .xor_map = {{0, 2, 1, 3}, {0, 2, 1, 3}},
     .table = {{-14, 10, 12, -9, -12, 34, 6, -20, 15, -7, 6, -16, -1, -29, 21, -3},
               {-5, 11, 23, -17, -12, 27, -6, 9, -3, 15, -7, 11, 14, -33, -20, 1}},
     .sigma = 21.84F},
    {.rate = {2, 1},
     .xor_map = {{0, 3, 1, 2}, {0, 2, 1, 3}},
     .table = {{2, -24, -12, 12, -12, 6, -5, -30, 30, -15, 10, -3, -20, -9, 16, 0},
               {-12, 17, 9, 17, -15, 21, -2, 6, -3, 5, -33, -4, 30, -10, 1, 12}},
     .sigma = 19.63F},
    {.rate = {2, 2},
     .xor_map = {{0, 3, 1, 2}, {0, 3, 1, 2}},
     .table = {{4, -22, -15, 9, -11, 4, -7, -27, 30, -12, 7, -2, -19, -9, 12, -5},
               {-12, 19, 10, 15, -14, 21, -1, 6, -1, 3, -35, -8, 29, -9, 1, 13}},
     .sigma = 18.20F},
};

const struct upg_code *upg_code_of(int k)
{
    return k >= 2 && k <= 4 ? &codes[k - 2] : NULL;
}
