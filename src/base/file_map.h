/* file_map.h -- a whole file mapped read-only into memory. */
#ifndef UPG_BASE_FILE_MAP_H
#define UPG_BASE_FILE_MAP_H

#include "base/error.h"

#include <stdint.h>

/* Owner: whoever opened it.  bytes is NULL when the file is empty. */
struct upg_file_map {
    char *path;           /* C string, owned */
    const uint8_t *bytes; /* [n_bytes], page-aligned */
    size_t n_bytes;
};

/* Map a regular file.  UPG_ERR_IO if it cannot be opened, is a directory or a device;
 * UPG_ERR_MEMORY. */
upg_status upg_file_map_open(struct upg_file_map *map, const char *path, upg_error *err);

/* Unmap.  A map that is all zero is allowed. */
void upg_file_map_close(struct upg_file_map *map);

#endif
