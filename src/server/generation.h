/* generation.h -- the answers to one HTTP request, from submission to the last byte.
 *
 * Two threads meet here.  The scheduler's thread adds what it makes to the choices and wakes the
 * connection; a thread of HTTP takes it and writes it out.  If the client is slow, several tokens go
 * out together, so what waits here is never more than one answer.
 *
 * A generation lives until nobody needs it: the exchange, the watch list and each choice that the
 * scheduler works on hold a reference. */
#ifndef UPG_SERVER_GENERATION_H
#define UPG_SERVER_GENERATION_H

#include "server/request.h"
#include "server/thoughts.h"

#include <microhttpd.h>
#include <pthread.h>
#include <sys/types.h>

struct server;
struct answer_format;

/* A token as the scheduler told it. */
struct token {
    int32_t id;
    float logprob;
    size_t first_top, n_top; /* in output.tops */
};

/* A part of an answer. */
struct output {
    struct text_buffer text;
    struct token *tokens; /* [n_tokens], owned; kept only if log probabilities are wanted */
    size_t n_tokens, tokens_capacity;
    upg_logprob *tops; /* [n_tops], owned */
    size_t n_tops, tops_capacity;
    bool failed; /* memory was out */
};

void output_clear(struct output *output);

/* One answer. */
struct choice {
    struct generation *generation;
    size_t index;      /* of the answer in the reply */
    size_t prompt;     /* which prompt it answers */
    uint64_t number;   /* the scheduler's; 0: not submitted */
    struct output new; /* what nobody has taken yet */

    bool is_finished; /* the rest is final then */
    upg_finish finish;
    upg_status status;
    char message[256]; /* why it failed */
    bool hit_stop_text;
    float *embedding; /* [n_embedding], owned */
    size_t n_embedding;
    upg_usage usage;
    struct thought_counter thought_tokens;

    /* Of the writer alone. */
    bool is_closed;      /* its last event is written */
    size_t n_characters; /* written so far, for text_offset */
    struct call_splitter calls;
    struct thought_splitter thoughts;
};

struct generation {
    struct server *server;
    struct request request; /* owned */
    const struct answer_format *format;
    char id[40]; /* "chatcmpl-..." */
    long long created;
    upg_tokens *prompts; /* [n_prompts], owned array and tokens */
    size_t n_prompts;
    size_t n_prompt_tokens; /* of all prompts */
    struct choice *choices; /* [n_choices], owned */
    size_t n_choices;

    pthread_mutex_t lock; /* guards what the choices get from the scheduler, and: */
    size_t n_references, n_finished;
    struct MHD_Connection *sleeping; /* suspended until there is something to write; NULL: none */
    bool is_abandoned;

    /* Of the writer alone. */
    struct text_buffer out; /* written, not sent yet */
    size_t n_sent, n_closed;
    bool has_begun, has_ended;
    void *writer_state; /* owned; see answer_format.free_state; NULL: none */
};

/* How answers are written. */
struct answer_format {
    const char *id_prefix;
    const char *error_event; /* name of the event that tells of a failure; NULL: none */
    upg_request_kind kind;
    /* Streams: what comes first, for each part, at a choice's end, and last.  May be NULL. */
    void (*begin)(struct generation *generation, struct text_buffer *out);
    void (*part)(struct generation *generation, struct choice *choice, const struct output *part,
                 struct text_buffer *out);
    void (*close)(struct generation *generation, struct choice *choice, struct text_buffer *out);
    void (*end)(struct generation *generation, struct text_buffer *out);
    /* One document of all choices, each with its whole output in `new`; NULL: memory is out. */
    json_t *(*document)(struct generation *generation);
    void (*free_state)(void *writer_state); /* NULL: there is none */
};

/* Make a generation of a request, which is taken over (and emptied), also on failure; NULL: error is
 * filled. */
struct generation *generation_new(struct server *server, struct request *request,
                                  const struct answer_format *format, struct api_error *error);

/* Submit all choices; false: none of them is left in the scheduler.
 *   client  who asks, for fairness */
bool generation_submit(struct generation *generation, uint64_t client, struct api_error *error);

/* What the scheduler calls; the context is the choice. */
int generation_on_event(void *context, const upg_event *event);

struct generation *generation_reference(struct generation *generation);
void generation_release(struct generation *generation);

/* Nobody wants the answers any more. */
void generation_abandon(struct generation *generation);

/* Suspend the connection until all choices are finished.  false: they are already. */
bool generation_sleep_until_finished(struct generation *generation,
                                     struct MHD_Connection *connection);

/* For MHD_create_response_from_callback(): the next bytes of the event stream.  context is the
 * generation; its exchange must live. */
ssize_t generation_read_stream(struct generation *generation, struct MHD_Connection *connection,
                               char *bytes, size_t max);

/* false: error says why a finished choice is no answer. */
bool choice_check(const struct choice *choice, struct api_error *error);

/* The first failure among the choices; false: error is filled.  Call when all are finished. */
bool generation_check(const struct generation *generation, struct api_error *error);

/* Tokens of all answers, and sums over prompts. */
size_t generation_n_tokens(const struct generation *generation);
size_t generation_n_reasoning_tokens(const struct generation *generation);
size_t generation_n_cached_tokens(const struct generation *generation);

#endif
