/* chat.h -- the answers of the endpoints that generate. */
#ifndef UPG_SERVER_CHAT_H
#define UPG_SERVER_CHAT_H

#include "server/generation.h"

extern const struct answer_format chat_format;       /* /v1/chat/completions */
extern const struct answer_format completion_format; /* /v1/completions */
extern const struct answer_format response_format;   /* /v1/responses */
extern const struct answer_format embedding_format;  /* /v1/embeddings, never streamed */

#endif
