/* task.c -- a request's life: checked, copied, started, drawn for, told. */
#include "engine/task.h"

#include "base/size.h"
#include "engine/logprobs.h"
#include "engine/options.h"

#include <stdlib.h>
#include <string.h>

void upg_request_defaults(upg_request *request)
{
    *request = (upg_request){.size = sizeof *request};
    upg_sampling_defaults(&request->sampling);
}

/* Tokens that the answer will certainly be allowed to have. */
static size_t answer_room(const upg_request *r)
{
    if (r->kind != UPG_REQUEST_GENERATE)
        return 0;
    return r->max_tokens > 0 ? r->max_tokens : 1;
}

static upg_status check_prompt(const upg_request *r, const struct upg_model *model, size_t context,
                               upg_error *err)
{
    const size_t n_vocab = model->config.n_vocab, n_answer = answer_room(r);

    if (!r->ids || r->n_ids == 0)
        return upg_fail(err, UPG_ERR_ARGUMENT, "ids: the prompt has no tokens");
    if (r->n_ids > context || n_answer > context - r->n_ids) {
        if (n_answer != 1)
            return upg_fail(err, UPG_ERR_CONTEXT,
                            "context: %zu tokens of the prompt and %zu of the answer are more than "
                            "%zu; shorten the prompt or lower max_tokens",
                            r->n_ids, n_answer, context);
        return upg_fail(err, UPG_ERR_CONTEXT,
                        "context: %zu tokens of the prompt leave no room for an answer in %zu; "
                        "shorten the prompt",
                        r->n_ids, context);
    }
    for (size_t i = 0; i < r->n_ids; i++)
        if (r->ids[i] < 0 || (size_t)r->ids[i] >= n_vocab)
            return upg_fail(err, UPG_ERR_ARGUMENT,
                            "ids: token %zu is id %d, the vocabulary has 0 .. %zu", i, r->ids[i],
                            n_vocab - 1);
    return UPG_OK;
}

static upg_status check_request(const upg_request *r, const struct upg_model *model, size_t context,
                                upg_error *err)
{
    const struct upg_stop_text stop = {.stop = r->stop, .n_stop = r->n_stop};
    upg_status status = check_prompt(r, model, context, err);

    if (status == UPG_OK && !r->on_event)
        status = upg_fail(err, UPG_ERR_ARGUMENT, "on_event: is NULL");
    if (status == UPG_OK && (r->kind < UPG_REQUEST_GENERATE || r->kind > UPG_REQUEST_EMBED_LAST))
        status = upg_fail(err, UPG_ERR_ARGUMENT, "kind: %d is none", (int)r->kind);
    if (status == UPG_OK && r->n_top_logprobs > UPG_MAX_TOP_LOGPROBS)
        status = upg_fail(err, UPG_ERR_ARGUMENT, "n_top_logprobs: %zu is more than %d",
                          r->n_top_logprobs, UPG_MAX_TOP_LOGPROBS);
    if (status == UPG_OK && r->n_top_logprobs > 0 && !r->logprobs)
        status = upg_fail(err, UPG_ERR_ARGUMENT, "n_top_logprobs: needs logprobs");
    if (status == UPG_OK && r->n_top_logprobs > model->config.n_vocab)
        status = upg_fail(err, UPG_ERR_ARGUMENT, "n_top_logprobs: the vocabulary has %zu tokens",
                          model->config.n_vocab);
    if (status == UPG_OK)
        status = upg_sampling_check(&r->sampling, model->config.n_vocab, err);
    if (status == UPG_OK)
        status = upg_answer_check_stop(model, &stop, err);
    return status;
}

/* Copy the stop strings and biases of r into one block of memory. */
static upg_status copy_arrays(upg_request *r, void **memory, upg_error *err)
{
    const size_t bias_bytes = r->sampling.n_logit_bias * sizeof *r->sampling.logit_bias;
    const size_t pointer_bytes = r->n_stop * sizeof *r->stop;
    size_t n_bytes = pointer_bytes + bias_bytes;
    const char **pointers;
    char *text;

    for (size_t i = 0; i < r->n_stop; i++)
        n_bytes += strlen(r->stop[i]) + 1;
    *memory = malloc(n_bytes + 1);
    if (!*memory)
        return upg_fail_memory(err, "a request", n_bytes);
    pointers = *memory;
    if (bias_bytes > 0)
        memcpy((char *)*memory + pointer_bytes, r->sampling.logit_bias, bias_bytes);
    r->sampling.logit_bias = (const void *)((char *)*memory + pointer_bytes);
    text = (char *)*memory + pointer_bytes + bias_bytes;
    for (size_t i = 0; i < r->n_stop; i++) {
        const size_t n = strlen(r->stop[i]) + 1;

        pointers[i] = memcpy(text, r->stop[i], n);
        text += n;
    }
    r->stop = pointers;
    return UPG_OK;
}

