/* metrics.h -- counters of the server, and all counters in the text format of Prometheus. */
#ifndef UPG_SERVER_METRICS_H
#define UPG_SERVER_METRICS_H

#include "server/request.h"

#include <stdatomic.h>

enum { N_COUNTED_ENDPOINTS = 7, N_COUNTED_STATUSES = 12 };

struct metrics {
    atomic_uint_fast64_t exchanges[N_COUNTED_ENDPOINTS][N_COUNTED_STATUSES];
    atomic_uint_fast64_t microseconds[N_COUNTED_ENDPOINTS];
};

/* An exchange has ended.
 *   endpoint  0: one without a body
 *   status    0: the client left before it was answered */
void metrics_count_exchange(struct metrics *metrics, enum endpoint endpoint, int status,
                            double seconds);

#endif
