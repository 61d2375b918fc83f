/* Fuzz target: a .upg file in memory.  Of what is accepted, the last row of each matrix is decoded.
 */
#include "base/arena.h"
#include "last_rows.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    upg_model *model = calloc(1, sizeof *model);
    uint8_t *bytes = upg_aligned_alloc(size, 1);
    upg_error err;

    if (model && bytes) {
        if (size)
            memcpy(bytes, data, size);
        if (upg_read_upg_bytes(model, "input", bytes, size, &err) == UPG_OK)
            decode_last_rows(model);
    }
    upg_model_free(model);
    free(bytes);
    return 0;
}
