/* stream.c -- a generation as a stream of events, written as libmicrohttpd asks for bytes. */
#include "server/generation.h"

#include "server/sse.h"
#include "server/state.h"

#include <string.h>

/* Take what the scheduler has added to a choice.  Returns true if the choice is final. */
static bool take_output(struct generation *generation, struct choice *choice, struct output *part)
{
    bool is_final;

    pthread_mutex_lock(&generation->lock);
    *part = choice->new;
    memset(&choice->new, 0, sizeof choice->new);
    is_final = choice->is_finished;
    pthread_mutex_unlock(&generation->lock);
    return is_final;
}

/* The answers cannot go on: say why, and end. */
static void write_failure(struct generation *generation, const struct api_error *error)
{
    sse_event(&generation->out, generation->format->error_event, api_error_json(error));
    generation->has_ended = true;
}

static void write_choice(struct generation *generation, struct choice *choice)
{
    const struct answer_format *format = generation->format;
    struct api_error error = {0};
    struct output part;
    bool is_final;

    if (choice->is_closed)
        return;
    is_final = take_output(generation, choice, &part);
    if (part.failed || part.text.failed) {
        api_fail_memory(&error);
        write_failure(generation, &error);
    } else if (is_final && !choice_check(choice, &error)) {
        write_failure(generation, &error);
    } else {
        if (part.text.n > 0 || part.n_tokens > 0)
            format->part(generation, choice, &part, &generation->out);
        if (is_final) {
            format->close(generation, choice, &generation->out);
            choice->is_closed = true;
            generation->n_closed++;
        }
    }
    output_clear(&part);
}

static void write_more(struct generation *generation)
{
    if (!generation->has_begun) {
        generation->has_begun = true;
        generation->format->begin(generation, &generation->out);
    }
    for (size_t i = 0; i < generation->n_choices && !generation->has_ended; i++)
        write_choice(generation, &generation->choices[i]);
    if (generation->n_closed == generation->n_choices && !generation->has_ended) {
        generation->format->end(generation, &generation->out);
        generation->has_ended = true;
    }
}

/* Sleep unless something has come since it was last looked. */
static void sleep_until_more(struct generation *generation, struct MHD_Connection *connection)
{
    bool has_more = false;

    pthread_mutex_lock(&generation->lock);
    for (size_t i = 0; i < generation->n_choices; i++) {
        const struct choice *choice = &generation->choices[i];
        has_more |= choice->new.text.n > 0 || choice->new.n_tokens > 0 || choice->new.failed ||
                    (choice->is_finished && !choice->is_closed);
    }
    if (!has_more) {
        generation->sleeping = connection;
        MHD_suspend_connection(connection);
    }
    pthread_mutex_unlock(&generation->lock);
}

ssize_t generation_read_stream(struct generation *generation, struct MHD_Connection *connection,
                               char *bytes, size_t max)
{
    struct text_buffer *out = &generation->out;
    size_t n;

    if (generation->n_sent == out->n) {
        text_buffer_empty(out);
        generation->n_sent = 0;
        if (generation->has_ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        write_more(generation);
        if (out->failed)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (out->n == 0 && !generation->has_ended) {
            sleep_until_more(generation, connection);
            return 0;
        }
    }
    n = out->n - generation->n_sent < max ? out->n - generation->n_sent : max;
    memcpy(bytes, out->bytes + generation->n_sent, n);
    generation->n_sent += n;
    return n > 0 ? (ssize_t)n : MHD_CONTENT_READER_END_OF_STREAM;
}
