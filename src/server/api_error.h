/* api_error.h -- what a client is told when a request fails, in the shape of the OpenAI API:
 *
 *     {"error": {"message": "...", "type": "invalid_request_error", "param": "top_p", "code": null}}
 */
#ifndef UPG_SERVER_API_ERROR_H
#define UPG_SERVER_API_ERROR_H

#include "upg/upg.h"

#include <jansson.h>
#include <stdbool.h>

/* Start from {0}. */
struct api_error {
    int http_status;
    const char *code;       /* static; NULL: null */
    char param[128];        /* the field at fault; empty: null */
    char message[640];      /* for people */
    unsigned retry_after_s; /* for the header Retry-After; 0: none */
};

/* Fill the error and return false, so that failing is one line.  The text may quote the client:
 * bytes that are not printable ASCII are replaced, because a cut character would not be UTF-8.
 *   param  NULL: none; may be error->param itself */
__attribute__((format(printf, 4, 5))) bool api_fail(struct api_error *error, int http_status,
                                                    const char *param, const char *format, ...);

/* The same from an error of the library: a bad argument or a full context is the client's (400), the
 * rest ours (500, 503 for memory). */
bool api_fail_library(struct api_error *error, const char *param, const upg_error *cause);

/* 500 because memory is out. */
bool api_fail_memory(struct api_error *error);

/* The document; NULL when memory is out. */
json_t *api_error_json(const struct api_error *error);

#endif
