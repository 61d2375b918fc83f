/* arena.h -- memory for what lives as long as a model or a step; freeing is one call. */
#ifndef UPG_BASE_ARENA_H
#define UPG_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#define UPG_CACHE_LINE 64 /* alignment of all arena memory and kernel buffers, bytes */

/* Start from {0}. */
struct upg_arena {
    struct upg_arena_chunk *chunks; /* newest first */
    size_t n_bytes;                 /* handed out in all */
    bool only_plans; /* set before the first allocation: to learn n_bytes.  Memory is address space
                        that may be larger than the machine, as long as little of it is written */
};

/* n * size bytes, zeroed, 64-byte aligned; NULL when out of memory or when n * size overflows.  n *
 * size == 0 gives a valid pointer.  Large memory belongs to the thread that touches it first: it is
 * zero because the system's new pages are, and pages that nobody touches cost nothing. */
void *upg_arena_alloc(struct upg_arena *arena, size_t n, size_t size);

/* A copy of n bytes of text with a zero behind it; NULL when out of memory. */
char *upg_arena_text(struct upg_arena *arena, const char *text, size_t n);

void upg_arena_clear(struct upg_arena *arena);

/* 64-byte aligned, zeroed heap memory for one buffer (free with free()); NULL on overflow or out of
 * memory. */
void *upg_aligned_alloc(size_t n, size_t size);

#endif
