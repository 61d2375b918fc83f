/* tables.c -- the tables of the codes, found with scripts/train_code_tables.c (docs/codec.md,
 * section 9).
 *
 * A weight of table units v = table[a][..] + table[b][..].  The sums of both planes stay within
 * UPG_WEIGHT_LIMIT so that v + 64 is an unsigned byte of 7 bits, which no multiply-add of bytes
 * saturates on.  `sigma` is the scale at which the tables fit a Gaussian source best. */
#include "codec/codec.h"

static const struct upg_code codes[] = {
    {.rate = {1, 1},
     .xor_map = {{0, 15, 1, 14}, {0, 15, 1, 14}},
     .table = {{1, -19, 18, -15, -30, 11, -5, 14, 9, -18, -12, 9, 35, -5, 6, -11},
               {-1, 23, -21, 10, 13, -6, 12, -7, 13, -10, -16, 5, 28, -4, -32, 6}},
     .sigma = 21.89F},
    {.rate = {2, 1},
     .xor_map = {{0, 1, 2, 3}, {0, 3, 1, 2}},
     .table = {{9, -17, 31, -5, -19, 22, 7, -4, -1, 8, 19, -15, 16, 4, -32, -9},
               {0, 7, 29, -31, -7, -1, -11, 10, -1, -10, 11, -7, -16, 17, -5, 3}},
     .sigma = 19.30F},
    {.rate = {2, 2},
     .xor_map = {{0, 1, 2, 3}, {0, 1, 2, 3}},
     .table = {{-39, 25, -3, -8, -10, -25, -16, -4, -14, -6, 1, 10, 8, 3, -2, -12},
               {-2, 11, 32, -6, 0, 7, 20, -18, 27, 9, -10, 15, -12, 14, 2, 6}},
     .sigma = 17.02F},
};

const struct upg_code *upg_code_of(int k)
{
    return k >= 2 && k <= 4 ? &codes[k - 2] : NULL;
}
