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

enum { LOAD_BYTES = 32 << 20, LEAST_PAGE = 4096 };

/* Bytes that the page cache does not have; 0 if that cannot be found out. */
static size_t count_missing(const struct upg_file_map *map, size_t page_bytes)
{
    unsigned char pages[LOAD_BYTES / LEAST_PAGE];
    size_t n_missing = 0;

    for (size_t begin = 0; begin < map->n_bytes; begin += LOAD_BYTES) {
        const size_t left = map->n_bytes - begin, n = left < LOAD_BYTES ? left : LOAD_BYTES;

        if (mincore((void *)(uintptr_t)(map->bytes + begin), n, (void *)pages) != 0)
            return 0;
        for (size_t i = 0; i < (n + page_bytes - 1) / page_bytes; i++)
            n_missing += pages[i] & 1 ? 0 : page_bytes;
    }
    return n_missing;
}

/* Single pages in the page cache keep large ones away. */
static void drop_pages(const struct upg_file_map *map)
{
#ifdef POSIX_FADV_DONTNEED
    const int fd = open(map->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return;
    if (madvise((void *)(uintptr_t)map->bytes, map->n_bytes, MADV_DONTNEED) == 0)
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
#else
    (void)map;
#endif
}

upg_status upg_file_map_load(const struct upg_file_map *map, upg_progress_fn progress,
                             void *progress_context, upg_error *err)
{
    void *memory = (void *)(uintptr_t)map->bytes;
    const long n_pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    upg_status status = UPG_OK;

    if (n_pages <= 0 || page_bytes < LEAST_PAGE ||
        map->n_bytes / (size_t)page_bytes > (size_t)n_pages / 4 * 3 ||
        count_missing(map, (size_t)page_bytes) <= map->n_bytes / 8)
        return UPG_OK;
    drop_pages(map);
    madvise(memory, map->n_bytes, MADV_SEQUENTIAL); /* far ahead */
    for (size_t i = 0; i < map->n_bytes && status == UPG_OK; i += LEAST_PAGE) {
        if (i % LOAD_BYTES == 0 && progress &&
            progress(progress_context, "read weights", i, map->n_bytes) != 0)
            status = upg_fail(err, UPG_ERR_CANCELLED, "%s: cancelled", map->path);
        (void)*(const volatile uint8_t *)(map->bytes + i);
    }
    madvise(memory, map->n_bytes, MADV_NORMAL);
    return status;
}

void upg_file_map_close(struct upg_file_map *map)
{
    if (map->bytes)
        munmap((void *)(uintptr_t)map->bytes, map->n_bytes);
    free(map->path);
    memset(map, 0, sizeof *map);
}
