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

/* Read the file into the page cache from the first byte to the last, if more than an eighth of it is
 * missing there and it fits into memory with a quarter to spare.  Not to load it sooner: where
 * threads touch a file here and there, the page cache gets pages of 4 KiB, and as long as they are
 * there every pass over the weights waits for address translations, a third of its time; a file that
 * is read in order gets pages of 2 MiB where the system can (Linux 6.16 with ext4 or xfs).
 * progress (stage "read weights", in bytes) may be NULL; UPG_ERR_CANCELLED if it asks to stop. */
upg_status upg_file_map_load(const struct upg_file_map *map, upg_progress_fn progress,
                             void *progress_context, upg_error *err);

/* Unmap.  A map that is all zero is allowed. */
void upg_file_map_close(struct upg_file_map *map);

#endif
