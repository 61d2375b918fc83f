/* error.h -- the one function that makes errors. */
#ifndef UPG_BASE_ERROR_H
#define UPG_BASE_ERROR_H

#include "upg/upg.h"

/* Fill err (if not NULL) and return status, so that failing is one line:
 *     return upg_fail(err, UPG_ERR_FORMAT, "%s: tensor %s: ...", path, name);
 * The message names file, field, what is wrong and what to do.  It is cut at a whole UTF-8
 * character, and bytes below 0x20 from file contents are replaced by '?'. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
upg_status
upg_fail(upg_error *err, upg_status status, const char *format, ...);

/* UPG_ERR_MEMORY with "out of memory: WHAT needs N bytes". */
upg_status upg_fail_memory(upg_error *err, const char *what, size_t n_bytes);

/* UPG_ERR_IO (UPG_ERR_SPACE for ENOSPC, EDQUOT and EFBIG; UPG_ERR_MEMORY for ENOMEM) with "PATH:
 * cannot ACTION: strerror(errno)". */
upg_status upg_fail_errno(upg_error *err, const char *path, const char *action);

#endif
