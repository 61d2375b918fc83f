/* routes.h -- which path leads where. */
#ifndef UPG_SERVER_ROUTES_H
#define UPG_SERVER_ROUTES_H

#include "server/exchange.h"

struct route {
    const char *method;     /* GET (HEAD as well) or POST */
    const char *path;       /* a '*' at the end: anything may follow */
    enum endpoint endpoint; /* of the body; 0: none is read */
    bool is_open;           /* needs no API key */
    route_handler handler;
    const char *summary; /* for the API document; NULL: not in it */
};

extern const struct route routes[];
extern const size_t n_routes;

/* Decide what an exchange will do: its handler, or its refusal. */
void route_exchange(struct exchange *exchange, const char *method, const char *path);

#endif
