/* atomic_file.c -- write, fsync, rename, fsync the directory. */
#include "base/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void release(struct upg_atomic_file *file)
{
    free(file->path);
    free(file->part_path);
    memset(file, 0, sizeof *file);
}

upg_status upg_atomic_file_open(struct upg_atomic_file *file, const char *path, upg_error *err)
{
    const size_t n = strlen(path) + sizeof ".part";
    struct stat found;
    upg_status status;

    memset(file, 0, sizeof *file);
    /* The rename at the end would put a regular file in the place of a device, or fail after all
     * the work on a directory. */
    if (stat(path, &found) == 0 && !S_ISREG(found.st_mode))
        return upg_fail(err, UPG_ERR_IO, "%s: %s; give another name", path,
                        S_ISDIR(found.st_mode) ? "is a directory" : "is not a regular file");
    file->path = strdup(path);
    file->part_path = malloc(n);
    if (!file->path || !file->part_path) {
        release(file);
        return upg_fail_memory(err, "a file name", n);
    }
    snprintf(file->part_path, n, "%s.part", path);
    file->fd = open(file->part_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file->fd < 0) {
        status = upg_fail_errno(err, file->part_path, "create");
        release(file);
        return status;
    }
    return UPG_OK;
}

upg_status upg_atomic_file_write(struct upg_atomic_file *file, const void *bytes, size_t n,
                                 upg_error *err)
{
    const char *next = bytes;

    while (n > 0) {
        const ssize_t written = write(file->fd, next, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return upg_fail_errno(err, file->part_path, "write");
        next += written;
        n -= (size_t)written;
        file->n_bytes += (uint64_t)written;
    }
    return UPG_OK;
}

/* A rename is durable only when the directory that holds the name is flushed. */
static void flush_directory(const char *path)
{
    char *copy = strdup(path);
    char *slash = copy ? strrchr(copy, '/') : NULL;
    int fd;

    if (slash == copy && copy)
        copy[1] = '\0';
    else if (slash)
        *slash = '\0';
    fd = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(
            fd); /* some file systems refuse this on directories: the data itself is safe by then */
        close(fd);
    }
    free(copy);
}

upg_status upg_rename_file(const char *from, const char *to, upg_error *err)
{
    if (rename(from, to) != 0)
        return upg_fail_errno(err, to, "rename the finished file to this name");
    flush_directory(to);
    return UPG_OK;
}

upg_status upg_atomic_file_commit(struct upg_atomic_file *file, upg_error *err)
{
    upg_status status = UPG_OK;

    if (fsync(file->fd) != 0)
        status = upg_fail_errno(err, file->part_path, "flush");
    if (close(file->fd) != 0 && status == UPG_OK)
        status = upg_fail_errno(err, file->part_path, "close");
    if (status == UPG_OK)
        status = upg_rename_file(file->part_path, file->path, err);
    if (status != UPG_OK)
        unlink(file->part_path);
    release(file);
    return status;
}

void upg_atomic_file_discard(struct upg_atomic_file *file)
{
    if (!file->part_path)
        return;
    close(file->fd);
    unlink(file->part_path);
    release(file);
}
