/* arena.c -- chunks of at least 64 KiB, filled from the front. */
#include "base/arena.h"

#include "base/size.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CHUNK_BYTES = 64 * 1024 };

/* The header occupies one cache line in front of the chunk's memory. */
struct upg_arena_chunk {
    struct upg_arena_chunk *next;
    void *block;           /* what was allocated, and its bytes if it was mapped */
    size_t mapped_bytes;   /* 0: from calloc() */
    size_t capacity, used; /* bytes behind the header */
};

void *upg_aligned_alloc(size_t n, size_t size)
{
    size_t n_bytes;
    void *memory;

    if (!size_mul(n, size, &n_bytes) ||
        !size_round_up(n_bytes ? n_bytes : 1, UPG_CACHE_LINE, &n_bytes))
        return NULL;
    memory = aligned_alloc(UPG_CACHE_LINE, n_bytes);
    if (memory)
        memset(memory, 0, n_bytes);
    return memory;
}

/* Zeroed memory whose pages the system gives when they are touched. */
static void *new_block(const struct upg_arena *arena, size_t n_bytes)
{
    void *block;

    if (!arena->only_plans)
        return calloc(1, n_bytes);
    block = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
    return block == MAP_FAILED ? NULL : block;
}

static struct upg_arena_chunk *add_chunk(struct upg_arena *arena, size_t n_bytes)
{
    struct upg_arena_chunk *chunk;
    const size_t capacity = n_bytes > CHUNK_BYTES ? n_bytes : CHUNK_BYTES;
    size_t block_bytes;
    void *block;

    if (!size_add(capacity, 2 * UPG_CACHE_LINE, &block_bytes)) /* for header and alignment */
        return NULL;
    block = new_block(arena, block_bytes);
    if (!block)
        return NULL;
    chunk = (void *)((uint8_t *)block + (-(uintptr_t)block & (UPG_CACHE_LINE - 1)));
    *chunk = (struct upg_arena_chunk){.next = arena->chunks,
                                      .block = block,
                                      .mapped_bytes = arena->only_plans ? block_bytes : 0,
                                      .capacity = capacity};
    arena->chunks = chunk;
    return chunk;
}

void *upg_arena_alloc(struct upg_arena *arena, size_t n, size_t size)
{
    struct upg_arena_chunk *chunk = arena->chunks;
    size_t n_bytes;
    uint8_t *memory;

    if (!size_mul(n, size, &n_bytes) ||
        !size_round_up(n_bytes ? n_bytes : 1, UPG_CACHE_LINE, &n_bytes))
        return NULL;
    if (!chunk || chunk->capacity - chunk->used < n_bytes) {
        chunk = add_chunk(arena, n_bytes);
        if (!chunk)
            return NULL;
    }
    memory = (uint8_t *)chunk + UPG_CACHE_LINE + chunk->used;
    chunk->used += n_bytes;
    arena->n_bytes += n_bytes;
    return memory;
}

char *upg_arena_text(struct upg_arena *arena, const char *text, size_t n)
{
    size_t n_bytes;
    char *copy = size_add(n, 1, &n_bytes) ? upg_arena_alloc(arena, n_bytes, 1) : NULL;

    if (copy && n)
        memcpy(copy, text, n);
    return copy;
}

void upg_arena_clear(struct upg_arena *arena)
{
    while (arena->chunks) {
        struct upg_arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        if (chunk->mapped_bytes > 0)
            munmap(chunk->block, chunk->mapped_bytes);
        else
            free(chunk->block);
    }
    arena->n_bytes = 0;
}
