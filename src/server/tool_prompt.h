/* tool_prompt.h -- functions as a model is told of them, and the schema of calls.
 *
 * Phi-4-mini was trained for calls: the functions go into the system message in its own form.  Other
 * members were not; they are told in words, and the calls are bound to the schema all the same. */
#ifndef UPG_SERVER_TOOL_PROMPT_H
#define UPG_SERVER_TOOL_PROMPT_H

#include "server/request.h"

struct server;

/* The messages of a prompt.  Start from {0}. */
struct conversation {
    upg_message *messages; /* [n_messages], owned array */
    size_t n_messages;
    char *system; /* owned texts; NULL: none */
    char *tools;
};

bool conversation_init(struct conversation *conversation, const struct request *request,
                       const struct server *server, struct api_error *error);
void conversation_clear(struct conversation *conversation);

/* [{"name": ..., "arguments": ...}, ...] as a JSON Schema; NULL: memory is out. */
json_t *calls_schema(const struct request *request);

#endif
