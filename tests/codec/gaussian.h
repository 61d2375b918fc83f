/* gaussian.h -- reproducible samples of the unit Gaussian: Box and Muller 1958. */
#ifndef UPG_TESTS_CODEC_GAUSSIAN_H
#define UPG_TESTS_CODEC_GAUSSIAN_H

#include "base/random.h"

#include <math.h>
#include <stddef.h>

static inline double gaussian(struct upg_random *random)
{
    const double radius = sqrt(-2 * log(1 - upg_random_unit(random)));

    return radius * cos(2 * 3.14159265358979323846 * upg_random_unit(random));
}

static inline void fill_gaussian(float *x, size_t n, double sigma, uint64_t seed)
{
    struct upg_random random = {seed};

    for (size_t i = 0; i < n; i++)
        x[i] = (float)(sigma * gaussian(&random));
}

#endif
