/* thoughts.h -- the thoughts at the beginning of an answer, apart from the rest.
 *
 * Reasoning models begin with <think>, go on to </think>, and then answer.  What stands between is
 * told as SEGMENT_REASONING; an answer that never closes its thoughts is all reasoning.  Blanks
 * around the marks belong to neither.  Answers that begin otherwise are passed on as they are. */
#ifndef UPG_SERVER_THOUGHTS_H
#define UPG_SERVER_THOUGHTS_H

#include "server/calls.h"

enum thought_state {
    THOUGHTS_UNDECIDED,
    THOUGHTS_BEGIN,
    THOUGHTS_INSIDE,
    THOUGHTS_BEHIND,
    THOUGHTS_OVER
};

/* Start from {0}, or from {.state = THOUGHTS_OVER} to pass all on; free with
 * thought_splitter_clear(). */
struct thought_splitter {
    enum thought_state state;
    struct text_buffer held; /* not decided yet */
};

/* Bytes that are no thought go to `calls`; both tell `segment`. */
void thought_splitter_feed(struct thought_splitter *splitter, struct call_splitter *calls,
                           const char *bytes, size_t n, segment_fn segment, void *context);

/* The answer is over. */
void thought_splitter_end(struct thought_splitter *splitter, struct call_splitter *calls,
                          segment_fn segment, void *context);

void thought_splitter_clear(struct thought_splitter *splitter);

/* How many tokens the thoughts of an answer take, marks included.  Start from {0}. */
struct thought_counter {
    struct thought_splitter splitter;
    size_t n; /* tokens while the thoughts were not over */
};

/* The bytes of the next token. */
void thought_counter_feed(struct thought_counter *counter, const char *bytes, size_t n);

/* 0 while it is not known whether the answer begins with thoughts. */
size_t thought_counter_result(const struct thought_counter *counter);

void thought_counter_clear(struct thought_counter *counter);

#endif
