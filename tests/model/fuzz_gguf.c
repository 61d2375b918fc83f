/* Fuzz target: a GGUF file in memory.  A container that is accepted tiles the file; of a model that
 * is accepted, the last row of each matrix is decoded. */
#include "last_rows.h"
#include "model/gguf.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_container(const uint8_t *data, size_t size)
{
    struct upg_arena arena = {0};
    struct upg_gguf file;

    if (upg_gguf_read(&file, "input", data, size, &arena, NULL) == UPG_OK) {
        const uint8_t *end = NULL;
        for (size_t i = 0; i < file.n_tensors; i++) {
            const struct upg_gguf_tensor *tensor = &file.tensors[i];
            check(tensor->begin % file.alignment == 0 && tensor->data == data + tensor->begin);
            check(!end || (tensor->data >= end && tensor->data < end + file.alignment));
            check(upg_gguf_find_tensor(&file, tensor->name) == tensor);
            end = tensor->data + tensor->n_bytes;
            check(end <= data + size);
        }
        for (size_t i = 0; i < file.n_entries; i++)
            check(upg_gguf_find_entry(&file, file.entries[i].key) == &file.entries[i]);
    }
    /* What is kept is a few times what the file has, whatever it claims. */
    check(arena.n_bytes <= 16 * size + 4096);
    upg_arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    upg_model *model = calloc(1, sizeof *model);
    upg_error err;

    check_container(data, size);
    if (model) {
        const upg_status status = upg_read_gguf_bytes(model, "input", data, size, &err);
        if (status == UPG_OK)
            decode_last_rows(model);
        else
            check(strncmp(err.message, "input: ", 7) == 0 || status == UPG_ERR_MEMORY);
    }
    upg_model_free(model);
    return 0;
}
