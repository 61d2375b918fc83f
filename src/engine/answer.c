/* answer.c -- see answer.h. */
#include "engine/answer.h"

#include <string.h>

upg_status upg_answer_check_stop(const struct upg_model *model, const struct upg_stop_text *stop,
                                 upg_error *err)
{
    if (stop->n_stop > 0 && !model->tokenizer)
        return upg_fail(err, UPG_ERR_ARGUMENT, "stop: %s has no tokenizer to find strings with",
                        model->path);
    return upg_stop_text_check(stop, err);
}

upg_status upg_answer_init(struct upg_answer *answer, const struct upg_model *model,
                           const upg_generate_options *options, const int32_t *ids, size_t n_ids,
                           upg_error *err)
{
    upg_status status;

    *answer = (struct upg_answer){.model = model,
                                  .max_tokens = options->max_tokens,
                                  .ignore_stop_ids = options->ignore_stop_ids != 0,
                                  .stop = {.stop = options->stop, .n_stop = options->n_stop}};
    status = upg_answer_check_stop(model, &answer->stop, err);
    if (status == UPG_OK)
        status = upg_sampler_new(&answer->sampler, &options->sampling, model->config.n_vocab, err);
    for (size_t i = 0; status == UPG_OK && i < n_ids; i++)
        upg_sampler_see_prompt(answer->sampler, ids[i]);
    return status;
}

void upg_answer_clear(struct upg_answer *answer)
{
    upg_sampler_free(answer->sampler);
    upg_stop_text_clear(&answer->stop);
    upg_buffer_clear(&answer->pieces);
    upg_buffer_clear(&answer->text);
    upg_tokens_clear(&answer->ids);
}

static void finish(struct upg_answer *answer, upg_finish why)
{
    if (!answer->finished)
        answer->finish = why;
    answer->finished = true;
}

bool upg_answer_is_stop_id(const struct upg_answer *answer, int32_t id)
{
    const upg_tokens *stop = &answer->model->stop_ids;

    for (size_t i = 0; i < stop->n && !answer->ignore_stop_ids; i++)
        if (stop->ids[i] == id)
            return true;
    return false;
}

/* The first n held bytes are decided. */
static upg_status release_text(struct upg_answer *answer, size_t n, upg_error *err)
{
    upg_status status;

    if (n == 0)
        return UPG_OK;
    status = upg_buffer_append(&answer->text, answer->stop.held.bytes, n, err);
    if (status == UPG_OK)
        upg_stop_text_release(&answer->stop, n);
    return status;
}

/* Feed the bytes of a token (NULL: the end). */
static upg_status feed_text(struct upg_answer *answer, const char *bytes, size_t n, upg_error *err)
{
    upg_status status = upg_buffer_reserve(&answer->pieces, UPG_DETOKENIZE_CAPACITY(n), err);
    size_t n_free;

    if (status != UPG_OK)
        return status;
    n = upg_detokenize(&answer->detokenizer, bytes, n, answer->pieces.bytes);
    status = upg_stop_text_feed(&answer->stop, answer->pieces.bytes, n, &n_free,
                                &answer->stop_string, err);
    if (status == UPG_OK)
        status = release_text(answer, n_free, err);
    if (status == UPG_OK && answer->stop_string)
        finish(answer, UPG_FINISH_STOP);
    return status;
}

upg_status upg_answer_take(struct upg_answer *answer, int32_t id, upg_error *err)
{
    const upg_tokenizer *tokenizer = answer->model->tokenizer;
    upg_status status;

    if (upg_answer_is_stop_id(answer, id)) {
        finish(answer, UPG_FINISH_STOP);
        return UPG_OK;
    }
    status = upg_tokens_append(&answer->ids, &id, 1, err);
    if (status != UPG_OK)
        return status;
    upg_sampler_see_answer(answer->sampler, id);
    if (tokenizer) {
        const char *bytes;
        size_t n_bytes;

        upg_token_bytes(tokenizer, id, 1, &bytes, &n_bytes);
        if (n_bytes > 0)
            status = feed_text(answer, bytes, n_bytes, err);
    }
    if (answer->max_tokens > 0 && answer->ids.n >= answer->max_tokens)
        finish(answer, UPG_FINISH_LENGTH);
    return status;
}

upg_status upg_answer_end(struct upg_answer *answer, upg_finish why, upg_error *err)
{
    upg_status status;

    finish(answer, why);
    if (answer->stop_string || answer->finish == UPG_FINISH_CANCELLED)
        return UPG_OK;
    status = feed_text(answer, NULL, 0, err);
    if (status == UPG_OK && !answer->stop_string)
        status = release_text(answer, answer->stop.held.n, err);
    return status;
}

void upg_answer_allow_tokens(const struct upg_model *model, uint32_t *allowed)
{
    const size_t n_vocab = model->config.n_vocab;

    memset(allowed, 0, (n_vocab + 31) / 32 * sizeof *allowed);
    for (size_t id = 0; id < n_vocab; id++) {
        const char *bytes;
        size_t n_bytes = 1;

        if (model->tokenizer)
            upg_token_bytes(model->tokenizer, (int32_t)id, 0, &bytes, &n_bytes);
        if (n_bytes > 0)
            allowed[id / 32] |= 1u << id % 32;
    }
}
