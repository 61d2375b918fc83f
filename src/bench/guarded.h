/* guarded.h -- buffers of kernels: an access behind the end faults, a write around is noticed. */
#ifndef UPG_BENCH_GUARDED_H
#define UPG_BENCH_GUARDED_H

#include "bench/check.h"

enum { UPG_GUARD_BYTE = 0xA5 };

/* Room for one array between two pages that must not be touched.  It ends at the second of them, up
 * to its alignment; all around it, and at first in it, are guard bytes. */
struct upg_guarded {
    uint8_t *pages; /* owned */
    size_t n_bytes; /* of the room between the two pages */
    uint8_t *array;
    size_t array_bytes;
};

/* Without memory the check has failed and says so, and upg_check_count() is 0 from then on: nothing
 * may be placed. */
void upg_guarded_init(struct upg_check *check, struct upg_guarded *guarded, size_t capacity);
void upg_guarded_clear(struct upg_guarded *guarded);

/* Place an array of n elements, n * element_bytes <= capacity; its address is a multiple of
 * `alignment` (a power of two), but of no greater power if that is possible. */
void *upg_guarded_place(struct upg_guarded *guarded, size_t n, size_t element_bytes,
                        size_t alignment);

/* Are all guard bytes around the array as they were? */
bool upg_guarded_intact(const struct upg_guarded *guarded);

#endif
