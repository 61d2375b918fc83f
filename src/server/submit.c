/* submit.c -- from a request to the scheduler: prompts, sampling, choices. */
#include "server/generation.h"

#include "server/form.h"
#include "server/random_id.h"
#include "server/state.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RETRY_AFTER_S = 2 };

static bool tokenize_prompt(const struct generation *generation, const struct prompt *prompt,
                            upg_tokens *tokens, struct api_error *error)
{
    const char *param = generation->request.endpoint == ENDPOINT_EMBEDDINGS ? "input" : "prompt";
    upg_error cause;
    upg_status status;

    if (prompt->text)
        status = upg_tokenize(generation->server->tokenizer, prompt->text, prompt->n_text_bytes,
                              UPG_TEXT_PLAIN, tokens, &cause);
    else
        status = upg_tokens_append(tokens, prompt->ids.ids, prompt->ids.n, &cause);
    if (status != UPG_OK)
        return api_fail_library(error, param, &cause);
    if (tokens->n == 0)
        return api_fail(error, 400, param, "%s is empty: there is nothing to go on from", param);
    return true;
}

static bool make_prompts(struct generation *generation, struct api_error *error)
{
    const struct request *request = &generation->request;

    generation->n_prompts = request->n_prompts > 0 ? request->n_prompts : 1;
    generation->prompts = calloc(generation->n_prompts, sizeof *generation->prompts);
    if (!generation->prompts)
        return api_fail_memory(error);
    for (size_t i = 0; i < request->n_prompts; i++)
        if (!tokenize_prompt(generation, &request->prompts[i], &generation->prompts[i], error))
            return false;
    if (request->n_prompts == 0 && !form_render(generation, &generation->prompts[0], error))
        return false;
    for (size_t i = 0; i < generation->n_prompts; i++)
        generation->n_prompt_tokens += generation->prompts[i].n;
    return true;
}

static bool make_choices(struct generation *generation, struct api_error *error)
{
    const size_t n_each =
        generation->request.n_choices > 0 ? (size_t)generation->request.n_choices : 1;
    const bool may_call = form_has_tools(&generation->request);

    generation->n_choices = generation->n_prompts * n_each;
    generation->choices = calloc(generation->n_choices, sizeof *generation->choices);
    if (!generation->choices) {
        generation->n_choices = 0;
        return api_fail_memory(error);
    }
    for (size_t i = 0; i < generation->n_choices; i++) {
        generation->choices[i].generation = generation;
        generation->choices[i].index = i;
        generation->choices[i].prompt = i / n_each;
        generation->choices[i].calls.state = may_call ? CALLS_UNDECIDED : CALLS_TEXT;
        if (!generation->request.separate_reasoning)
            generation->choices[i].thoughts.state = THOUGHTS_OVER;
    }
    return true;
}

struct generation *generation_new(struct server *server, struct request *request,
                                  const struct answer_format *format, struct api_error *error)
{
    struct generation *generation = calloc(1, sizeof *generation);

    if (!generation) {
        request_clear(request);
        api_fail_memory(error);
        return NULL;
    }
    pthread_mutex_init(&generation->lock, NULL);
    generation->n_references = 1;
    generation->server = server;
    generation->request = *request;
    memset(request, 0, sizeof *request);
    generation->format = format;
    generation->created = (long long)time(NULL);
    random_id(generation->id, sizeof generation->id, format->id_prefix);
    if (!make_prompts(generation, error) || !make_choices(generation, error)) {
        generation_release(generation);
        return NULL;
    }
    return generation;
}

static void fill_sampling(upg_sampling *sampling, const struct request *request)
{
    sampling->temperature = (float)request->temperature;
    sampling->top_p =
        request->top_p < 1e-6 ? 1e-6f : (float)request->top_p; /* 0: the first alone */
    sampling->top_k = (int32_t)request->top_k;
    sampling->min_p = (float)request->min_p;
    sampling->repetition_penalty = (float)request->repetition_penalty;
    sampling->presence_penalty = (float)request->presence_penalty;
    sampling->frequency_penalty = (float)request->frequency_penalty;
    sampling->seed = request->has_seed ? (uint64_t)request->seed : random_number();
    sampling->logit_bias = request->biases;
    sampling->n_logit_bias = request->n_biases;
}

