/* answer.c -- writing down what a scheduler tells. */
#include "answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct answer *answer_new(int notify, int n_top)
{
    struct answer *answer = calloc(1, sizeof *answer);
    pthread_condattr_t attributes;

    if (!answer) {
        PyErr_NoMemory();
        return NULL;
    }
    pthread_mutex_init(&answer->lock, NULL);
    pthread_condattr_init(&attributes);
#ifndef __APPLE__
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
#endif
    pthread_cond_init(&answer->news, &attributes);
    pthread_condattr_destroy(&attributes);
    answer->n_owners = 2;
    answer->notify = notify;
    answer->n_top = n_top;
    return answer;
}

void answer_silence(struct answer *answer)
{
    pthread_mutex_lock(&answer->lock);
    answer->notify = -1;
    pthread_mutex_unlock(&answer->lock);
}

void answer_release(struct answer *answer)
{
    int n_left;

    pthread_mutex_lock(&answer->lock);
    n_left = --answer->n_owners;
    pthread_mutex_unlock(&answer->lock);
    if (n_left > 0)
        return;
    free(answer->text.bytes);
    free(answer->ids.bytes);
    free(answer->logprobs.bytes);
    free(answer->embedding.bytes);
    pthread_cond_destroy(&answer->news);
    pthread_mutex_destroy(&answer->lock);
    free(answer);
}

static int pile_add(struct pile *pile, const void *bytes, size_t n)
{
    if (n > pile->capacity - pile->n) {
        const size_t capacity = 2 * (pile->n + n) + 64;
        char *grown = realloc(pile->bytes, capacity);

        if (!grown)
            return -1;
        pile->bytes = grown;
        pile->capacity = capacity;
    }
    if (n > 0)
        memcpy(pile->bytes + pile->n, bytes, n);
    pile->n += n;
    return 0;
}

static int add_token(struct answer *answer, const upg_event_token *token)
{
    const upg_logprob own = {.id = token->id, .logprob = token->logprob};
    const size_t n_top = answer->n_top > 0 ? (size_t)answer->n_top - 1 : 0;

    if (pile_add(&answer->ids, &token->id, sizeof token->id) < 0)
        return -1;
    if (answer->n_top == 0)
        return 0;
    return pile_add(&answer->logprobs, &own, sizeof own) < 0 ||
                   pile_add(&answer->logprobs, token->top, n_top * sizeof own) < 0
               ? -1
               : 0;
}

/* Whether there was memory for all of it. */
static int write_down(struct answer *answer, const upg_event *event)
{
    int failed = pile_add(&answer->text, event->text, event->n_text_bytes) < 0;

    for (size_t i = 0; i < event->n_tokens; i++)
        failed |= add_token(answer, &event->tokens[i]) < 0;
    return !failed;
}

static void write_finish(struct answer *answer, const upg_event *event)
{
    answer->is_finished = 1;
    answer->finish = event->finish;
    answer->usage = event->usage;
    if (event->status != UPG_OK) {
        answer->failure.status = event->status;
        strncpy(answer->failure.message, event->message, sizeof answer->failure.message - 1);
    }
    if (pile_add(&answer->embedding, event->embedding, event->n_embedding * sizeof(float)) < 0)
        answer->failure = (upg_error){UPG_ERR_MEMORY, "out of memory: an embedding"};
}

int answer_event(void *context, const upg_event *event)
{
    struct answer *answer = context;
    const int is_finish = event->type == UPG_EVENT_FINISH;
    int stop = 0;

    pthread_mutex_lock(&answer->lock);
    if (is_finish) {
        write_finish(answer, event);
    } else if (!write_down(answer, event)) {
        answer->failure = (upg_error){UPG_ERR_MEMORY, "out of memory: an answer"};
        stop = 1;
    }
    if (answer->notify >= 0 && !answer->is_marked)
        answer->is_marked = write(answer->notify, "", 1) == 1; /* a full pipe wakes as well */
    pthread_cond_broadcast(&answer->news);
    pthread_mutex_unlock(&answer->lock);
    if (is_finish)
        answer_release(answer);
    return stop;
}

int answer_is_finished(struct answer *answer)
{
    int is_finished;

    pthread_mutex_lock(&answer->lock);
    is_finished = answer->is_finished;
    pthread_mutex_unlock(&answer->lock);
    return is_finished;
}

static int has_news(const struct answer *answer)
{
    return answer->is_finished || answer->text.n > answer->n_read;
}

int answer_wait(struct answer *answer, unsigned milliseconds)
{
    struct timespec until;
    int found, waited = 0;

#ifdef __APPLE__
    clock_gettime(CLOCK_REALTIME, &until);
#else
    clock_gettime(CLOCK_MONOTONIC, &until);
#endif
    until.tv_nsec += (long)milliseconds * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&answer->lock);
    while (!has_news(answer) && milliseconds > 0 && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&answer->news, &answer->lock, &until);
    found = has_news(answer);
    pthread_mutex_unlock(&answer->lock);
    return found;
}
