/* pull.h -- models from a hub: repositories as the Hugging Face hub serves them, into the cache that
 * its own tools use.
 *
 * The cache has, for a repository ORG/NAME, the folder models--ORG--NAME with
 *     blobs/HASH           the files' contents
 *     snapshots/COMMIT/... links to them under the files' names
 *     refs/REVISION        the commit that a branch was at
 * A file that is not complete is blobs/HASH.upg-part, and blobs/HASH.upg-done lists its chunks that
 * are; a later call goes on there.  A blob gets its name when its hash was checked. */
#ifndef UPG_PULL_PULL_H
#define UPG_PULL_PULL_H

#include "upg/upg.h"

#include <stdbool.h>

struct pull_options {
    const char *revision; /* branch, tag or commit; NULL: "main" */
    char *const *files;   /* [n_files] names in the repository; none: what a model needs */
    size_t n_files;
    upg_progress_fn progress; /* in bytes of files; may be NULL */
    void *progress_context;
};

struct pull_result {
    char *folder; /* the snapshot, an owned C string */
    size_t n_files;
    uint64_t n_bytes;      /* of all files */
    uint64_t n_downloaded; /* of these, fetched by this call */
};

/* Whether a text looks like ORG/NAME. */
bool pull_is_name(const char *text);

/* Download a repository, or what is missing of it.
 *
 *   name    "microsoft/phi-4"
 *   result  free its folder with free()
 *
 * Reads the environment as the hub's tools do: HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HOME,
 * HF_HUB_CACHE, XDG_CACHE_HOME, and curl's proxy variables.  UPG_ERR_ARGUMENT, UPG_ERR_IO (network,
 * refusals), UPG_ERR_FORMAT (what came is not what the hub announced), UPG_ERR_SPACE,
 * UPG_ERR_CANCELLED. */
upg_status pull_repository(const char *name, const struct pull_options *options,
                           struct pull_result *result, upg_error *err);

#endif
