/* hf_tokenizer.c -- the text files of a Hugging Face directory. */
#include "base/file_map.h"
#include "model/hf.h"
#include "text/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Map directory/name if it is there; `map` stays all zero if it is not. */
static upg_status map_if_present(struct upg_file_map *map, const char *directory, const char *name,
                                 uint64_t *n_file_bytes, upg_error *err)
{
    const size_t n = strlen(directory) + strlen(name) + 2;
    char *path = malloc(n);
    upg_status status = UPG_OK;

    if (!path)
        return upg_fail_memory(err, "a file name", n);
    snprintf(path, n, "%s/%s", directory, name);
    if (access(path, F_OK) == 0)
        status = upg_file_map_open(map, path, err);
    *n_file_bytes += map->n_bytes;
    free(path);
    return status;
}

upg_status upg_read_hf_tokenizer(upg_tokenizer **tokenizer, const char *directory,
                                 uint64_t *n_file_bytes, upg_error *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json",
                                        "chat_template.jinja"};
    struct upg_file_map maps[3] = {{0}};
    uint64_t n_bytes = 0;
    upg_status status = UPG_OK;

    *tokenizer = NULL;
    for (size_t i = 0; i < 3 && status == UPG_OK; i++)
        status = map_if_present(&maps[i], directory, names[i], &n_bytes, err);
    if (status == UPG_OK && maps[0].path) {
        status =
            upg_tokenizer_from_json(tokenizer, maps[0].path, (const char *)maps[0].bytes,
                                    maps[0].n_bytes, (const char *)maps[1].bytes, maps[1].n_bytes,
                                    (const char *)maps[2].bytes, maps[2].n_bytes, err);
        *n_file_bytes += n_bytes;
    }
    for (size_t i = 0; i < 3; i++)
        upg_file_map_close(&maps[i]);
    return status;
}
