/* calls.h -- splitting an answer into text and function calls, as it comes.
 *
 * A model calls functions with a JSON array, alone in its answer:
 *
 *     [{"name": "get_weather", "arguments": {"city": "Paris"}}]
 *
 * Phi-4-mini puts it between <|tool_call|> and <|/tool_call|>, or behind "functools".  What does not
 * begin like this is text; nothing that a model writes is lost because it could not be read. */
#ifndef UPG_SERVER_CALLS_H
#define UPG_SERVER_CALLS_H

#include "server/text_buffer.h"

enum segment_kind {
    SEGMENT_TEXT,      /* bytes of text */
    SEGMENT_CALL,      /* a call begins; bytes: the function's name */
    SEGMENT_ARGUMENTS, /* bytes of its arguments, JSON */
    SEGMENT_CALL_END,  /* its arguments are complete */
    SEGMENT_REASONING  /* bytes of thoughts before the answer; see thoughts.h */
};

typedef void (*segment_fn)(void *context, enum segment_kind kind, const char *bytes, size_t n);

enum call_state { CALLS_UNDECIDED, CALLS_TEXT, CALLS_BETWEEN, CALLS_ARGUMENTS };

/* Start from {0}, or from {.state = CALLS_TEXT} where no function may be called; free with
 * call_splitter_clear(). */
struct call_splitter {
    enum call_state state;
    struct text_buffer held; /* not decided yet */
    size_t depth;            /* of brackets in the arguments */
    bool in_string, after_backslash;
    size_t n_calls;
};

void call_splitter_feed(struct call_splitter *splitter, const char *bytes, size_t n,
                        segment_fn segment, void *context);

/* The answer is over: what is held is text, unless it only closes the calls. */
void call_splitter_end(struct call_splitter *splitter, segment_fn segment, void *context);

void call_splitter_clear(struct call_splitter *splitter);

#endif
