/* buffer.c -- growth by doubling. */
#include "base/buffer.h"

#include "base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

upg_status upg_buffer_reserve(struct upg_buffer *buffer, size_t more, upg_error *err)
{
    size_t need, capacity = buffer->capacity ? buffer->capacity : 64;
    char *bytes;

    if (!size_add(buffer->n, more, &need) || !size_add(need, 1, &need))
        return upg_fail_memory(err, "a buffer", more);
    if (need <= buffer->capacity)
        return UPG_OK;
    while (capacity < need)
        if (!size_mul(capacity, 2, &capacity))
            return upg_fail_memory(err, "a buffer", need);
    bytes = realloc(buffer->bytes, capacity);
    if (!bytes)
        return upg_fail_memory(err, "a buffer", capacity);
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return UPG_OK;
}

upg_status upg_buffer_append(struct upg_buffer *buffer, const void *bytes, size_t n, upg_error *err)
{
    const upg_status status = upg_buffer_reserve(buffer, n, err);

    if (status != UPG_OK)
        return status;
    if (n)
        memcpy(buffer->bytes + buffer->n, bytes, n);
    buffer->n += n;
    buffer->bytes[buffer->n] = '\0';
    return UPG_OK;
}

void upg_buffer_clear(struct upg_buffer *buffer)
{
    free(buffer->bytes);
    memset(buffer, 0, sizeof *buffer);
}

upg_status upg_buffer_read_file(struct upg_buffer *buffer, const char *path, size_t max_bytes,
                                upg_error *err)
{
    const int is_stdin = strcmp(path, "-") == 0;
    const int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    upg_status status = UPG_OK;
    ssize_t n;

    if (fd < 0)
        return upg_fail_errno(err, path, "open");
    do {
        status = upg_buffer_reserve(buffer, 64 * 1024, err);
        if (status != UPG_OK)
            break;
        do
            n = read(fd, buffer->bytes + buffer->n, 64 * 1024);
        while (n < 0 && errno == EINTR);
        if (n < 0) {
            status = upg_fail_errno(err, path, "read");
            break;
        }
        buffer->n += (size_t)n;
        buffer->bytes[buffer->n] = '\0';
        if (buffer->n > max_bytes) {
            status = upg_fail(err, UPG_ERR_ARGUMENT,
                              "%s: is longer than the %zu bytes allowed here", path, max_bytes);
            break;
        }
    } while (n > 0);
    if (!is_stdin)
        close(fd);
    return status;
}