upg_status upg_task_new(struct upg_task **task, upg_engine *engine, const upg_request *request,
                        size_t context, upg_error *err)
{
    const struct upg_model *model = engine->model;
    struct upg_task *t;
    upg_request r;
    upg_status status;

    upg_request_defaults(&r);
    status = upg_options_read(&r, sizeof r, request, "upg_request_defaults", err);
    if (status == UPG_OK)
        status = check_request(&r, model, context, err);
    if (status == UPG_OK && r.kind != UPG_REQUEST_GENERATE && engine->gpu)
        status = upg_fail(err, UPG_ERR_UNSUPPORTED,
                          "kind: embeddings are made on the CPU; use device \"cpu\"");
    if (status != UPG_OK)
        return status;
    t = calloc(1, sizeof *t);
    if (!t)
        return upg_fail_memory(err, "a request", sizeof *t);
    t->request = r;
    t->p_draft = 0.5;
    t->request.filter = (upg_token_filter){0};
    status = copy_arrays(&t->request, &t->copies, err);
    if (status == UPG_OK)
        status = upg_sequence_new(&t->sequence, engine, err);
    if (status != UPG_OK) {
        upg_task_free(t);
        return status;
    }
    for (size_t i = 0; i < r.n_ids; i++)
        upg_sequence_push(t->sequence, r.ids[i]);
    t->request.ids = NULL;
    t->request.filter = r.filter;
    t->usage.n_prompt_tokens = r.n_ids;
    *task = t;
    return UPG_OK;
}

void upg_task_free(struct upg_task *task)
{
    if (!task)
        return;
    upg_sequence_free(task->sequence);
    if (task->request.filter.free)
        task->request.filter.free(task->request.filter.context);
    upg_answer_clear(&task->answer);
    free(task->copies);
    free(task->pooled);
    free(task->top);
    free(task);
}

upg_status upg_task_start(struct upg_task *t, upg_error *err)
{
    const struct upg_model *model = t->sequence->engine->model;
    const upg_request *r = &t->request;
    upg_generate_options options;

    if (!upg_task_generates(t)) {
        t->pooled = calloc(model->config.d_model, sizeof *t->pooled);
        return t->pooled ? UPG_OK
                         : upg_fail_memory(err, "an embedding",
                                           model->config.d_model * sizeof *t->pooled);
    }
    if (r->n_top_logprobs > 0) {
        t->top = calloc((1 + UPG_MAX_DRAFT) * r->n_top_logprobs, sizeof *t->top);
        if (!t->top)
            return upg_fail_memory(err, "the most probable tokens", sizeof *t->top);
    }
    upg_generate_options_defaults(&options);
    options.sampling = r->sampling;
    options.max_tokens = r->max_tokens;
    options.stop = r->stop;
    options.n_stop = r->n_stop;
    options.ignore_stop_ids = r->ignore_stop_ids;
    return upg_answer_init(&t->answer, model, &options, t->sequence->ids, t->sequence->n_tokens,
                           err);
}

/* The tokens that may come next; *any is false if there are none. */
static upg_status ask_filter(struct upg_task *t, struct upg_draw *d, bool *any, upg_error *err)
{
    const upg_token_filter *filter = &t->request.filter;
    size_t n_left = d->context - t->usage.n_prompt_tokens;
    upg_status status;

    if (t->request.max_tokens > 0)
        n_left = t->request.max_tokens;
    status = filter->mask(filter->context, n_left - t->answer.ids.n, d->allowed, d->n_words, err);
    *any = false;
    for (size_t i = 0; status == UPG_OK && i < d->n_words; i++) {
        d->allowed[i] &= d->tokens[i];
        *any = *any || d->allowed[i] != 0;
    }
    return status;
}

static bool allows_only_stop_ids(const struct upg_task *t, const struct upg_draw *d)
{
    for (size_t w = 0; w < d->n_words; w++)
        for (uint32_t left = d->allowed[w]; left != 0; left &= left - 1)
            if (!upg_answer_is_stop_id(&t->answer, (int32_t)w * 32 + __builtin_ctz(left)))
                return false;
    return true;
}

/* All tokens are used up.  An answer whose form is complete was not cut, even so. */
static upg_status end_at_limit(struct upg_task *t, struct upg_draw *d, upg_error *err)
{
    upg_status status = UPG_OK;
    bool any;

    t->answer.finished = true;
    t->answer.finish = UPG_FINISH_LENGTH;
    if (t->request.filter.mask)
        status = ask_filter(t, d, &any, err);
    if (status == UPG_OK && t->request.filter.mask && allows_only_stop_ids(t, d))
        t->answer.finish = UPG_FINISH_STOP;
    return status;
}

