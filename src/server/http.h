/* http.h -- libmicrohttpd: its threads, its callbacks, its rules. */
#ifndef UPG_SERVER_HTTP_H
#define UPG_SERVER_HTTP_H

#include "server/state.h"

/* Open the port and fill in server->daemon and server->url. */
upg_status http_start(struct server *server, upg_error *err);

/* Accept no more connections. */
void http_close_port(struct server *server);

/* Open the port: server->listen_fd, url, is_local_address.  UPG_ERR_IO says what is in the way. */
upg_status server_listen(struct server *server, upg_error *err);

/* No connection may be suspended any more. */
void http_stop(struct server *server);

#endif
