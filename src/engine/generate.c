/* generate.c -- from a prompt to an answer: draw, stop, detokenize, draw again. */
#include "base/buffer.h"
#include "engine/engine.h"
#include "engine/options.h"
#include "engine/sampler.h"
#include "engine/stop_text.h"

#include <stdlib.h>
#include <time.h>

void upg_generate_options_defaults(upg_generate_options *options)
{
    *options = (upg_generate_options){.size = sizeof *options};
    upg_sampling_defaults(&options->sampling);
}

void upg_generation_clear(upg_generation *generation)
{
    free(generation->text);
    upg_tokens_clear(&generation->ids);
    *generation = (upg_generation){0};
}

/* An answer in the making. */
struct generator {
    upg_sequence *sequence;
    const upg_tokenizer *tokenizer; /* NULL: the model has none, and answers are ids without text */
    upg_generate_options options;
    struct upg_sampler *sampler;
    upg_detokenizer detokenizer;
    struct upg_stop_text stop;
    struct upg_buffer pieces; /* what the detokenizer made of a token */
    struct upg_buffer text;   /* the answer so far */
    upg_tokens ids;
    bool finished, at_stop_string;
    upg_finish finish;
};

static double now_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void finish(struct generator *g, upg_finish why)
{
    if (!g->finished)
        g->finish = why;
    g->finished = true;
}

static bool is_stop_id(const struct generator *g, int32_t id)
{
    const upg_tokens *stop = &g->sequence->engine->model->stop_ids;

    for (size_t i = 0; i < stop->n && !g->options.ignore_stop_ids; i++)
        if (stop->ids[i] == id)
            return true;
    return false;
}

/* Give out the first n held bytes. */
static upg_status give_text(struct generator *g, size_t n, upg_error *err)
{
    const upg_generate_options *o = &g->options;
    upg_status status;

    if (n == 0)
        return UPG_OK;
    status = upg_buffer_append(&g->text, g->stop.held.bytes, n, err);
    if (status == UPG_OK && o->on_text && o->on_text(o->on_text_context, g->stop.held.bytes, n))
        finish(g, UPG_FINISH_CANCELLED);
    upg_stop_text_release(&g->stop, n);
    return status;
}

/* Feed the bytes of a token (NULL: the end) and give out what is decided. */
static upg_status feed_text(struct generator *g, const char *bytes, size_t n, upg_error *err)
{
    upg_status status = upg_buffer_reserve(&g->pieces, UPG_DETOKENIZE_CAPACITY(n), err);
    size_t n_free;
    bool found;

    if (status != UPG_OK)
        return status;
    n = upg_detokenize(&g->detokenizer, bytes, n, g->pieces.bytes);
    status = upg_stop_text_feed(&g->stop, g->pieces.bytes, n, &n_free, &found, err);
    if (status == UPG_OK)
        status = give_text(g, n_free, err);
    if (status == UPG_OK && found) {
        g->at_stop_string = true;
        finish(g, UPG_FINISH_STOP);
    }
    return status;
}

/* The answer has ended: what is still held cannot become a stop string any more. */
static upg_status flush_text(struct generator *g, upg_error *err)
{
    upg_status status;

    if (g->at_stop_string || g->finish == UPG_FINISH_CANCELLED)
        return UPG_OK;
    status = feed_text(g, NULL, 0, err);
    if (status == UPG_OK && !g->at_stop_string)
        status = give_text(g, g->stop.held.n, err);
    return status;
}

/* Draw one token and take it into the answer. */
static upg_status generate_token(struct generator *g, upg_error *err)
{
    int32_t id;
    const char *bytes;
    size_t n_bytes;
    upg_status status =
        upg_sampler_draw(g->sampler, upg_sequence_logits(g->sequence, NULL), &id, err);

    if (status != UPG_OK)
        return status;
    if (is_stop_id(g, id)) {
        finish(g, UPG_FINISH_STOP);
        return UPG_OK;
    }
    status = upg_tokens_append(&g->ids, &id, 1, err);
    if (status != UPG_OK)
        return status;
    upg_sampler_see_answer(g->sampler, id);
    upg_sequence_push(g->sequence, id);
    if (g->tokenizer) {
        upg_token_bytes(g->tokenizer, id, 1, &bytes, &n_bytes);
        if (n_bytes > 0)
            status = feed_text(g, bytes, n_bytes, err);
    }
    if (g->options.max_tokens > 0 && g->ids.n >= g->options.max_tokens)
        finish(g, UPG_FINISH_LENGTH);
    return status;
}

