/* atomic_file.h -- a file that appears under its name only when it is complete.
 *
 * Written as PATH.part in the same directory, flushed to the disk, then renamed; the directory is
 * flushed too.  A name that something else than a regular file has already is refused. */
#ifndef UPG_BASE_ATOMIC_FILE_H
#define UPG_BASE_ATOMIC_FILE_H

#include "base/error.h"

/* Start from {0}. */
struct upg_atomic_file {
    char *path, *part_path; /* owned C strings */
    int fd;
    uint64_t n_bytes; /* written so far */
};

upg_status upg_atomic_file_open(struct upg_atomic_file *file, const char *path, upg_error *err);
upg_status upg_atomic_file_write(struct upg_atomic_file *file, const void *bytes, size_t n,
                                 upg_error *err);

/* Flush, rename, release.  After a failure the part file is removed and the final name is as it
 * was. */
upg_status upg_atomic_file_commit(struct upg_atomic_file *file, upg_error *err);

/* Remove the part file and release.  Nothing happens to a file that was committed or never opened.
 */
void upg_atomic_file_discard(struct upg_atomic_file *file);

/* Give a finished file another name on the same file system, in the place of what has it; the
 * directory is flushed. */
upg_status upg_rename_file(const char *from, const char *to, upg_error *err);

#endif
