/* random_id.c -- names that nobody guesses. */
#include "server/random_id.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

uint64_t random_number(void)
{
    uint64_t number;
    struct timespec now;

    if (getentropy(&number, sizeof number) == 0)
        return number;
    clock_gettime(CLOCK_MONOTONIC, &now); /* a system without random numbers: different at least */
    return (uint64_t)now.tv_sec * 1000000007U ^ (uint64_t)now.tv_nsec;
}

void random_id(char *id, size_t n, const char *prefix)
{
    snprintf(id, n, "%s%016llx%08llx", prefix, (unsigned long long)random_number(),
             (unsigned long long)(random_number() & 0xffffffffU));
}