static upg_status generate_answer(struct generator *g, upg_error *err)
{
    const size_t context = g->sequence->engine->context;
    upg_status status = UPG_OK;

    while (status == UPG_OK && !g->finished) {
        if (g->sequence->n_tokens == context) {
            finish(g, UPG_FINISH_LENGTH);
            break;
        }
        status = generate_token(g, err);
        if (status == UPG_OK && !g->finished && g->sequence->n_tokens < context)
            status = upg_sequence_compute(g->sequence, 1, NULL, NULL, err);
    }
    if (status == UPG_OK)
        status = flush_text(g, err);
    return status;
}

/* Ids without a token have rows in the head, with logits that mean nothing. */
static void ban_ids_without_token(struct generator *g)
{
    const size_t n_vocab = g->sequence->engine->model->config.n_vocab;

    for (size_t id = 0; id < n_vocab && g->tokenizer; id++) {
        const char *bytes;
        size_t n_bytes;

        upg_token_bytes(g->tokenizer, (int32_t)id, 0, &bytes, &n_bytes);
        if (n_bytes == 0)
            upg_sampler_ban(g->sampler, (int32_t)id);
    }
}

static upg_status prepare(struct generator *g, const int32_t *prompt, size_t n_prompt,
                          upg_error *err)
{
    upg_status status = upg_stop_text_check(&g->stop, err);

    if (status == UPG_OK && g->stop.n_stop > 0 && !g->tokenizer)
        status = upg_fail(err, UPG_ERR_ARGUMENT, "stop: %s has no tokenizer to find strings with",
                          g->sequence->engine->model->path);
    if (status == UPG_OK)
        status = upg_sampler_new(&g->sampler, &g->options.sampling,
                                 g->sequence->engine->model->config.n_vocab, err);
    if (status != UPG_OK)
        return status;
    if (n_prompt > 0)
        status = upg_sequence_append(g->sequence, prompt, n_prompt, 1, g->options.progress,
                                     g->options.progress_context, err);
    else if (g->sequence->n_tokens > 0)
        status = upg_sequence_compute(g->sequence, 1, g->options.progress,
                                      g->options.progress_context, err);
    else
        status = upg_fail(err, UPG_ERR_ARGUMENT,
                          "generate: the prompt has no tokens and the sequence is empty");
    if (status != UPG_OK)
        return status;
    ban_ids_without_token(g);
    for (size_t i = 0; i < g->sequence->n_tokens; i++)
        upg_sampler_see_prompt(g->sampler, g->sequence->ids[i]);
    return UPG_OK;
}

upg_status upg_generate(upg_sequence *sequence, const int32_t *prompt, size_t n_prompt,
                        const upg_generate_options *options, upg_generation *generation,
                        upg_error *err)
{
    struct generator g = {.sequence = sequence, .tokenizer = sequence->engine->model->tokenizer};
    const double start = now_seconds();
    double answer_start;
    upg_status status;

    upg_generate_options_defaults(&g.options);
    status = upg_options_read(&g.options, sizeof g.options, options,
                              "upg_generate_options_defaults", err);
    if (status != UPG_OK)
        return status;
    g.stop = (struct upg_stop_text){.stop = g.options.stop, .n_stop = g.options.n_stop};
    status = upg_buffer_append(&g.text, "", 0, err); /* an empty answer is a string as well */
    if (status == UPG_OK)
        status = prepare(&g, prompt, n_prompt, err);
    answer_start = now_seconds();
    if (status == UPG_OK)
        status = generate_answer(&g, err);

    *generation = (upg_generation){.text = g.text.bytes,
                                   .n_text_bytes = g.text.n,
                                   .ids = g.ids,
                                   .finish = g.finish,
                                   .n_prompt_tokens = n_prompt,
                                   .prompt_seconds = answer_start - start,
                                   .generation_seconds = now_seconds() - answer_start};
    upg_sampler_free(g.sampler);
    upg_stop_text_clear(&g.stop);
    upg_buffer_clear(&g.pieces);
    return status;
}
