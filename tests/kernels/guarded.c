/* guarded.c */
#include "guarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void guarded_init(struct guarded *guarded, size_t capacity)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t room = (capacity + page - 1) / page * page + page;
    uint8_t *pages = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED || mprotect(pages + page, room, PROT_READ | PROT_WRITE) != 0) {
        perror("test_kernels: guarded memory");
        exit(1);
    }
    *guarded = (struct guarded){.pages = pages, .n_bytes = room, .array = pages + page};
}

void guarded_clear(struct guarded *guarded)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    munmap(guarded->pages, guarded->n_bytes + 2 * page);
    *guarded = (struct guarded){0};
}

void *guarded_place(struct guarded *guarded, size_t n, size_t element_bytes, size_t alignment)
{
    uint8_t *room = guarded->pages + (size_t)sysconf(_SC_PAGESIZE);
    const size_t before = (guarded->n_bytes - n * element_bytes) / alignment * alignment;

    guarded->array = room + before;
    guarded->array_bytes = n * element_bytes;
    memset(room, GUARD_BYTE, guarded->n_bytes);
    return guarded->array;
}

bool guarded_intact(const struct guarded *guarded)
{
    const uint8_t *room = guarded->pages + (size_t)sysconf(_SC_PAGESIZE);

    for (const uint8_t *byte = room; byte < room + guarded->n_bytes; byte++)
        if ((byte < guarded->array || byte >= guarded->array + guarded->array_bytes) &&
            *byte != GUARD_BYTE)
            return false;
    return true;
}
