/* buffer.h -- a growable run of bytes. */
#ifndef UPG_BASE_BUFFER_H
#define UPG_BASE_BUFFER_H

#include "base/error.h"

/* Start from {0}; bytes[n] is always 0 once something was appended, so text can be used as a C
 * string. */
struct upg_buffer {
    char *bytes; /* [n], owned, from malloc */
    size_t n, capacity;
};

/* Make room for `more` bytes behind n.  UPG_ERR_MEMORY leaves the buffer as it was. */
upg_status upg_buffer_reserve(struct upg_buffer *buffer, size_t more, upg_error *err);
upg_status upg_buffer_append(struct upg_buffer *buffer, const void *bytes, size_t n,
                             upg_error *err);
void upg_buffer_clear(struct upg_buffer *buffer);

/* Read a whole regular file (or standard input for "-") of at most max_bytes. */
upg_status upg_buffer_read_file(struct upg_buffer *buffer, const char *path, size_t max_bytes,
                                upg_error *err);

#endif
