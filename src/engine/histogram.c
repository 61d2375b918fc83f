/* histogram.c -- see upg_histogram in upg.h. */
#include "engine/histogram.h"

#include <math.h>

double upg_histogram_bound(size_t i)
{
    return i + 1 < UPG_HISTOGRAM_BUCKETS ? ldexp(0.0001, (int)i) : INFINITY;
}

void upg_histogram_add(upg_histogram *histogram, double seconds)
{
    size_t i = 0;

    while (i + 1 < UPG_HISTOGRAM_BUCKETS && seconds > upg_histogram_bound(i))
        i++;
    histogram->count[i]++;
    histogram->sum += seconds;
}
