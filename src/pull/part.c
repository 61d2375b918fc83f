/* part.c -- chunks on the disk.
 *
 * A chunk's number is appended to the journal after its bytes were written, so a journal names only
 * chunks that are whole, whenever the program ends.  The hash is of the whole file and read from the
 * disk: it also finds what was damaged there. */
#include "pull/part.h"

#include "pull/place.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t part_begin(size_t chunk)
{
    return (uint64_t)chunk * PULL_CHUNK;
}

size_t part_length(const struct part *part, size_t chunk)
{
    const uint64_t left = part->file->n_bytes - part_begin(chunk);

    return left < PULL_CHUNK ? (size_t)left : PULL_CHUNK;
}

static void read_journal(struct part *part)
{
    FILE *file = fdopen(dup(part->journal_fd), "r");
    char line[32];

    if (!file)
        return; /* then all chunks are fetched again */
    while (fgets(line, sizeof line, file)) {
        char *end;
        const unsigned long chunk = strtoul(line, &end, 10);

        if (*end == '\n' && end > line && chunk < part->n_chunks && !part->has[chunk]) {
            part->has[chunk] = 1;
            part->n_missing--;
        }
    }
    fclose(file);
}

static bool is_finished(const struct part *part)
{
    struct stat found;

    return stat(part->blob, &found) == 0 && S_ISREG(found.st_mode) &&
           (uint64_t)found.st_size == part->file->n_bytes;
}

upg_status part_open(struct part *part, const struct listed_file *file, const char *blobs,
                     upg_error *err)
{
    *part = (struct part){.file = file, .fd = -1, .journal_fd = -1};
    part->blob = print_text("%s/%s", blobs, file->hash);
    part->path = print_text("%s/%s.upg-part", blobs, file->hash);
    part->journal = print_text("%s/%s.upg-done", blobs, file->hash);
    part->n_chunks = (size_t)((file->n_bytes + PULL_CHUNK - 1) / PULL_CHUNK);
    part->has = calloc(part->n_chunks + 1, 1);
    if (!part->blob || !part->path || !part->journal || !part->has)
        return upg_fail_memory(err, "a list of chunks", part->n_chunks);
    if (is_finished(part))
        return UPG_OK;
    part->n_missing = part->n_chunks;
    part->fd = open(part->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (part->fd < 0)
        return upg_fail_errno(err, part->path, "open");
    part->journal_fd = open(part->journal, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (part->journal_fd < 0)
        return upg_fail_errno(err, part->journal, "open");
    read_journal(part);
    return UPG_OK;
}

void part_close(struct part *part)
{
    if (part->fd >= 0)
        close(part->fd);
    if (part->journal_fd >= 0)
        close(part->journal_fd);
    free(part->blob);
    free(part->path);
    free(part->journal);
    free(part->has);
    *part = (struct part){.fd = -1, .journal_fd = -1};
}

upg_status part_write(struct part *part, uint64_t at, const void *bytes, size_t n, upg_error *err)
{
    const char *next = bytes;

    while (n > 0) {
        const ssize_t written = pwrite(part->fd, next, n, (off_t)at);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return upg_fail_errno(err, part->path, "write");
        next += written;
        at += (uint64_t)written;
        n -= (size_t)written;
    }
    return UPG_OK;
}

upg_status part_have(struct part *part, size_t chunk, upg_error *err)
{
    char line[32];
    const int n = snprintf(line, sizeof line, "%zu\n", chunk);

    part->has[chunk] = 1;
    part->n_missing--;
    if (write(part->journal_fd, line, (size_t)n) != n)
        return upg_fail_errno(err, part->journal, "write");
    return UPG_OK;
}

static void print_digits(char *text, const uint8_t *digest, size_t n)
{
    for (size_t i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

/* The file's hash as in the listing: of the contents, or of git's blob object around them. */
static upg_status hash_file(const struct part *part, char *text, upg_error *err)
{
    static uint8_t buffer[1 << 16];
    struct sha256_ctx large;
    struct sha1_ctx small;
    uint8_t digest[SHA256_DIGEST_SIZE];
    ssize_t n;
    off_t at = 0;
    const int n_header = snprintf((char *)buffer, sizeof buffer, "blob %llu",
                                  (unsigned long long)part->file->n_bytes);

    sha256_init(&large);
    sha1_init(&small);
    sha1_update(&small, (size_t)n_header + 1, buffer);
    while ((n = pread(part->fd, buffer, sizeof buffer, at)) != 0) {
        if (n < 0)
            return upg_fail_errno(err, part->path, "read");
        if (part->file->is_large)
            sha256_update(&large, (size_t)n, buffer);
        else
            sha1_update(&small, (size_t)n, buffer);
        at += n;
    }
    if (part->file->is_large)
        sha256_digest(&large, SHA256_DIGEST_SIZE, digest);
    else
        sha1_digest(&small, SHA1_DIGEST_SIZE, digest);
    print_digits(text, digest, part->file->is_large ? SHA256_DIGEST_SIZE : SHA1_DIGEST_SIZE);
    return UPG_OK;
}

upg_status part_finish(struct part *part, upg_error *err)
{
    char hash[SHA256_DIGITS + 1];
    upg_status status;

    if (part->fd < 0)
        return UPG_OK; /* the blob was there */
    status = hash_file(part, hash, err);
    if (status != UPG_OK)
        return status;
    if (strcmp(hash, part->file->hash) != 0) {
        unlink(part->path);
        unlink(part->journal);
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: what came has the hash %s, the hub announced %s; it was removed, try "
                        "again",
                        part->file->name, hash, part->file->hash);
    }
    if (fsync(part->fd) != 0 || rename(part->path, part->blob) != 0)
        return upg_fail_errno(err, part->blob, "finish");
    unlink(part->journal);
    return UPG_OK;
}
