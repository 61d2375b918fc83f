/* usage.h -- what all answers report: tokens, time, log probabilities. */
#ifndef UPG_SERVER_USAGE_H
#define UPG_SERVER_USAGE_H

#include "server/generation.h"

/* {"prompt_tokens", "completion_tokens", "total_tokens", ...}; NULL: memory is out. */
json_t *usage_json(const struct generation *generation);

/* Extension: milliseconds and tokens a second of the slowest choice. */
json_t *timings_json(const struct generation *generation);

/* "stop", "length" or "tool_calls" */
const char *finish_reason(const struct choice *choice);

/* A string; bytes that are not UTF-8 become U+FFFD. */
json_t *text_json(const char *bytes, size_t n);

/* The bytes of a token, special ones included. */
const char *token_bytes(const struct generation *generation, int32_t id, size_t *n);

#endif
