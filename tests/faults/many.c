/* many.c -- several requests at once through the public interface, for test_faults.py.
 *
 * usage: many MODEL      prints each answer; the exit code is 0, or 4 for a shortage of memory, 1 for
 * the system and 3 for the model's files, with the first message on standard error */
#include "upg/upg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_REQUESTS = 6, MAX_TEXT = 256 };

struct answer {
    char text[MAX_TEXT];
    size_t n;
    double norm; /* of an embedding */
    int n_finished;
    upg_status status;
    char message[sizeof((upg_error *)0)->message];
};

static int on_event(void *context, const upg_event *event)
{
    struct answer *answer = context;
    const size_t room = sizeof answer->text - answer->n;

    if (event->type == UPG_EVENT_FINISH) {
        answer->n_finished++;
        answer->status = event->status;
        snprintf(answer->message, sizeof answer->message, "%s", event->message);
        for (size_t i = 0; i < event->n_embedding; i++)
            answer->norm += (double)event->embedding[i] * (double)event->embedding[i];
    } else {
        const size_t n = event->n_text_bytes < room ? event->n_text_bytes : room;
        memcpy(answer->text + answer->n, event->text, n);
        answer->n += n;
    }
    return 0;
}

static upg_status add_constraint(upg_request *request, const upg_model *model,
                                 upg_grammar_kind kind, const char *text, upg_error *err)
{
    upg_vocabulary *vocabulary = NULL;
    upg_grammar *grammar = NULL;
    upg_constraint *constraint = NULL;
    upg_model_info info;
    upg_status status;

    upg_model_get_info(model, &info);
    status = upg_vocabulary_new(&vocabulary, upg_model_tokenizer(model), info.stop_ids,
                                info.n_stop_ids, err);
    if (status == UPG_OK)
        status = upg_grammar_new(&grammar, vocabulary, kind, text, strlen(text), NULL, err);
    if (status == UPG_OK)
        status = upg_constraint_new(&constraint, grammar, err);
    if (status == UPG_OK)
        request->filter = upg_constraint_filter(constraint);
    upg_grammar_free(grammar);
    upg_vocabulary_free(vocabulary);
    return status;
}

/* Request i: plain, with the same beginning, with a stop string, in two forms, as an embedding. */
static upg_status submit(upg_scheduler *scheduler, const upg_model *model, size_t i,
                         struct answer *answer, upg_error *err)
{
    static const char *const prompts[N_REQUESTS] = {
        "the tin hat on the oar; the tin hat on the oar; the tin",
        "the tin hat on the oar; the tin hat on the oar; the oar",
        "the tin",
        "a rod",
        "a hat",
        "the hat"};
    static const char pattern[] = "[a-z]{2,9}( [a-z]{2,9}){1,3}";
    static const char schema[] =
        "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": "
        "{\"a\": {\"enum\": [\"x\", \"yz\"]}, \"b\": {\"type\": \"integer\"}}, "
        "\"required\": [\"a\", \"b\"]}";
    static const char *const stop = "e";
    upg_request request;
    upg_tokens ids = {0};
    upg_status status;

    upg_request_defaults(&request);
    request.sampling.temperature = 0.0f;
    request.max_tokens = 12;
    request.on_event = on_event;
    request.on_event_context = answer;
    request.client = i;
    request.stop = &stop;
    request.n_stop = i == 2;
    request.logprobs = i == 1;
    request.n_top_logprobs = i == 1 ? 3 : 0;
    request.kind = i == 5 ? UPG_REQUEST_EMBED_MEAN : UPG_REQUEST_GENERATE;
    status = upg_tokenize(upg_model_tokenizer(model), prompts[i], strlen(prompts[i]),
                          UPG_TEXT_PLAIN, &ids, err);
    request.ids = ids.ids;
    request.n_ids = ids.n;
    if (status == UPG_OK && i == 3)
        status = add_constraint(&request, model, UPG_GRAMMAR_REGEX, pattern, err);
    if (status == UPG_OK && i == 4)
        status = add_constraint(&request, model, UPG_GRAMMAR_JSON_SCHEMA, schema, err);
    if (status == UPG_OK) {
        status = upg_scheduler_submit(scheduler, &request, NULL, err);
        if (status != UPG_OK && request.filter.free)
            request.filter.free(request.filter.context);
    }
    upg_tokens_clear(&ids);
    return status;
}

/* The first failure of the answers. */
static upg_status outcome(const struct answer *answers, upg_error *err)
{
    for (size_t i = 0; i < N_REQUESTS; i++) {
        if (answers[i].n_finished != 1) {
            snprintf(err->message, sizeof err->message, "request %zu finished %d times", i,
                     answers[i].n_finished);
            return UPG_ERR_INTERNAL;
        }
        if (answers[i].status != UPG_OK) {
            memcpy(err->message, answers[i].message, sizeof err->message);
            return answers[i].status;
        }
    }
    return UPG_OK;
}

static upg_status run(const char *path, struct answer *answers, upg_error *err)
{
    upg_model *model = NULL;
    upg_scheduler *scheduler = NULL;
    upg_scheduler_options options;
    upg_status status = upg_model_open(&model, path, NULL, err);

    upg_scheduler_options_defaults(&options);
    options.engine.n_threads = 1;
    options.engine.context = 128;
    options.max_running = 3;
    options.always_speculate = 1;
    if (status == UPG_OK)
        status = upg_scheduler_new(&scheduler, model, &options, err);
    for (size_t i = 0; i < N_REQUESTS && status == UPG_OK; i++)
        status = submit(scheduler, model, i, &answers[i], err);
    if (status == UPG_OK) {
        upg_scheduler_drain(scheduler, 100);
        status = outcome(answers, err);
    }
    upg_scheduler_free(scheduler);
    upg_model_free(model);
    return status;
}

int main(int argc, char **argv)
{
    static struct answer answers[N_REQUESTS];
    upg_error err = {0};
    const upg_status status = argc == 2 ? run(argv[1], answers, &err) : UPG_ERR_ARGUMENT;

    if (status != UPG_OK) {
        fprintf(stderr, "upg: %s\n", err.message);
        return status == UPG_ERR_MEMORY ? 4 : status == UPG_ERR_IO ? 1 : 3;
    }
    for (size_t i = 0; i < N_REQUESTS; i++)
        printf("%zu: %.*s %.6f\n", i, (int)answers[i].n, answers[i].text, answers[i].norm);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "upg: standard output: cannot be written\n");
        return 1;
    }
    return 0;
}
