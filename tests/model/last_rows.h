/* last_rows.h -- for fuzz targets: decode the last row of every matrix of an accepted model. */
#ifndef UPG_TESTS_MODEL_LAST_ROWS_H
#define UPG_TESTS_MODEL_LAST_ROWS_H

#include "model/slots.h"

#include <stdlib.h>

static void decode_last_row(const struct upg_matrix *matrix)
{
    const size_t n_scratch =
        matrix->type == UPG_TYPE_PACKED ? upg_packed_row_scratch(&matrix->packed) : 0;
    float *row = malloc((matrix->n_cols + n_scratch) * sizeof *row);

    if (row)
        upg_matrix_rows(matrix, matrix->n_rows - 1, 1, row, row + matrix->n_cols);
    free(row);
}

static void decode_last_rows(const struct upg_model *model)
{
    for (size_t i = 0; i < upg_n_slots(&model->config); i++) {
        const struct upg_slot slot = upg_slot_of(model, i);
        for (size_t p = 0; p < upg_slot_n_parts(&slot); p++)
            decode_last_row(&slot.parts[p]);
    }
}

#endif
