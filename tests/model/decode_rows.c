/* decode_rows TYPE N_COLS < rows > float32: one row after the other as the library decodes it, for
 * tests that compare it with other implementations. */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct upg_matrix matrix = {.name = "stdin", .n_rows = 1};
    uint8_t *row;
    float *out;

    if (argc != 3)
        return 2;
    while (strcmp(upg_type_name(matrix.type), argv[1]) != 0)
        if (matrix.type++ == UPG_TYPE_Q6_K)
            return 2;
    matrix.n_cols = strtoul(argv[2], NULL, 10);
    if (!upg_type_row_bytes(matrix.type, matrix.n_cols, &matrix.n_bytes))
        return 2;
    row = malloc(matrix.n_bytes);
    out = malloc(matrix.n_cols * sizeof *out);
    matrix.data = row;
    while (row && out && fread(row, 1, matrix.n_bytes, stdin) == matrix.n_bytes) {
        upg_matrix_rows(&matrix, 0, 1, out, NULL);
        fwrite(out, sizeof *out, matrix.n_cols, stdout);
    }
    free(row);
    free(out);
    return ferror(stdin) || fflush(stdout) != 0;
}
