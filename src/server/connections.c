/* connections.c -- the thread that watches clocks and sockets. */
#include "server/connections.h"

#include "server/generation.h"
#include "server/state.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifndef POLLRDHUP /* Linux has it; elsewhere POLLHUP must do */
#define POLLRDHUP 0
#endif

enum { PERIOD_NS = 100 * 1000 * 1000 };

double monotonic_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The other side has closed, or the network says that it is gone.  A client that only closes its
 * sending half counts as gone, too: HTTP clients do not. */
static bool has_left(int fd)
{
    struct pollfd socket = {.fd = fd, .events = POLLRDHUP};

    return poll(&socket, 1, 0) == 1 && (socket.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static void look_at(struct connection *connection, double now)
{
    if (now > connection->deadline) {
        shutdown(connection->fd, SHUT_RDWR); /* libmicrohttpd sees the end and cleans up */
        connection->deadline = now + 1;
    }
    if (connection->generation && has_left(connection->fd))
        generation_abandon(connection->generation);
}

static void *watch(void *argument)
{
    struct connections *connections = argument;
    const struct timespec period = {.tv_nsec = PERIOD_NS};

    while (!atomic_load(&connections->is_stopping)) {
        const double now = monotonic_seconds();
        pthread_mutex_lock(&connections->lock);
        for (struct connection *c = connections->first; c; c = c->next)
            look_at(c, now);
        pthread_mutex_unlock(&connections->lock);
        nanosleep(&period, NULL);
    }
    return NULL;
}

upg_status connections_start(struct connections *connections, upg_error *err)
{
    int failure;

    memset(connections, 0, sizeof *connections);
    pthread_mutex_init(&connections->lock, NULL);
    failure = pthread_create(&connections->thread, NULL, watch, connections);
    connections->is_running = failure == 0;
    return failure == 0
               ? UPG_OK
               : server_fail(err, UPG_ERR_MEMORY, "cannot start a thread: %s", strerror(failure));
}

void connections_stop(struct connections *connections)
{
    if (connections->is_running) {
        atomic_store(&connections->is_stopping, true);
        pthread_join(connections->thread, NULL);
    }
    pthread_mutex_destroy(&connections->lock);
}

struct connection *connections_add(struct connections *connections, int fd, double deadline)
{
    struct connection *connection = calloc(1, sizeof *connection);

    if (!connection)
        return NULL;
    connection->fd = fd;
    connection->deadline = deadline;
    pthread_mutex_lock(&connections->lock);
    connection->next = connections->first;
    if (connections->first)
        connections->first->previous = connection;
    connections->first = connection;
    connections->n++;
    pthread_mutex_unlock(&connections->lock);
    return connection;
}

void connections_remove(struct connections *connections, struct connection *connection)
{
    pthread_mutex_lock(&connections->lock);
    if (connection->next)
        connection->next->previous = connection->previous;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        connections->first = connection->next;
    connections->n--;
    pthread_mutex_unlock(&connections->lock);
    free(connection);
}

void connection_set_deadline(struct connections *connections, struct connection *connection,
                             double deadline)
{
    pthread_mutex_lock(&connections->lock);
    connection->deadline = deadline;
    pthread_mutex_unlock(&connections->lock);
}

void connection_set_generation(struct connections *connections, struct connection *connection,
                               struct generation *generation)
{
    struct generation *before;

    pthread_mutex_lock(&connections->lock);
    before = connection->generation;
    connection->generation = generation ? generation_reference(generation) : NULL;
    pthread_mutex_unlock(&connections->lock);
    if (before)
        generation_release(before);
}
