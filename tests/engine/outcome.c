/* outcome.c -- see outcome.h.  All outcomes share one lock: tests are few. */
#include "outcome.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static bool is_whole_text(const char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        const size_t length = upg_utf8_next(text + at, n - at, NULL);

        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

static void gather_tokens(struct outcome *o, const upg_event *event)
{
    for (size_t i = 0; i < event->n_tokens; i++) {
        const upg_event_token *token = &event->tokens[i];

        if (o->ids.n < 64) {
            o->logprobs[o->ids.n] = token->logprob;
            for (size_t j = 0; j < token->n_top && j < 4; j++)
                o->top[o->ids.n][j] = token->top[j];
        }
        if (upg_tokens_append(&o->ids, &token->id, 1, NULL) != UPG_OK)
            o->is_torn = true;
    }
    if (!is_whole_text(event->text, event->n_text_bytes) ||
        upg_buffer_append(&o->text, event->text, event->n_text_bytes, NULL) != UPG_OK)
        o->is_torn = true;
}

static void gather_finish(struct outcome *o, const upg_event *event)
{
    o->n_finished++;
    o->status = event->status;
    strncpy(o->message, event->message, sizeof o->message - 1);
    o->finish = event->finish;
    if (event->stop)
        strncpy(o->stop, event->stop, sizeof o->stop - 1);
    o->usage = event->usage;
    o->n_embedding = event->n_embedding;
    if (event->embedding) {
        o->embedding = malloc(event->n_embedding * sizeof *o->embedding);
        if (o->embedding)
            memcpy(o->embedding, event->embedding, event->n_embedding * sizeof *o->embedding);
    }
}

int outcome_event(void *context, const upg_event *event)
{
    struct outcome *o = context;
    bool wants_more, is_done = event->type == UPG_EVENT_FINISH;

    if (o->gate) {
        pthread_mutex_lock(o->gate);
        pthread_mutex_unlock(o->gate);
        o->gate = NULL;
    }
    pthread_mutex_lock(&lock);
    o->is_torn = o->is_torn || o->n_finished > 0;
    if (is_done)
        gather_finish(o, event);
    else
        gather_tokens(o, event);
    atomic_store(&o->n_seen, o->ids.n);
    wants_more = o->cancel_after == 0 || o->ids.n < o->cancel_after;
    if (is_done && o->on_finish)
        o->on_finish(o->on_finish_context);
    if (is_done)
        atomic_store(&o->is_done, true);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return !wants_more;
}

upg_request outcome_request(struct outcome *outcome, const int32_t *ids, size_t n_ids,
                            size_t max_tokens)
{
    upg_request request;

    upg_request_defaults(&request);
    request.ids = ids;
    request.n_ids = n_ids;
    request.max_tokens = max_tokens;
    request.sampling.temperature = 0;
    request.ignore_stop_ids = 1;
    request.on_event = outcome_event;
    request.on_event_context = outcome;
    return request;
}

void outcome_wait_tokens(struct outcome *o, size_t n)
{
    pthread_mutex_lock(&lock);
    while (!atomic_load(&o->is_done) && atomic_load(&o->n_seen) < n)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

void outcome_wait(struct outcome *o)
{
    outcome_wait_tokens(o, SIZE_MAX);
}

void outcome_clear(struct outcome *o)
{
    upg_tokens_clear(&o->ids);
    upg_buffer_clear(&o->text);
    free(o->embedding);
    *o = (struct outcome){0};
}
