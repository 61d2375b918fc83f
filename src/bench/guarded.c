/* guarded.c */
#include "bench/guarded.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void upg_guarded_init(struct upg_check *check, struct upg_guarded *guarded, size_t capacity)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t room = (capacity + page - 1) / page * page + page;
    uint8_t *pages = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    *guarded = (struct upg_guarded){0};
    if (pages != MAP_FAILED)
        *guarded = (struct upg_guarded){.pages = pages, .n_bytes = room, .array = pages + page};
    if (pages == MAP_FAILED || mprotect(pages + page, room, PROT_READ | PROT_WRITE) != 0) {
        check->no_memory = true;
        upg_check_failed(check, "out of memory");
    }
}

void upg_guarded_clear(struct upg_guarded *guarded)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (guarded->pages)
        munmap(guarded->pages, guarded->n_bytes + 2 * page);
    *guarded = (struct upg_guarded){0};
}

void *upg_guarded_place(struct upg_guarded *guarded, size_t n, size_t element_bytes,
                        size_t alignment)
{
    uint8_t *room = guarded->pages + (size_t)sysconf(_SC_PAGESIZE);
    const size_t before = (guarded->n_bytes - n * element_bytes) / alignment * alignment;

    guarded->array = room + before;
    guarded->array_bytes = n * element_bytes;
    memset(room, UPG_GUARD_BYTE, guarded->n_bytes);
    return guarded->array;
}

bool upg_guarded_intact(const struct upg_guarded *guarded)
{
    const uint8_t *room = guarded->pages + (size_t)sysconf(_SC_PAGESIZE);

    for (const uint8_t *byte = room; byte < room + guarded->n_bytes; byte++)
        if ((byte < guarded->array || byte >= guarded->array + guarded->array_bytes) &&
            *byte != UPG_GUARD_BYTE)
            return false;
    return true;
}
