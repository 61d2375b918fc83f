/* peaks.h -- what a core does at best, for the tiers' peaks.c: sums stay in registers, and the
 * compiler must believe that they are needed. */
#ifndef UPG_KERNELS_PEAKS_H
#define UPG_KERNELS_PEAKS_H

#include "kernels/unroll.h"

#include <stddef.h>
#include <stdint.h>

/* The compiler must take a register's value as changed. */
#define UPG_KEEP_INTEGER(value) __asm__ volatile("" : "+r"(value))
#if defined(__x86_64__)
#define UPG_KEEP(value) __asm__ volatile("" : "+x"(value))
#define UPG_KEEP512(value) __asm__ volatile("" : "+v"(value))
#elif defined(__aarch64__)
#define UPG_KEEP(value) __asm__ volatile("" : "+w"(value))
#endif

enum { UPG_PEAK_REPEATS = 16 /* of the sums in a round */ };

#endif
