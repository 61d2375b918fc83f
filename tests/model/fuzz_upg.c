/* Fuzz target: a .upg file in memory.  Of what is accepted, the last row of each matrix is decoded.
 */
#include "base/arena.h"
#include "model/slots.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_last_row(const struct upg_matrix *matrix)
{
    const size_t n_scratch =
        matrix->type == UPG_TYPE_PACKED ? upg_packed_row_scratch(&matrix->packed) : 0;
    float *row = malloc((matrix->n_cols + n_scratch) * sizeof *row);

    if (row)
        upg_matrix_rows(matrix, matrix->n_rows - 1, 1, row, row + matrix->n_cols);
    free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    upg_model *model = calloc(1, sizeof *model);
    uint8_t *bytes = upg_aligned_alloc(size, 1);
    upg_error err;

    if (model && bytes) {
        if (size)
            memcpy(bytes, data, size);
        if (upg_read_upg_bytes(model, "input", bytes, size, &err) == UPG_OK) {
            for (size_t i = 0; i < upg_n_slots(&model->config); i++) {
                const struct upg_slot slot = upg_slot_of(model, i);
                for (size_t p = 0; p < upg_slot_n_parts(&slot); p++)
                    decode_last_row(&slot.parts[p]);
            }
        }
    }
    upg_model_free(model);
    free(bytes);
    return 0;
}
