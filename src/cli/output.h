/* output.h -- standard output, and files that appear only when they are complete.
 *
 * A write that fails (a closed pipe, a full disk) is never lost: output_check() returns the first
 * one.  SIGPIPE must be ignored. */
#ifndef UPG_CLI_OUTPUT_H
#define UPG_CLI_OUTPUT_H

#include "upg/upg.h"

#include <stdbool.h>

/* Write to standard output now; false after the first failure of any write. */
bool output_now(const char *bytes, size_t n);

/* Flush standard output; UPG_ERR_IO (UPG_ERR_SPACE: full) if this or an earlier write failed. */
upg_status output_check(upg_error *err);

/* The first failure of standard output was that its reader had left. */
bool output_is_closed(void);

/* A file that is written as PATH.part beside its final name and renamed at the end.  "-" is
 * standard output; a PATH that is a device or a pipe already is written to directly, because a
 * rename would put a regular file in its place. */
struct output_file {
    int fd;
    const char *path; /* borrowed */
    char *part_path;  /* owned; NULL for what is written to directly */
};

upg_status output_file_open(struct output_file *file, const char *path, upg_error *err);
upg_status output_file_write(struct output_file *file, const void *bytes, size_t n, upg_error *err);

/* Finish.  With status UPG_OK: flush to the disk and rename.  Otherwise, or if that fails, remove
 * the part file; the final name is then as it was.  Returns `status`, or what failed here. */
upg_status output_file_close(struct output_file *file, upg_status status, upg_error *err);

#endif
