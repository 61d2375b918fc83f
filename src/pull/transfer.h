/* transfer.h -- HTTP by libcurl, with patience: what a busy server or a bad line breaks is tried
 * again, from where it was. */
#ifndef UPG_PULL_TRANSFER_H
#define UPG_PULL_TRANSFER_H

#include "pull/part.h"

struct transfers {
    const char *token;        /* NULL: none; sent to the first host only, not after redirects */
    upg_progress_fn progress; /* may be NULL */
    void *progress_context;
    uint64_t n_done, n_total; /* bytes, for progress */
    uint64_t n_received;      /* bytes that came over the network */
};

/* GET a document of at most a few megabytes.  *text is owned by the caller. */
upg_status transfer_document(struct transfers *transfers, const char *url, char **text, size_t *n,
                             upg_error *err);

/* Fetch all missing chunks of a file, several at a time. */
upg_status transfer_file(struct transfers *transfers, const char *url, struct part *part,
                         upg_error *err);

#endif
