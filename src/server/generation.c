/* generation.c -- between the scheduler's callbacks and the writers of HTTP. */
#include "server/generation.h"

#include "server/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void output_clear(struct output *output)
{
    text_buffer_clear(&output->text);
    free(output->tokens);
    free(output->tops);
    memset(output, 0, sizeof *output);
}

/* Room for n more elements; false: memory is out. */
static bool grow(void **elements, size_t *capacity, size_t n, size_t element_bytes)
{
    size_t more = *capacity ? *capacity : 16;
    void *moved;

    if (n <= *capacity)
        return true;
    while (more < n)
        more *= 2;
    moved = realloc(*elements, more * element_bytes);
    if (!moved)
        return false;
    *elements = moved;
    *capacity = more;
    return true;
}

static void add_tokens(struct output *output, const upg_event *event)
{
    for (size_t i = 0; i < event->n_tokens; i++) {
        const upg_event_token *token = &event->tokens[i];
        if (!grow((void **)&output->tokens, &output->tokens_capacity, output->n_tokens + 1,
                  sizeof *output->tokens) ||
            !grow((void **)&output->tops, &output->tops_capacity, output->n_tops + token->n_top,
                  sizeof *output->tops)) {
            output->failed = true;
            return;
        }
        output->tokens[output->n_tokens++] =
            (struct token){token->id, token->logprob, output->n_tops, token->n_top};
        if (token->n_top > 0)
            memcpy(output->tops + output->n_tops, token->top, token->n_top * sizeof *token->top);
        output->n_tops += token->n_top;
    }
}

static void count_thoughts(struct choice *choice, const upg_event *event)
{
    for (size_t i = 0; i < event->n_tokens; i++) {
        const char *bytes;
        size_t n;

        upg_token_bytes(choice->generation->server->tokenizer, event->tokens[i].id, 1, &bytes, &n);
        thought_counter_feed(&choice->thought_tokens, bytes, n);
    }
}

static void keep_finish(struct choice *choice, const upg_event *event)
{
    choice->is_finished = true;
    choice->finish = event->finish;
    choice->status = event->status;
    snprintf(choice->message, sizeof choice->message, "%s", event->message);
    choice->hit_stop_text = event->stop != NULL;
    choice->usage = event->usage;
    if (event->n_embedding > 0) {
        choice->embedding = malloc(event->n_embedding * sizeof *choice->embedding);
        if (choice->embedding) {
            memcpy(choice->embedding, event->embedding,
                   event->n_embedding * sizeof *choice->embedding);
            choice->n_embedding = event->n_embedding;
        } else {
            choice->new.failed = true;
        }
    }
}

/* Called with the lock held. */
static void wake(struct generation *generation)
{
    if (generation->sleeping)
        MHD_resume_connection(generation->sleeping);
    generation->sleeping = NULL;
}

int generation_on_event(void *context, const upg_event *event)
{
    struct choice *choice = context;
    struct generation *generation = choice->generation;
    const bool is_last = event->type == UPG_EVENT_FINISH;
    bool go_on;

    pthread_mutex_lock(&generation->lock);
    if (event->n_text_bytes > 0)
        text_buffer_add(&choice->new.text, event->text, event->n_text_bytes);
    if (generation->request.logprobs)
        add_tokens(&choice->new, event);
    count_thoughts(choice, event);
    if (is_last) {
        keep_finish(choice, event);
        generation->n_finished++;
    }
    if (generation->request.stream || generation->n_finished == generation->n_choices)
        wake(generation);
    go_on = !generation->is_abandoned;
    pthread_mutex_unlock(&generation->lock);
    if (is_last)
        generation_release(generation);
    return go_on ? 0 : 1;
}

struct generation *generation_reference(struct generation *generation)
{
    pthread_mutex_lock(&generation->lock);
    generation->n_references++;
    pthread_mutex_unlock(&generation->lock);
    return generation;
}

static void generation_free(struct generation *generation)
{
    if (generation->writer_state)
        generation->format->free_state(generation->writer_state);
    for (size_t i = 0; i < generation->n_choices; i++) {
        output_clear(&generation->choices[i].new);
        free(generation->choices[i].embedding);
        call_splitter_clear(&generation->choices[i].calls);
        thought_splitter_clear(&generation->choices[i].thoughts);
        thought_counter_clear(&generation->choices[i].thought_tokens);
    }
    for (size_t i = 0; i < generation->n_prompts; i++)
        upg_tokens_clear(&generation->prompts[i]);
    free(generation->choices);
    free(generation->prompts);
    text_buffer_clear(&generation->out);
    request_clear(&generation->request);
    pthread_mutex_destroy(&generation->lock);
    free(generation);
}

void generation_release(struct generation *generation)
{
    bool is_last;

    pthread_mutex_lock(&generation->lock);
    is_last = --generation->n_references == 0;
    pthread_mutex_unlock(&generation->lock);
    if (is_last)
        generation_free(generation);
}

void generation_abandon(struct generation *generation)
{
    bool is_first;

    pthread_mutex_lock(&generation->lock);
    is_first = !generation->is_abandoned && generation->n_finished < generation->n_choices;
    generation->is_abandoned = true;
    pthread_mutex_unlock(&generation->lock);
    for (size_t i = 0; is_first && i < generation->n_choices; i++)
        upg_scheduler_cancel(generation->server->scheduler, generation->choices[i].number);
}

bool generation_sleep_until_finished(struct generation *generation,
                                     struct MHD_Connection *connection)
{
    bool must_wait;

    pthread_mutex_lock(&generation->lock);
    must_wait = generation->n_finished < generation->n_choices;
    if (must_wait) {
        generation->sleeping = connection;
        MHD_suspend_connection(connection);
    }
    pthread_mutex_unlock(&generation->lock);
    return must_wait;
}

bool choice_check(const struct choice *choice, struct api_error *error)
{
    upg_error cause = {.status = choice->status};

    if (choice->new.failed || choice->new.text.failed)
        return api_fail_memory(error);
    if (choice->finish == UPG_FINISH_CANCELLED) {
        error->retry_after_s = 1;
        return api_fail(error, 503, NULL, "the server is shutting down");
    }
    memcpy(cause.message, choice->message, sizeof choice->message);
    return choice->finish != UPG_FINISH_FAILED || api_fail_library(error, NULL, &cause);
}

bool generation_check(const struct generation *generation, struct api_error *error)
{
    for (size_t i = 0; i < generation->n_choices; i++)
        if (!choice_check(&generation->choices[i], error))
            return false;
    return true;
}

size_t generation_n_tokens(const struct generation *generation)
{
    size_t n = 0;

    for (size_t i = 0; i < generation->n_choices; i++)
        n += generation->choices[i].usage.n_tokens;
    return n;
}

size_t generation_n_reasoning_tokens(const struct generation *generation)
{
    size_t n = 0;

    for (size_t i = 0; i < generation->n_choices; i++)
        n += thought_counter_result(&generation->choices[i].thought_tokens);
    return n;
}

/* Each prompt once, as its first answer found it. */
size_t generation_n_cached_tokens(const struct generation *generation)
{
    const size_t n_each = generation->n_choices / generation->n_prompts;
    size_t n = 0;

    for (size_t i = 0; i < generation->n_choices; i += n_each)
        n += generation->choices[i].usage.n_cached_tokens;
    return n;
}
