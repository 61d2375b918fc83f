/* progress.h -- a bar on standard error for what takes longer than a second.
 *
 *     prefill  [=========>                    ]  31%  0:12 left
 *
 * Nothing is drawn when standard error is no terminal, with --quiet or --json.  The bar is erased
 * before anything else is written: call progress_end(). */
#ifndef UPG_CLI_PROGRESS_H
#define UPG_CLI_PROGRESS_H

#include "upg/upg.h"

#include <stdbool.h>

struct progress {
    bool enabled, drawn, color;
    const char *label;        /* in front of the stage ("wiki.txt"); may be NULL */
    const char *stage;        /* the stage of the last call */
    double start, last_drawn; /* seconds of the monotonic clock */
};

/* enabled: the user wants bars; they are drawn only on a terminal. */
void progress_begin(struct progress *progress, const char *label, bool enabled);

/* A upg_progress_fn; context is the struct progress.  Asks to stop after Ctrl-C. */
int progress_update(void *context, const char *stage, uint64_t done, uint64_t total);

/* Erase what was drawn. */
void progress_end(struct progress *progress);

/* Seconds of the monotonic clock. */
double seconds_now(void);

#endif
