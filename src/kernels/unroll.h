/* unroll.h -- UPG_UNROLL in front of a loop: unroll it all, early.
 *
 * Sums of a tile stand in an array, whose elements become registers only if every index is a constant
 * by the time that the compilers look for that: gcc only in innermost loops, so they are flat.  The
 * steps of a block are constants too, since each is decoded in its own way. */
#ifndef UPG_KERNELS_UNROLL_H
#define UPG_KERNELS_UNROLL_H

#if defined(__clang__)
#define UPG_UNROLL _Pragma("clang loop unroll(full)")
#else
#define UPG_UNROLL _Pragma("GCC unroll 32") /* more than any of these loops has */
#endif

#endif
