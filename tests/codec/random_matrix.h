/* random_matrix.h -- packed matrices with random bits, scales and gains: any bits are a valid code.
 */
#ifndef UPG_TESTS_CODEC_RANDOM_MATRIX_H
#define UPG_TESTS_CODEC_RANDOM_MATRIX_H

#include "base/arena.h"
#include "base/half.h"
#include "base/random.h"
#include "codec/codec.h"

/* All buffers live in the arena; NULL pointers when out of memory (the test then crashes). */
static inline struct upg_packed random_matrix(struct upg_arena *arena, int k, size_t n_rows,
                                              size_t n_cols, bool has_output_transform,
                                              uint64_t seed)
{
    struct upg_random random = {seed};
    struct upg_packed packed = {.k = k,
                                .n_rows = n_rows,
                                .n_cols = n_cols,
                                .padded_rows = (n_rows + 127) / 128 * 128,
                                .padded_cols = (n_cols + 63) / 64 * 64,
                                .seed_in = upg_random_u64(&random),
                                .seed_out = upg_random_u64(&random),
                                .has_output_transform = has_output_transform};
    const size_t n_bytes = packed.padded_rows * packed.padded_cols / 8 * (size_t)k;
    const size_t n_gains = (packed.padded_cols + 255) / 256;
    uint8_t *codes = upg_arena_alloc(arena, n_bytes, 1);
    uint16_t *row_scale = upg_arena_alloc(arena, packed.padded_rows, sizeof *row_scale);
    float *gain = upg_arena_alloc(arena, n_gains, sizeof *gain);

    for (size_t i = 0; i < n_bytes; i++)
        codes[i] = (uint8_t)upg_random_u64(&random);
    for (size_t i = 0; i < n_rows; i++)
        row_scale[i] = upg_f32_to_f16((float)(0.001 + 0.002 * upg_random_unit(&random)));
    for (size_t i = 0; i < n_gains; i++)
        gain[i] = (float)(0.5 + upg_random_unit(&random));
    packed.codes = codes;
    packed.row_scale = row_scale;
    packed.gain = gain;
    return packed;
}

#endif
