/* listing.h -- what a repository holds, as the hub's API tells it. */
#ifndef UPG_PULL_LISTING_H
#define UPG_PULL_LISTING_H

#include "base/error.h"

#include <stdbool.h>

enum { SHA1_DIGITS = 40, SHA256_DIGITS = 64 };

struct listed_file {
    char *name; /* relative, with '/', checked */
    char hash[SHA256_DIGITS +
              1]; /* SHA-256 of the contents (is_large), or git's SHA-1 of the blob */
    bool is_large;
    uint64_t n_bytes;
};

struct listing {
    char commit[SHA1_DIGITS + 1];
    struct listed_file *files; /* [n_files] */
    size_t n_files;
};

/* Parse the answer of /api/models/NAME/revision/REVISION?blobs=true.  Every name in it was written
 * by a stranger and becomes a path: what could leave the folder is refused.  `where` is the URL.
 * Clear after use, also after a failure. */
upg_status listing_parse(struct listing *listing, const char *where, const char *text, size_t n,
                         upg_error *err);
void listing_clear(struct listing *listing);

/* Keep the named files; none named: what a model needs (safetensors, or else .upg or GGUF files;
 * JSON and text).  UPG_ERR_ARGUMENT if one is missing or nothing is left. */
upg_status listing_choose(struct listing *listing, char *const *names, size_t n_names,
                          const char *where, upg_error *err);

#endif
