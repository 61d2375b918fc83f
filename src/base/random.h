/* random.h -- reproducible random numbers. */
#ifndef UPG_BASE_RANDOM_H
#define UPG_BASE_RANDOM_H

#include <stdint.h>

/* SplitMix64 of Steele, Lea, Flood 2014 as a hash: the n-th output of the generator with this seed
 * is upg_splitmix64(seed + n * 0x9E3779B97F4A7C15). */
static inline uint64_t upg_splitmix64(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/* A stream of numbers: SplitMix64.  Seed by setting state. */
struct upg_random {
    uint64_t state;
};

static inline uint64_t upg_random_u64(struct upg_random *random)
{
    const uint64_t value = upg_splitmix64(random->state);

    random->state += 0x9E3779B97F4A7C15u;
    return value;
}

/* Uniform in [0, 1), 53 bits. */
static inline double upg_random_unit(struct upg_random *random)
{
    return (double)(upg_random_u64(random) >> 11) * 0x1p-53;
}

#endif
