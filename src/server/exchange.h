/* exchange.h -- one HTTP request and its reply. */
#ifndef UPG_SERVER_EXCHANGE_H
#define UPG_SERVER_EXCHANGE_H

#include "server/api_error.h"
#include "server/generation.h"
#include "server/state.h"
#include "server/text_buffer.h"

struct exchange;

/* Answers, or fills the error and returns false. */
typedef bool (*route_handler)(struct exchange *exchange, struct api_error *error);

struct exchange {
    struct server *server;
    struct MHD_Connection *http;
    struct connection *connection; /* borrowed from the list; NULL while it is not known */
    uint64_t number;
    char id[40];  /* X-Request-Id */
    double begun; /* monotonic seconds */
    char method[16], path[256];
    route_handler handler; /* NULL: `refusal` says why */
    enum endpoint endpoint;
    struct api_error refusal; /* decided before the body was read */
    char allowed_methods[32]; /* with 405; empty: none */
    uint64_t client;          /* who asks, for fairness */

    struct text_buffer body;
    size_t n_received;
    bool is_received;
    struct generation *generation; /* a reference; NULL: none */
    bool is_streaming, is_static;
    int status; /* of the reply; 0: not replied yet */
};

/* Reply and keep the body (taken, also on failure).  false: the connection must be closed. */
bool reply_text(struct exchange *exchange, int status, const char *content_type,
                struct text_buffer *body);

/* The same of bytes that live as long as the program. */
bool reply_static(struct exchange *exchange, const char *content_type, const void *bytes, size_t n);

/* The same of a document, which is taken; NULL: memory is out. */
bool reply_json(struct exchange *exchange, int status, json_t *document);
bool reply_error(struct exchange *exchange, const struct api_error *error);

/* The event stream of the exchange's generation. */
bool reply_stream(struct exchange *exchange);

/* Parse the body for the exchange's endpoint and check the model's name. */
bool exchange_request(struct exchange *exchange, struct request *request, struct api_error *error);

/* Start a generation and reply with its stream, or suspend the connection until it is complete.
 * Takes the request. */
bool exchange_generate(struct exchange *exchange, struct request *request,
                       const struct answer_format *format, struct api_error *error);

/* What is left to do when a suspended connection goes on. */
bool exchange_finish(struct exchange *exchange);

#endif
