/* outcome.h -- what becomes of a scheduler's request, gathered from its events. */
#ifndef UPG_TESTS_OUTCOME_H
#define UPG_TESTS_OUTCOME_H

#include "base/buffer.h"
#include "upg/upg.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Start from {0}; a request's on_event_context.  Fields are to be read after outcome_wait(). */
struct outcome {
    upg_tokens ids;
    struct upg_buffer text;
    float logprobs[64]; /* of the first tokens */
    upg_logprob top[64][4];
    upg_status status;
    char message[1024];
    upg_finish finish;
    char stop[64]; /* "" if there was none */
    float *embedding;
    size_t n_embedding;
    upg_usage usage;
    bool is_torn;         /* an event that must not be: after the end, or text that is no UTF-8 */
    size_t n_finished;    /* FINISH events */
    atomic_size_t n_seen; /* tokens so far; any thread */
    atomic_bool is_done;

    size_t cancel_after;              /* tokens after which the callback cancels; 0: never */
    pthread_mutex_t *gate;            /* held by the test: the first event waits; may be NULL */
    void (*on_finish)(void *context); /* called last; may be NULL */
    void *on_finish_context;
};

int outcome_event(void *context, const upg_event *event); /* a upg_event_fn */

/* A request of this prompt that is gathered by the outcome: greedy, without end at stop ids. */
upg_request outcome_request(struct outcome *outcome, const int32_t *ids, size_t n_ids,
                            size_t max_tokens);

/* Wait for FINISH.  Callers submit the request before. */
void outcome_wait(struct outcome *outcome);

/* Wait for n tokens or FINISH. */
void outcome_wait_tokens(struct outcome *outcome, size_t n);

void outcome_clear(struct outcome *outcome);

#endif
