/* state.h -- what all parts of a server share. */
#ifndef UPG_SERVER_STATE_H
#define UPG_SERVER_STATE_H

#include "server/connections.h"
#include "server/grammars.h"
#include "server/metrics.h"
#include "server/server.h"

#include <microhttpd.h>
#include <stdatomic.h>

/* Immutable after server_start() but for what is atomic or has a lock of its own. */
struct server {
    struct server_options options;
    const upg_model *model;         /* borrowed */
    const upg_tokenizer *tokenizer; /* borrowed from the model; never NULL */
    upg_scheduler *scheduler;       /* borrowed */
    upg_model_info info;
    char model_name[256];
    size_t context;        /* tokens */
    long long start_time;  /* Unix seconds */
    bool is_local_address; /* reached from this machine alone */
    char url[320];
    char fingerprint[32]; /* "upg-1.2.3" */

    int listen_fd; /* -1: closed */
    struct MHD_Daemon *daemon;
    struct connections connections;
    struct grammars grammars;
    struct metrics metrics;
    atomic_uint_fast64_t next_exchange;
    atomic_bool is_draining;
    atomic_size_t n_exchanges; /* between the first byte and the end of the answer */
};

/* Fill err and return status. */
__attribute__((format(printf, 3, 4))) upg_status server_fail(upg_error *err, upg_status status,
                                                             const char *format, ...);

/* Seconds of a clock that never goes back. */
double monotonic_seconds(void);

#endif
