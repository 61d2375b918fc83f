/* connections.h -- clocks and sockets of all connections, looked at ten times a second.
 *
 * libmicrohttpd does not look at a socket whose connection is suspended, and its time-out begins anew
 * with every byte.  So a thread of ours does two things: it notices clients that left while their
 * request was in work and cancels it, and it cuts connections that take too long to say what they
 * want. */
#ifndef UPG_SERVER_CONNECTIONS_H
#define UPG_SERVER_CONNECTIONS_H

#include "upg/upg.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct generation;

/* One socket.  Owned by the list; changed under its lock. */
struct connection {
    struct connection *next, *previous;
    int fd;                        /* belongs to libmicrohttpd */
    double deadline;               /* monotonic seconds at which it is cut; infinite: never */
    struct generation *generation; /* whose client this is; NULL: none; a reference is held */
};

struct connections {
    pthread_mutex_t lock;
    pthread_t thread;
    bool is_running;
    atomic_bool is_stopping;
    struct connection *first;
    size_t n;
};

upg_status connections_start(struct connections *connections, upg_error *err);
void connections_stop(struct connections *connections); /* all must be gone */

/* NULL when memory is out. */
struct connection *connections_add(struct connections *connections, int fd, double deadline);
void connections_remove(struct connections *connections, struct connection *connection);

/* The request must be complete until then. */
void connection_set_deadline(struct connections *connections, struct connection *connection,
                             double deadline);

/* Watch whether the client stays while its generation is in work; NULL: no longer. */
void connection_set_generation(struct connections *connections, struct connection *connection,
                               struct generation *generation);

#endif
