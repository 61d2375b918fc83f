/* answer.h -- what a scheduler has told about a request, until Python asks for it.
 *
 * The scheduler's thread must not wait, and Python's lock may be held for long.  So events are only
 * written down here, under a lock of its own that is held for moments, and readers wait here. */
#ifndef UPG_NATIVE_ANSWER_H
#define UPG_NATIVE_ANSWER_H

#include "native.h"

#include <pthread.h>

/* Bytes that grow. */
struct pile {
    char *bytes;
    size_t n, capacity;
};

/* Two own an answer: the request's object and, until FINISH, the scheduler. */
struct answer {
    pthread_mutex_t lock; /* guards all that follows */
    pthread_cond_t news;
    int n_owners;
    int notify;    /* file descriptor that gets a byte when there is news; -1: none */
    int is_marked; /* a byte was sent and the news was not read yet */
    struct pile text, ids, logprobs, embedding;
    size_t n_read; /* bytes of the text that a reader has had */
    int n_top;     /* upg_logprobs of each token, its own one first; 0: none */
    int is_finished;
    upg_finish finish;
    upg_usage usage;
    upg_error failure; /* status UPG_OK: none */
};

/* NULL with an exception. */
struct answer *answer_new(int notify, int n_top);

/* No more bytes to the file descriptor. */
void answer_silence(struct answer *answer);

/* One owner less; the last one frees it. */
void answer_release(struct answer *answer);

/* The scheduler's callback; the context is the answer. */
int answer_event(void *answer, const upg_event *event);

/* Whether FINISH has come. */
int answer_is_finished(struct answer *answer);

/* Wait until there is unread text, or the end, or `milliseconds` are over (0: do not wait); whether
 * there is. */
int answer_wait(struct answer *answer, unsigned milliseconds);

#endif
