/* request.h -- the body of a request, read and checked.
 *
 * One struct serves all endpoints: each fills the fields that it has (see the table in fields.c) and
 * finds the defaults in the rest.  After request_parse() every number is within its range and every
 * text is UTF-8 without zero bytes; nothing downstream checks again. */
#ifndef UPG_SERVER_REQUEST_H
#define UPG_SERVER_REQUEST_H

#include "server/api_error.h"

#include <stdint.h>

/* One bit each, because a field may belong to several. */
enum endpoint {
    ENDPOINT_CHAT = 1,
    ENDPOINT_COMPLETIONS = 2,
    ENDPOINT_RESPONSES = 4,
    ENDPOINT_EMBEDDINGS = 8,
    ENDPOINT_TOKENIZE = 16,
    ENDPOINT_DETOKENIZE = 32
};

enum {
    MAX_CHOICES = 16, /* n */
    MAX_PROMPTS = 64, /* prompts of one completion request, inputs of one embedding request */
    MAX_STOPS = 16,   /* stop texts; the OpenAI API has 4 */
    MAX_TOP_LOGPROBS = 20,
    MAX_BIASES = 1024,
    MAX_MESSAGES = 4096
};

/* A text or token ids, one of the two. */
struct prompt {
    const char *text; /* NULL: ids; borrowed from the document */
    size_t n_text_bytes;
    upg_tokens ids; /* owned */
};

enum tool_use { TOOLS_AUTO, TOOLS_NONE, TOOLS_REQUIRED };
enum format_kind { FORMAT_TEXT, FORMAT_JSON_OBJECT, FORMAT_JSON_SCHEMA };

struct request {
    enum endpoint endpoint;
    json_t *document; /* owned; texts below borrow from it unless they are in `owned` */
    char **owned;     /* [n_owned] texts that were put together, owned */
    size_t n_owned, owned_capacity;

    const char *model; /* NULL: not given */
    const char *user; /* whom the request is for, when several users share a key; NULL: not given */

    upg_message *messages; /* [n_messages], owned array; the tools of the request not yet in it */
    size_t n_messages, messages_capacity;
    struct prompt *prompts; /* [n_prompts], owned array */
    size_t n_prompts;

    int64_t n_choices, best_of;
    int64_t max_tokens, max_completion_tokens; /* 0: not given */
    double temperature, top_p, min_p;
    int64_t top_k;
    double repetition_penalty, presence_penalty, frequency_penalty;
    int64_t seed; /* meaningful if has_seed */
    bool has_seed;
    bool ignore_eos;
    const char *stops[MAX_STOPS]; /* [n_stops] */
    size_t n_stops;
    upg_logit_bias *biases; /* [n_biases], owned array */
    size_t n_biases;

    bool logprobs; /* the chosen tokens' log probabilities are wanted */
    int64_t n_top; /* and those of so many alternatives */
    bool stream, include_usage, echo;
    bool separate_reasoning; /* thoughts apart from the answer */

    enum format_kind format;
    const json_t *schema; /* of FORMAT_JSON_SCHEMA, borrowed */
    const char *schema_name;
    bool schema_strict;
    const json_t *tools; /* see request_function(); NULL: none */
    bool tools_nested;   /* functions are one level down, as chat completions have them */
    enum tool_use tool_use;
    const char *tool_name; /* the only function that may be called; NULL: any */
    bool parallel_tool_calls;

    const char *instructions; /* Responses: goes before the messages as the system text */
    bool embeddings_base64;
    int64_t dimensions; /* of an embedding; 0: all */

    bool parse_special, with_pieces, add_generation_prompt, keep_special;
    upg_tokens tokens; /* of detokenize, owned */
};

/* Read a body for an endpoint.
 *   body  [n] JSON as the client sent it
 * false: error is filled; the request must be cleared all the same. */
bool request_parse(struct request *request, enum endpoint endpoint, const char *body, size_t n,
                   struct api_error *error);

void request_clear(struct request *request);

/* Most tokens of the answer: max_completion_tokens, else max_tokens; 0: not given. */
size_t request_max_tokens(const struct request *request);

/* Function number i, 0 .. request_n_tools()-1: {"name", "description", "parameters"}. */
size_t request_n_tools(const struct request *request);
const json_t *request_function(const struct request *request, size_t i);

#endif
