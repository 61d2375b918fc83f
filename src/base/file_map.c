/* file_map.c -- mapping files. */
#include "base/file_map.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

upg_status upg_file_map_open(struct upg_file_map *map, const char *path, upg_error *err)
{
    struct upg_file_map opened = {0};
    upg_status status = UPG_OK;
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block us */

    if (fd < 0)
        return upg_fail_errno(err, path, "open");
    if (fstat(fd, &info) != 0) {
        status = upg_fail_errno(err, path, "read the size");
        goto done;
    }
    if (!S_ISREG(info.st_mode)) {
        status = upg_fail(err, UPG_ERR_IO, "%s: is not a regular file", path);
        goto done;
    }
    opened.path = strdup(path);
    if (!opened.path) {
        status = upg_fail_memory(err, "a file name", strlen(path) + 1);
        goto done;
    }
    opened.n_bytes = (size_t)info.st_size;
    if (opened.n_bytes > 0) {
        void *bytes = mmap(NULL, opened.n_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            status = upg_fail_errno(err, path, "map into memory");
            free(opened.path);
            goto done;
        }
        opened.bytes = bytes;
    }
    *map = opened;
done:
    close(fd);
    return status;
}

void upg_file_map_close(struct upg_file_map *map)
{
    if (map->bytes)
        munmap((void *)(uintptr_t)map->bytes, map->n_bytes);
    free(map->path);
    memset(map, 0, sizeof *map);
}
