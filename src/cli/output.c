/* output.c -- checked writing. */
#include "cli/output.h"

#include "cli/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int first_errno; /* of standard output */

bool output_now(const char *bytes, size_t n)
{
    if (first_errno == 0 && (fwrite(bytes, 1, n, stdout) != n || fflush(stdout) != 0))
        first_errno = errno;
    return first_errno == 0;
}

upg_status output_check(upg_error *err)
{
    errno = 0;
    if (first_errno == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        first_errno = errno ? errno : EIO;
    if (first_errno == 0)
        return UPG_OK;
    errno = first_errno;
    return fail_errno(err, "standard output", "write");
}

bool output_is_closed(void)
{
    return first_errno == EPIPE;
}

static bool is_special(const char *path)
{
    struct stat found;

    return stat(path, &found) == 0 && !S_ISREG(found.st_mode);
}

/* Where the bytes go, for messages. */
static const char *written_name(const struct output_file *file)
{
    if (file->part_path)
        return file->part_path;
    return file->fd == STDOUT_FILENO ? "standard output" : file->path;
}

upg_status output_file_open(struct output_file *file, const char *path, upg_error *err)
{
    const size_t n = strlen(path) + sizeof ".part";
    upg_status status;

    *file = (struct output_file){.fd = STDOUT_FILENO, .path = path};
    if (strcmp(path, "-") == 0)
        return UPG_OK;
    if (is_special(path)) {
        file->fd = open(path, O_WRONLY | O_CLOEXEC);
        return file->fd >= 0 ? UPG_OK : fail_errno(err, path, "write");
    }
    file->part_path = malloc(n);
    if (!file->part_path)
        return fail_memory(err, "a file name");
    snprintf(file->part_path, n, "%s.part", path);
    file->fd = open(file->part_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file->fd >= 0)
        return UPG_OK;
    status = fail_errno(err, file->part_path, "create");
    free(file->part_path);
    return status;
}

upg_status output_file_write(struct output_file *file, const void *bytes, size_t n, upg_error *err)
{
    const char *next = bytes;

    while (n > 0) {
        const ssize_t written = write(file->fd, next, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            if (file->fd == STDOUT_FILENO)
                first_errno = errno;
            return fail_errno(err, written_name(file), "write");
        }
        next += written;
        n -= (size_t)written;
    }
    return UPG_OK;
}

upg_status output_file_close(struct output_file *file, upg_status status, upg_error *err)
{
    if (file->fd == STDOUT_FILENO)
        return status;
    if (status == UPG_OK && file->part_path && fsync(file->fd) != 0)
        status = fail_errno(err, file->part_path, "write");
    if (close(file->fd) != 0 && status == UPG_OK)
        status = fail_errno(err, written_name(file), "write");
    if (!file->part_path)
        return status;
    if (status == UPG_OK && rename(file->part_path, file->path) != 0)
        status = fail_errno(err, file->path, "rename the finished file to this name");
    if (status != UPG_OK)
        unlink(file->part_path);
    free(file->part_path);
    file->part_path = NULL;
    return status;
}
