/* store.h -- what is done already, on disk: a folder OUT.work beside the file to be.
 *
 * One file a slot, written under its final name only when complete and flushed.  A run with the
 * same source, options and text finds them again; whatever does not fit (another fingerprint, a
 * wrong checksum) is a miss and is made anew.  Only this program, on this machine, reads them.
 * The finished file is written here too, and leaves when it is checked. */
#ifndef UPG_COMPRESS_STORE_H
#define UPG_COMPRESS_STORE_H

#include "compress/encode_map.h"

struct upg_store {
    char *folder;         /* owned */
    char *finished;       /* owned: name of the finished file until it is checked */
    uint64_t fingerprint; /* of everything that the codes depend on */
};

/* Make the folder for output file `path`, if it is not there. */
upg_status upg_store_open(struct upg_store *store, const char *path, uint64_t fingerprint,
                          upg_error *err);
void upg_store_close(struct upg_store *store);

/* Fill a map whose layout is set (upg_coded_map_layout) from the store.  *found says whether. */
upg_status upg_store_load(const struct upg_store *store, size_t slot, struct upg_coded_map *map,
                          int *found, upg_error *err);
upg_status upg_store_save(const struct upg_store *store, size_t slot,
                          const struct upg_coded_map *map, upg_error *err);

/* Remove the folder with all that is in it. */
void upg_store_remove(const struct upg_store *store, size_t n_slots);

#endif
