/* part.h -- a file in the making: its chunks, which of them are there, and the check at the end. */
#ifndef UPG_PULL_PART_H
#define UPG_PULL_PART_H

#include "pull/listing.h"

enum {
    PULL_CHUNK = 8 << 20
}; /* bytes: what an interruption costs, and what a connection fetches */

struct part {
    const struct listed_file *file; /* borrowed */
    char *blob;                     /* path of the finished blob */
    char *path, *journal;           /* paths of the unfinished one and its list of chunks */
    int fd, journal_fd;             /* -1: not open */
    unsigned char *has;             /* [n_chunks] 1: is there */
    size_t n_chunks, n_missing;
};

/* Open a part, going on where the last call was; if the blob is there with its size, nothing is
 * missing.  Close after use, also after a failure. */
upg_status part_open(struct part *part, const struct listed_file *file, const char *blobs,
                     upg_error *err);
void part_close(struct part *part);

/* First byte and length of a chunk. */
uint64_t part_begin(size_t chunk);
size_t part_length(const struct part *part, size_t chunk);

upg_status part_write(struct part *part, uint64_t at, const void *bytes, size_t n, upg_error *err);

/* Note that a chunk is whole. */
upg_status part_have(struct part *part, size_t chunk, upg_error *err);

/* All is there: check the hash and give the blob its name.  A wrong hash removes what there is. */
upg_status part_finish(struct part *part, upg_error *err);

#endif
