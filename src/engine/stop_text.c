/* stop_text.c -- see stop_text.h.  Little text is ever held, so the search is the plain one. */
#include "engine/stop_text.h"

#include "base/utf8.h"

#include <string.h>

upg_status upg_stop_text_check(const struct upg_stop_text *stop, upg_error *err)
{
    for (size_t i = 0; i < stop->n_stop; i++) {
        const char *text = stop->stop[i];
        const size_t n = strlen(text);

        if (n == 0)
            return upg_fail(err, UPG_ERR_ARGUMENT, "stop: string %zu is empty", i + 1);
        for (size_t at = 0; at < n;) {
            const size_t length = upg_utf8_next(text + at, n - at, NULL);

            if (length == 0)
                return upg_fail(err, UPG_ERR_ARGUMENT, "stop: string %zu is not UTF-8", i + 1);
            at += length;
        }
    }
    return UPG_OK;
}

/* First place at which a stop string is there (whole), or at which the text's end could be the
 * beginning of one (not whole); held.n if there is none.  *which is the string, or NULL. */
static size_t find(const struct upg_stop_text *stop, bool whole, const char **which)
{
    const struct upg_buffer *held = &stop->held;

    for (size_t at = 0; at < held->n; at++)
        for (size_t i = 0; i < stop->n_stop; i++) {
            const size_t length = strlen(stop->stop[i]), left = held->n - at;

            if (whole ? length <= left : length > left)
                if (!memcmp(held->bytes + at, stop->stop[i], whole ? length : left)) {
                    *which = stop->stop[i];
                    return at;
                }
        }
    *which = NULL;
    return held->n;
}

upg_status upg_stop_text_feed(struct upg_stop_text *stop, const char *text, size_t n,
                              size_t *n_free, const char **found, upg_error *err)
{
    const upg_status status = upg_buffer_append(&stop->held, text, n, err);
    const char *beginning;

    if (status != UPG_OK)
        return status;
    *n_free = find(stop, true, found);
    if (!*found)
        *n_free = find(stop, false, &beginning);
    return UPG_OK;
}

void upg_stop_text_release(struct upg_stop_text *stop, size_t n)
{
    memmove(stop->held.bytes, stop->held.bytes + n, stop->held.n - n);
    stop->held.n -= n;
}

void upg_stop_text_clear(struct upg_stop_text *stop)
{
    upg_buffer_clear(&stop->held);
}
