/* guarded.h -- buffers of kernels: an access behind the end faults, a write around is noticed. */
#ifndef UPG_TESTS_GUARDED_H
#define UPG_TESTS_GUARDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GUARD_BYTE = 0xA5 };

/* Room for one array between two pages that must not be touched.  It ends at the second of them, up
 * to its alignment; all around it, and at first in it, are guard bytes. */
struct guarded {
    uint8_t *pages; /* owned */
    size_t n_bytes; /* of the room between the two pages */
    uint8_t *array;
    size_t array_bytes;
};

/* Exits with a message when there is no memory. */
void guarded_init(struct guarded *guarded, size_t capacity);
void guarded_clear(struct guarded *guarded);

/* Place an array of n elements, n * element_bytes <= capacity; its address is a multiple of
 * `alignment` (a power of two), but of no greater power if that is possible. */
void *guarded_place(struct guarded *guarded, size_t n, size_t element_bytes, size_t alignment);

/* Are all guard bytes around the array as they were? */
bool guarded_intact(const struct guarded *guarded);

#endif
