/* dump_codes.c -- the codec as a filter, for the decoder in Python of test_decoder.py.
 *
 *   dump_codes tables K                                   text: rates, xor maps, tables, sigma
 *   dump_codes rows K ROWS COLS SEED_IN [SEED_OUT]        codes, row scales, gains -> float32 rows
 *   dump_codes encode K ROWS COLS                         float32 rows -> codes, row scales, gains
 *
 * Binary data goes from standard input to standard output in the byte order of the machine. */
#include "base/arena.h"
#include "codec/encoder.h"
#include "codec/scale.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A packed matrix whose buffers may be written. */
struct matrix {
    struct upg_packed packed;
    uint8_t *codes;
    uint16_t *row_scale;
    float *gain;
    size_t n_code_bytes, n_gains;
};

static bool allocate(struct matrix *matrix, struct upg_arena *arena, char **arguments)
{
    struct upg_packed *packed = &matrix->packed;

    packed->k = (int)strtol(arguments[0], NULL, 10);
    packed->n_rows = strtoull(arguments[1], NULL, 10);
    packed->n_cols = strtoull(arguments[2], NULL, 10);
    packed->padded_rows = (packed->n_rows + UPG_ROW_BLOCK - 1) / UPG_ROW_BLOCK * UPG_ROW_BLOCK;
    packed->padded_cols = (packed->n_cols + UPG_COL_UNIT - 1) / UPG_COL_UNIT * UPG_COL_UNIT;
    matrix->n_gains = (packed->padded_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;
    if (!upg_code_of(packed->k) ||
        !upg_packed_code_bytes(packed->k, packed->n_rows, packed->n_cols, &matrix->n_code_bytes))
        return false;
    packed->codes = matrix->codes = upg_arena_alloc(arena, matrix->n_code_bytes, 1);
    packed->row_scale = matrix->row_scale =
        upg_arena_alloc(arena, packed->padded_rows, sizeof *matrix->row_scale);
    packed->gain = matrix->gain = upg_arena_alloc(arena, matrix->n_gains, sizeof *matrix->gain);
    return matrix->codes && matrix->row_scale && matrix->gain;
}

static bool dump_tables(int k)
{
    const struct upg_code *code = upg_code_of(k);

    if (!code)
        return false;
    for (int plane = 0; plane < 2; plane++) {
        printf("%d", code->rate[plane]);
        for (int i = 0; i < 4; i++)
            printf(" %d", code->xor_map[plane][i]);
        for (int i = 0; i < 16; i++)
            printf(" %d", code->table[plane][i]);
        printf("\n");
    }
    printf("%.2f\n", (double)code->sigma);
    return true;
}

static bool dump_rows(struct upg_arena *arena, struct matrix *matrix)
{
    const struct upg_packed *packed = &matrix->packed;
    const size_t n = packed->n_rows * packed->n_cols;
    float *out = upg_arena_alloc(arena, n, sizeof *out);
    float *scratch = upg_arena_alloc(arena, upg_packed_row_scratch(packed), sizeof *scratch);

    if (!out || !scratch ||
        fread(matrix->codes, 1, matrix->n_code_bytes, stdin) != matrix->n_code_bytes ||
        fread(matrix->row_scale, sizeof *matrix->row_scale, packed->padded_rows, stdin) !=
            packed->padded_rows ||
        fread(matrix->gain, sizeof *matrix->gain, matrix->n_gains, stdin) != matrix->n_gains)
        return false;
    upg_packed_rows(packed, 0, packed->n_rows, out, scratch);
    return fwrite(out, sizeof *out, n, stdout) == n;
}

static bool encode(struct upg_arena *arena, struct matrix *matrix)
{
    const struct upg_packed *packed = &matrix->packed;
    const size_t n = packed->n_rows * packed->n_cols;
    float *w = upg_arena_alloc(arena, n, sizeof *w);
    struct upg_pool *pool = NULL;
    upg_error err;

    if (!w || fread(w, sizeof *w, n, stdin) != n)
        return false;
    const bool done =
        upg_pool_new(&pool, 2, &err) == UPG_OK &&
        upg_fit_scales(packed->k, w, packed->n_rows, packed->n_cols, matrix->row_scale,
                       matrix->gain, &err) == UPG_OK &&
        upg_encode_matrix(pool, packed->k, w, packed->n_rows, packed->n_cols, matrix->row_scale,
                          matrix->gain, matrix->codes, &err) == UPG_OK;
    upg_pool_free(pool);
    return done && fwrite(matrix->codes, 1, matrix->n_code_bytes, stdout) == matrix->n_code_bytes &&
           fwrite(matrix->row_scale, sizeof *matrix->row_scale, packed->padded_rows, stdout) ==
               packed->padded_rows &&
           fwrite(matrix->gain, sizeof *matrix->gain, matrix->n_gains, stdout) == matrix->n_gains;
}

int main(int n_arguments, char **arguments)
{
    const char *verb = n_arguments > 2 ? arguments[1] : "";
    struct upg_arena arena = {0};
    struct matrix matrix = {.codes = NULL};
    bool done = false;

    if (strcmp(verb, "tables") == 0) {
        done = dump_tables((int)strtol(arguments[2], NULL, 10));
    } else if (n_arguments > 4 && allocate(&matrix, &arena, arguments + 2)) {
        if (n_arguments > 5)
            matrix.packed.seed_in = strtoull(arguments[5], NULL, 10);
        matrix.packed.has_output_transform = n_arguments > 6;
        if (n_arguments > 6)
            matrix.packed.seed_out = strtoull(arguments[6], NULL, 10);
        if (strcmp(verb, "rows") == 0)
            done = dump_rows(&arena, &matrix);
        else if (strcmp(verb, "encode") == 0)
            done = encode(&arena, &matrix);
    }
    upg_arena_clear(&arena);
    if (!done)
        fputs("dump_codes: bad arguments or too little input\n", stderr);
    return done ? 0 : 1;
}