/* The length of the answer: what was asked for, within the server's limit. */
static bool fill_length(upg_request *submission, const struct generation *generation,
                        struct api_error *error)
{
    const size_t asked = request_max_tokens(&generation->request);
    const size_t limit = generation->server->options.max_answer_tokens;

    if (limit > 0 && asked > limit)
        return api_fail(error, 400, "max_tokens",
                        "%zu tokens were asked for; this server gives at most %zu", asked, limit);
    submission->max_tokens = asked > 0 ? asked : limit;
    if (asked == 0 && limit > 0) { /* the limit must not make a prompt too long that is not */
        for (size_t i = 0; i < generation->n_prompts; i++) {
            const size_t n = generation->prompts[i].n, context = generation->server->context;
            if (n < context && context - n < submission->max_tokens)
                submission->max_tokens = 0;
        }
    }
    return true;
}

static bool submission_failed(const struct generation *generation, struct api_error *error,
                              const upg_error *cause)
{
    if (cause->status == UPG_ERR_BUSY) {
        error->retry_after_s = RETRY_AFTER_S;
        error->code = "overloaded";
        return api_fail(error, 503, NULL, "%s", cause->message);
    }
    return api_fail_library(error,
                            cause->status != UPG_ERR_CONTEXT                ? NULL
                            : generation->request.endpoint == ENDPOINT_CHAT ? "messages"
                            : generation->request.n_messages > 0            ? "input"
                                                                            : "prompt",
                            cause);
}

/* Choices from the i-th on will not be told of. */
static void give_up_from(struct generation *generation, size_t i)
{
    pthread_mutex_lock(&generation->lock);
    generation->n_finished += generation->n_choices - i;
    generation->is_abandoned = true;
    pthread_mutex_unlock(&generation->lock);
    for (size_t k = 0; k < i; k++)
        upg_scheduler_cancel(generation->server->scheduler, generation->choices[k].number);
}

/* Submit the i-th choice with what all have in common. */
static bool submit_choice(struct generation *generation, size_t i, const char *schema,
                          upg_request *submission, struct api_error *error)
{
    struct choice *choice = &generation->choices[i];
    upg_error cause;

    submission->ids = generation->prompts[choice->prompt].ids;
    submission->n_ids = generation->prompts[choice->prompt].n;
    submission->on_event_context = choice;
    if (!form_filter(generation, schema, &submission->filter, error))
        return false;
    generation_reference(generation);
    if (upg_scheduler_submit(generation->server->scheduler, submission, &choice->number, &cause) ==
        UPG_OK)
        return true;
    generation_release(generation);
    if (submission->filter.free) /* taken over only by a success */
        submission->filter.free(submission->filter.context);
    return submission_failed(generation, error, &cause);
}

bool generation_submit(struct generation *generation, uint64_t client, struct api_error *error)
{
    const struct request *request = &generation->request;
    const size_t n_each = generation->n_choices / generation->n_prompts;
    upg_request submission;
    char *schema;
    uint64_t seed;
    bool is_good = true;

    upg_request_defaults(&submission);
    submission.kind = generation->format->kind;
    fill_sampling(&submission.sampling, request);
    submission.stop = request->stops;
    submission.n_stop = request->n_stops;
    submission.ignore_stop_ids = request->ignore_eos;
    submission.logprobs = request->logprobs;
    submission.n_top_logprobs = (size_t)request->n_top;
    submission.client = client;
    submission.on_event = generation_on_event;
    if (!fill_length(&submission, generation, error) || !form_schema(request, &schema, error))
        return false;
    seed = submission.sampling.seed;
    for (size_t i = 0; i < generation->n_choices && is_good; i++) {
        submission.sampling.seed = seed + i % n_each;
        is_good = submit_choice(generation, i, schema, &submission, error);
        if (!is_good)
            give_up_from(generation, i);
    }
    free(schema);
    return is_good;
}
