/* kernels_peaks.h -- what a core can do at best: read memory, multiply int8. */
#ifndef UPG_BENCH_KERNELS_PEAKS_H
#define UPG_BENCH_KERNELS_PEAKS_H

#include <stddef.h>
#include <stdint.h>

enum bench_unit { UNIT_NONE, UNIT_AVX2, UNIT_AVX2_VNNI, UNIT_AVX512, UNIT_AVX512_VNNI, UNIT_AMX };

/* The unit that a tier of kernels multiplies int8 with. */
enum bench_unit bench_unit_of(const char *tier);

/* Run n rounds of int8 products on operands in registers; returns the operations of one round, a
 * multiplication and an addition being two. */
double bench_int8_products(enum bench_unit unit, size_t n);

/* Read n_bytes (a multiple of 256) once, as fast as it goes. */
void bench_read(const uint8_t *bytes, size_t n_bytes);

#endif
