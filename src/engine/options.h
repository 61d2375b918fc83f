/* options.h -- reading option structs that begin with their size. */
#ifndef UPG_ENGINE_OPTIONS_H
#define UPG_ENGINE_OPTIONS_H

#include "base/error.h"

#include <string.h>

/* Copy the caller's options over `to`, which holds the defaults and has n_bytes.  An older caller's
 * struct is shorter: what it does not have keeps its default.  `name` is the function that fills
 * it, for the message.  UPG_ERR_ARGUMENT if that was not called. */
static inline upg_status upg_options_read(void *to, size_t n_bytes, const void *from,
                                          const char *name, upg_error *err)
{
    size_t size;

    if (!from)
        return UPG_OK;
    memcpy(&size, from, sizeof size);
    if (size < sizeof size || size > 65536)
        return upg_fail(err, UPG_ERR_ARGUMENT, "options: size is %zu; fill them with %s()", size,
                        name);
    memcpy(to, from, size < n_bytes ? size : n_bytes);
    return UPG_OK;
}

#endif