/* Draw one token from logits[n_vocab] and take it into the answer. */
static upg_status draw_token(struct upg_task *t, struct upg_draw *d, const float *logits,
                             int32_t *id, upg_error *err)
{
    const upg_request *r = &t->request;
    const upg_token_filter *filter = &r->filter;
    const size_t n_before = t->answer.ids.n;
    upg_event_token *token = &t->tokens[t->n_tokens];
    upg_status status = UPG_OK;
    bool any = true;

    if (filter->mask)
        status = ask_filter(t, d, &any, err);
    if (status == UPG_OK && !any)
        return upg_answer_end(&t->answer, UPG_FINISH_STOP, err);
    if (status == UPG_OK)
        status = upg_sampler_draw(t->answer.sampler, logits, filter->mask ? d->allowed : d->tokens,
                                  &d->space, id, err);
    if (status == UPG_OK && filter->mask && filter->accept)
        status = filter->accept(filter->context, *id, err);
    if (status == UPG_OK)
        status = upg_answer_take(&t->answer, *id, err);
    if (status != UPG_OK || t->answer.ids.n == n_before)
        return status;
    *token = (upg_event_token){.id = *id, .n_top = r->n_top_logprobs};
    if (r->n_top_logprobs > 0)
        token->top = t->top + t->n_tokens * r->n_top_logprobs;
    if (r->logprobs)
        upg_logprobs(logits, t->sequence->engine->model->config.n_vocab, *id, &token->logprob,
                     t->top ? t->top + t->n_tokens * r->n_top_logprobs : NULL, token->n_top);
    t->n_tokens++;
    return UPG_OK;
}

upg_status upg_task_draw(struct upg_task *t, struct upg_draw *d, const float *logits,
                         upg_error *err)
{
    upg_sequence *s = t->sequence;
    const size_t n_vocab = s->engine->model->config.n_vocab;
    size_t n_draft = t->n_draft;            /* tokens that may still be right */
    size_t n_right = s->n_tokens - n_draft; /* tokens of the sequence that are right */
    upg_status status = UPG_OK;

    for (size_t i = 0; status == UPG_OK && !t->answer.finished && i <= n_draft; i++) {
        int32_t id;

        status = draw_token(t, d, logits + i * n_vocab, &id, err);
        if (status != UPG_OK || t->answer.finished)
            break;
        if (i < t->n_guesses)
            t->p_draft += ((t->guesses[i] == id) - t->p_draft) / 8;
        if (i < n_draft && s->ids[n_right] == id) {
            t->usage.n_accepted++;
        } else { /* the rest of the draft goes */
            status = upg_sequence_truncate(s, n_right, err);
            if (status == UPG_OK)
                upg_sequence_push(s, id);
            n_draft = 0;
        }
        n_right++;
    }
    t->usage.n_drafted += t->n_draft;
    t->usage.n_tokens = t->answer.ids.n;
    t->n_draft = 0;
    if (status == UPG_OK && t->answer.finished)
        status = upg_sequence_truncate(s, n_right, err);
    if (status == UPG_OK &&
        (t->answer.finished ? t->answer.finish == UPG_FINISH_LENGTH : s->n_tokens == d->context))
        status = end_at_limit(t, d, err);
    if (status == UPG_OK && t->answer.finished)
        status = upg_answer_end(&t->answer, UPG_FINISH_LENGTH, err);
    return status;
}

bool upg_task_tell_tokens(struct upg_task *t)
{
    const upg_event event = {.type = UPG_EVENT_TOKENS,
                             .number = t->number,
                             .text = t->answer.text.bytes,
                             .n_text_bytes = t->answer.text.n,
                             .tokens = t->tokens,
                             .n_tokens = t->n_tokens,
                             .message = "",
                             .usage = t->usage};
    bool goes_on = true;

    if (t->n_tokens > 0 || t->answer.text.n > 0)
        goes_on = t->request.on_event(t->request.on_event_context, &event) == 0;
    t->n_tokens = 0;
    t->answer.text.n = 0;
    return goes_on;
}

void upg_task_tell_finish(struct upg_task *t, upg_finish finish, const upg_error *err,
                          const float *embedding, size_t n_embedding)
{
    const upg_event event = {.type = UPG_EVENT_FINISH,
                             .number = t->number,
                             .status = err ? err->status : UPG_OK,
                             .message = err ? err->message : "",
                             .finish = err ? UPG_FINISH_FAILED : finish,
                             .stop = t->answer.stop_string,
                             .embedding = embedding,
                             .n_embedding = n_embedding,
                             .usage = t->usage};

    t->request.on_event(t->request.on_event_context, &event);
}
