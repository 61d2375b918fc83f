/* server.h -- an HTTP server in front of a scheduler: the OpenAI API and the chat page.
 *
 *     server_options_defaults(&options);
 *     server_start(&server, model, scheduler, &options, &err);
 *     ... wait for a signal ...
 *     server_stop(server, 30);
 *
 * Threads: a few of libmicrohttpd read requests and write answers; the scheduler's thread tells what
 * is generated; one of ours watches clocks and sockets.  A thread of HTTP never waits for the model:
 * a connection that has nothing to send is suspended until the scheduler's callback wakes it. */
#ifndef UPG_SERVER_SERVER_H
#define UPG_SERVER_SERVER_H

#include "upg/upg.h"

#include <stdbool.h>
#include <stdint.h>

struct server;

struct server_options {
    const char *host;            /* an address or a name of this machine */
    uint16_t port;               /* 0: one that is free */
    const char *model_name;      /* as clients call it; NULL: from the model's file name */
    const char *const *api_keys; /* [n_api_keys]; none: everybody may ask */
    size_t n_api_keys;
    const char *const *origins; /* [n_origins] web pages that may use the API (CORS); "*": all */
    size_t n_origins;
    const char *const *host_names; /* [n_host_names] names beside its own by which a server without
                                      keys on a local address may be called; "*": all */
    size_t n_host_names;
    const char *certificate, *private_key; /* PEM texts; NULL: plain HTTP */
    size_t max_body_bytes;
    size_t max_connections;
    size_t max_answer_tokens;   /* of one answer; 0: the context */
    unsigned request_timeout_s; /* a request must have come completely within this time */
    unsigned idle_timeout_s; /* a connection without a request, or that takes nothing, is closed */
    bool page;               /* serve the chat page */
    bool log_json;           /* the log in JSON instead of key=value */
    bool log; /* a line for each request, on standard error; prompts never appear in it */
};

void server_options_defaults(struct server_options *options);

/* Open the port and serve.  Model, scheduler and the strings of the options are borrowed until
 * server_stop().  UPG_ERR_IO: the port cannot be opened; UPG_ERR_ARGUMENT, UPG_ERR_MEMORY. */
upg_status server_start(struct server **server, const upg_model *model, upg_scheduler *scheduler,
                        const struct server_options *options, upg_error *err);

/* "http://127.0.0.1:8080", with the port that was opened; lives as long as the server. */
const char *server_url(const struct server *server);

/* Take no new requests, let those in work finish for `grace_seconds`, cancel the rest (their streams
 * end with an error event), close all connections, free all.  Drains the scheduler.  NULL is
 * allowed. */
void server_stop(struct server *server, double grace_seconds);

#endif
