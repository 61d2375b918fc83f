/* Fuzz target: the directory of a safetensors file.  What is accepted must tile the file. */
#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct upg_safetensors directory;
    struct upg_arena arena = {0};
    upg_error err;

    if (upg_safetensors_read(&directory, "input", data, size, &arena, &err) == UPG_OK) {
        const uint8_t *next = data + directory.header_bytes;
        for (size_t i = 0; i < directory.n_tensors; i++) {
            const struct upg_safetensor *tensor = &directory.tensors[i];
            check(tensor->data == next);
            check(tensor->n_bytes == tensor->n_values * upg_dtype_bytes(tensor->dtype));
            check(upg_safetensors_find(&directory, tensor->name) == tensor);
            next += tensor->n_bytes;
        }
        check(next == data + size);
    } else {
        check(strncmp(err.message, "input: ", 7) == 0 || err.status == UPG_ERR_MEMORY);
    }
    upg_safetensors_clear(&directory);
    upg_arena_clear(&arena);
    return 0;
}
