/* place.h -- where things are: the hub, the token, the cache. */
#ifndef UPG_PULL_PLACE_H
#define UPG_PULL_PLACE_H

#include "base/error.h"

struct place {
    char *endpoint; /* "https://huggingface.co", without a slash at the end */
    char *token;    /* NULL: none */
    char *cache;    /* the folder of all repositories */
};

/* From the environment.  Clear after use. */
upg_status place_find(struct place *place, upg_error *err);
void place_clear(struct place *place);

/* A text as printf() makes it, owned; NULL without memory. */
__attribute__((format(printf, 1, 2))) char *print_text(const char *format, ...);

/* Make all folders above a file's path. */
upg_status make_folders_above(const char *path, upg_error *err);

#endif
