/* size.h -- sums and products of sizes that come from outside, and the smaller of two.
 *
 * Every number that a file, a request or a user gives goes through these before it is a size or an
 * index; no other code multiplies two such numbers.  The sums and products return false on
 * overflow and leave *out alone. */
#ifndef UPG_BASE_SIZE_H
#define UPG_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline bool size_add(size_t a, size_t b, size_t *out)
{
    size_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *out = sum;
    return true;
}

static inline bool size_mul(size_t a, size_t b, size_t *out)
{
    size_t product;

    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

/* Round a up to a multiple of the power of two `unit`. */
static inline bool size_round_up(size_t a, size_t unit, size_t *out)
{
    size_t sum;

    if (!size_add(a, unit - 1, &sum))
        return false;
    *out = sum & ~(unit - 1);
    return true;
}

#endif
