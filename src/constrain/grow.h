/* grow.h -- arrays that grow by doubling. */
#ifndef UPG_CONSTRAIN_GROW_H
#define UPG_CONSTRAIN_GROW_H

#include "base/size.h"

#include <stdlib.h>

/* The array with room for n items of `size` bytes; *capacity (items) is kept up to date.  NULL when
 * out of memory: the old array is still there. */
static inline void *upg_grow(void *array, size_t *capacity, size_t n, size_t size)
{
    size_t wanted = *capacity ? *capacity : 16, n_bytes;
    void *grown;

    if (array && n <= *capacity)
        return array;
    while (wanted < n)
        if (!size_mul(wanted, 2, &wanted))
            return NULL;
    if (!size_mul(wanted, size, &n_bytes))
        return NULL;
    grown = realloc(array, n_bytes);
    if (grown)
        *capacity = wanted;
    return grown;
}

#endif
