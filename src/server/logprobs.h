/* logprobs.h -- log probabilities as the two endpoints write them. */
#ifndef UPG_SERVER_LOGPROBS_H
#define UPG_SERVER_LOGPROBS_H

#include "server/generation.h"

/* Chat: {"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal": null}. */
json_t *chat_logprobs(const struct generation *generation, const struct output *output);

/* Completions: {"tokens", "token_logprobs", "top_logprobs", "text_offset"}.
 *   offset  characters of the answer before this part; moved on */
json_t *completion_logprobs(const struct generation *generation, const struct output *output,
                            size_t *offset);

#endif
