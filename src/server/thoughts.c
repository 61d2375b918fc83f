/* thoughts.c -- the thoughts at the beginning of an answer, apart from the rest. */
#include "server/thoughts.h"

#include <string.h>

static const char open_mark[] = "<think>", close_mark[] = "</think>";

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void drop(struct text_buffer *held, size_t n)
{
    held->n -= n;
    if (held->n > 0)
        memmove(held->bytes, held->bytes + n, held->n);
}

static size_t count_blanks(const struct text_buffer *held)
{
    size_t n = 0;

    while (n < held->n && is_blank(held->bytes[n]))
        n++;
    return n;
}

static void drop_blanks(struct text_buffer *held)
{
    drop(held, count_blanks(held));
}

/* Does the answer begin with the mark?  Held stays whole unless it does. */
static void look_for_begin(struct thought_splitter *splitter)
{
    const size_t n_mark = sizeof open_mark - 1;
    const struct text_buffer *held = &splitter->held;
    const size_t n_blanks = count_blanks(held), n_left = held->n - n_blanks;
    const size_t n_compared = n_left < n_mark ? n_left : n_mark;

    if (n_compared > 0 && memcmp(held->bytes + n_blanks, open_mark, n_compared) != 0) {
        splitter->state = THOUGHTS_OVER;
    } else if (n_compared == n_mark) {
        drop(&splitter->held, n_blanks + n_mark);
        splitter->state = THOUGHTS_BEGIN;
    }
}

/* Where the closing mark begins, or what at the end may still become one; else the end. */
static size_t find_end(const struct text_buffer *held, bool *is_closed)
{
    const size_t n_mark = sizeof close_mark - 1;
    size_t n = 0;

    *is_closed = false;
    for (; n < held->n; n++) {
        const size_t left = held->n - n, n_compared = left < n_mark ? left : n_mark;
        if (memcmp(held->bytes + n, close_mark, n_compared) == 0) {
            *is_closed = n_compared == n_mark;
            break;
        }
    }
    return n;
}

static void tell_thoughts(struct thought_splitter *splitter, segment_fn segment, void *context)
{
    bool is_closed;
    size_t n_mark_at = find_end(&splitter->held, &is_closed), n = n_mark_at;

    while (n > 0 && is_blank(splitter->held.bytes[n - 1]))
        n--;
    if (n > 0)
        segment(context, SEGMENT_REASONING, splitter->held.bytes, n);
    if (is_closed) {
        drop(&splitter->held, n_mark_at + sizeof close_mark - 1);
        splitter->state = THOUGHTS_BEHIND;
    } else {
        drop(&splitter->held, n);
    }
}

void thought_splitter_feed(struct thought_splitter *splitter, struct call_splitter *calls,
                           const char *bytes, size_t n, segment_fn segment, void *context)
{
    if (splitter->state == THOUGHTS_OVER) {
        call_splitter_feed(calls, bytes, n, segment, context);
        return;
    }
    text_buffer_add(&splitter->held, bytes, n);
    if (splitter->state == THOUGHTS_UNDECIDED)
        look_for_begin(splitter);
    if (splitter->state == THOUGHTS_BEGIN) {
        drop_blanks(&splitter->held);
        if (splitter->held.n > 0)
            splitter->state = THOUGHTS_INSIDE;
    }
    if (splitter->state == THOUGHTS_INSIDE)
        tell_thoughts(splitter, segment, context);
    if (splitter->state == THOUGHTS_BEHIND) {
        drop_blanks(&splitter->held);
        if (splitter->held.n > 0)
            splitter->state = THOUGHTS_OVER;
    }
    if (splitter->state == THOUGHTS_OVER) {
        call_splitter_feed(calls, splitter->held.bytes, splitter->held.n, segment, context);
        text_buffer_empty(&splitter->held);
    }
}

void thought_splitter_end(struct thought_splitter *splitter, struct call_splitter *calls,
                          segment_fn segment, void *context)
{
    const struct text_buffer *held = &splitter->held;

    if (splitter->state == THOUGHTS_INSIDE && held->n > 0)
        segment(context, SEGMENT_REASONING, held->bytes, held->n);
    else if (splitter->state == THOUGHTS_UNDECIDED && held->n > 0)
        call_splitter_feed(calls, held->bytes, held->n, segment, context);
    text_buffer_empty(&splitter->held);
    splitter->state = THOUGHTS_OVER;
    call_splitter_end(calls, segment, context);
}

void thought_splitter_clear(struct thought_splitter *splitter)
{
    text_buffer_clear(&splitter->held);
}

static void ignore_segment(void *context, enum segment_kind kind, const char *bytes, size_t n)
{
    (void)context;
    (void)kind;
    (void)bytes;
    (void)n;
}

void thought_counter_feed(struct thought_counter *counter, const char *bytes, size_t n)
{
    struct call_splitter rest = {.state = CALLS_TEXT};
    const enum thought_state before = counter->splitter.state;

    if (before == THOUGHTS_BEHIND || before == THOUGHTS_OVER)
        return;
    thought_splitter_feed(&counter->splitter, &rest, bytes, n, ignore_segment, NULL);
    counter->n++;
    if (before == THOUGHTS_UNDECIDED && counter->splitter.state == THOUGHTS_OVER)
        counter->n = 0; /* the answer begins otherwise */
    call_splitter_clear(&rest);
}

size_t thought_counter_result(const struct thought_counter *counter)
{
    return counter->splitter.state == THOUGHTS_UNDECIDED ? 0 : counter->n;
}

void thought_counter_clear(struct thought_counter *counter)
{
    thought_splitter_clear(&counter->splitter);
}
