/* message.h -- what the program says on standard error, and the status it leaves with. */
#ifndef UPG_CLI_MESSAGE_H
#define UPG_CLI_MESSAGE_H

#include "upg/upg.h"

#include <stdbool.h>

/* Fill err and return status, so that failing is one line.  The text may come from the user: bytes
 * below 0x20 are replaced by '?'. */
__attribute__((format(printf, 3, 4))) upg_status fail(upg_error *err, upg_status status,
                                                      const char *format, ...);

/* UPG_ERR_MEMORY while making `what`. */
upg_status fail_memory(upg_error *err, const char *what);

/* "PATH: cannot ACTION: strerror(errno)"; UPG_ERR_SPACE when the disk is full, else UPG_ERR_IO. */
upg_status fail_errno(upg_error *err, const char *path, const char *action);

/* Put "WHERE: " in front of err's message. */
void add_context(upg_error *err, const char *where);

/* A line "upg: ..." on standard error.  Nothing with --quiet (see set_quiet()). */
__attribute__((format(printf, 1, 2))) void note(const char *format, ...);
void set_quiet(bool quiet);

/* The exit code for a status: 0 success, 1 failure while running, 2 wrong usage, 3 bad or damaged
 * input, 4 out of memory or disk, 130 interrupted. */
int exit_code(upg_status status);

#endif
