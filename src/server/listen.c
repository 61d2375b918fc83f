/* listen.c -- the port.
 *
 * Opened here and not by libmicrohttpd, so that a name is looked up, an address that is in use is
 * named in the message, and port 0 gives a free one. */
#include "server/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 256 };

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 ==
               127;
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static int open_port(const struct addrinfo *address)
{
    const int on = 1;
    const int fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);

    if (fd < 0)
        return -1;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    /* So that a server can start again while old connections linger. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    close(fd);
    return -1;
}

static void write_url(struct server *server)
{
    struct sockaddr_storage address;
    socklen_t n = sizeof address;
    char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";

    if (getsockname(server->listen_fd, (struct sockaddr *)&address, &n) == 0)
        getnameinfo((struct sockaddr *)&address, n, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(server->url, sizeof server->url,
             strchr(host, ':') ? "%s://[%.250s]:%s" : "%s://%.250s:%s",
             server->options.certificate ? "https" : "http", host, port);
    server->is_local_address = is_loopback((struct sockaddr *)&address);
}

upg_status server_listen(struct server *server, upg_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *addresses;
    char port[16];
    int failure, saved_errno = 0;

    snprintf(port, sizeof port, "%u", server->options.port);
    failure = getaddrinfo(server->options.host, port, &hints, &addresses);
    if (failure != 0)
        return server_fail(err, UPG_ERR_IO, "%s: %s", server->options.host, gai_strerror(failure));
    for (const struct addrinfo *a = addresses; a && server->listen_fd < 0; a = a->ai_next) {
        server->listen_fd = open_port(a);
        saved_errno = errno;
    }
    freeaddrinfo(addresses);
    if (server->listen_fd < 0)
        return server_fail(err, UPG_ERR_IO, "%s, port %s: %s%s", server->options.host, port,
                           strerror(saved_errno),
                           saved_errno == EADDRINUSE ? "; choose another one with --port" : "");
    write_url(server);
    return UPG_OK;
}
