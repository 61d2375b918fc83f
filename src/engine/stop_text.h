/* stop_text.h -- stop strings in a stream of text.
 *
 * A stop string may begin in one token and end in another, so text that could still become one is
 * held back until it is decided. */
#ifndef UPG_ENGINE_STOP_TEXT_H
#define UPG_ENGINE_STOP_TEXT_H

#include "base/buffer.h"

#include <stdbool.h>

/* Start from {0} with stop and n_stop set; both are borrowed. */
struct upg_stop_text {
    const char *const *stop; /* [n_stop] C strings */
    size_t n_stop;
    struct upg_buffer held; /* text not released yet */
};

/* Stop strings must be non-empty, valid UTF-8: UPG_ERR_ARGUMENT otherwise. */
upg_status upg_stop_text_check(const struct upg_stop_text *stop, upg_error *err);

/* Add text[n].  The first *n_free bytes of held.bytes are decided and may be given out; *found is the
 * stop string that begins behind them, where the text ends, or NULL.  UPG_ERR_MEMORY. */
upg_status upg_stop_text_feed(struct upg_stop_text *stop, const char *text, size_t n,
                              size_t *n_free, const char **found, upg_error *err);

/* Remove the first n held bytes. */
void upg_stop_text_release(struct upg_stop_text *stop, size_t n);

void upg_stop_text_clear(struct upg_stop_text *stop);

#endif
