/* clock.h -- time for measuring. */
#ifndef UPG_ENGINE_CLOCK_H
#define UPG_ENGINE_CLOCK_H

#include <time.h>

/* Seconds since some moment in the past; never runs backwards. */
static inline double upg_now_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
