/* generate.c -- from a prompt to an answer: draw, stop, detokenize, draw again. */
#include "engine/answer.h"
#include "engine/clock.h"
#include "engine/engine.h"
#include "engine/options.h"

#include <stdlib.h>

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

/* A run of upg_generate(). */
struct generator {
    upg_sequence *sequence;
    upg_generate_options options;
    struct upg_answer answer;
    struct upg_draw_space space;
    uint32_t *allowed; /* [n_words] ids that have a token, or that the constraint allows */
    size_t n_words;
    struct upg_buffer text; /* given out so far */
};

/* Give out the text that is decided; *cancelled becomes 1 if its receiver wants no more. */
static upg_status give_text(struct generator *g, bool *cancelled, upg_error *err)
{
    const upg_generate_options *o = &g->options;
    struct upg_buffer *decided = &g->answer.text;
    upg_status status;

    if (decided->n == 0)
        return UPG_OK;
    status = upg_buffer_append(&g->text, decided->bytes, decided->n, err);
    if (status == UPG_OK && o->on_text)
        *cancelled = o->on_text(o->on_text_context, decided->bytes, decided->n) != 0;
    decided->n = 0;
    return status;
}

/* Let the constraint follow the token; an answer to which nothing can be added is finished, and not
 * cut, even if it has just used up its tokens. */
static upg_status follow_constraint(struct generator *g, int32_t id, upg_error *err)
{
    upg_constraint *constraint = g->options.constraint;
    const upg_status status = upg_constraint_accept(constraint, id, err);

    if (status == UPG_OK && upg_constraint_at_end(constraint) == 2) {
        g->answer.finished = true;
        g->answer.finish = UPG_FINISH_STOP;
    }
    return status;
}

/* Tokens that the answer may still have; at least one. */
static size_t tokens_left(const struct generator *g)
{
    const size_t in_context = g->sequence->engine->context - g->sequence->n_tokens;
    const size_t in_answer = g->options.max_tokens - g->answer.ids.n;

    return g->options.max_tokens > 0 && in_answer < in_context ? in_answer : in_context;
}

/* Draw one token and take it into the answer. */
static upg_status generate_token(struct generator *g, upg_error *err)
{
    const float *logits = upg_sequence_logits(g->sequence, NULL);
    const size_t n_before = g->answer.ids.n;
    bool cancelled = false;
    int32_t id;
    upg_status status = UPG_OK;

    if (g->options.constraint)
        status = upg_constraint_mask_within(g->options.constraint, tokens_left(g), g->allowed,
                                            g->n_words, err);
    if (status == UPG_OK)
        status = upg_sampler_draw(g->answer.sampler, logits, g->allowed, &g->space, &id, err);
    if (status == UPG_OK)
        status = upg_answer_take(&g->answer, id, err);
    if (status == UPG_OK && g->options.constraint)
        status = follow_constraint(g, id, err);
    if (g->answer.ids.n > n_before)
        upg_sequence_push(g->sequence, id);
    if (status == UPG_OK)
        status = give_text(g, &cancelled, err);
    if (cancelled) {
        g->answer.finished = true;
        g->answer.finish = UPG_FINISH_CANCELLED;
    }
    return status;
}

static upg_status generate_answer(struct generator *g, upg_error *err)
{
    const size_t context = g->sequence->engine->context;
    upg_status status = UPG_OK;
    bool cancelled;

    while (status == UPG_OK && !g->answer.finished && g->sequence->n_tokens < context) {
        status = generate_token(g, err);
        if (status == UPG_OK && !g->answer.finished && g->sequence->n_tokens < context)
            status = upg_sequence_compute(g->sequence, 1, NULL, NULL, err);
    }
    if (status == UPG_OK)
        status = upg_answer_end(&g->answer, UPG_FINISH_LENGTH, err);
    if (status == UPG_OK)
        status = give_text(g, &cancelled, err);
    return status;
}

/* The prompt through the model, up to the logits of the first token. */
static upg_status compute_prompt(struct generator *g, const int32_t *prompt, size_t n_prompt,
                                 upg_error *err)
{
    const upg_generate_options *o = &g->options;

    if (n_prompt > 0)
        return upg_sequence_append(g->sequence, prompt, n_prompt, 1, o->progress,
                                   o->progress_context, err);
    if (g->sequence->n_tokens > 0)
        return upg_sequence_compute(g->sequence, 1, o->progress, o->progress_context, err);
    return upg_fail(err, UPG_ERR_ARGUMENT,
                    "generate: the prompt has no tokens and the sequence is empty");
}

static upg_status prepare(struct generator *g, const int32_t *prompt, size_t n_prompt,
                          upg_error *err)
{
    const struct upg_model *model = g->sequence->engine->model;
    upg_status status = upg_answer_init(&g->answer, model, &g->options, NULL, 0, err);

    if (status != UPG_OK)
        return status;
    g->n_words = (model->config.n_vocab + 31) / 32;
    g->allowed = malloc(g->n_words * sizeof *g->allowed);
    if (!g->allowed)
        return upg_fail_memory(err, "the set of tokens", g->n_words * sizeof *g->allowed);
    status = compute_prompt(g, prompt, n_prompt, err);
    if (status != UPG_OK)
        return status;
    upg_answer_allow_tokens(model, g->allowed);
    for (size_t i = 0; i < g->sequence->n_tokens; i++)
        upg_sampler_see_prompt(g->answer.sampler, g->sequence->ids[i]);
    return UPG_OK;
}

upg_status upg_generate(upg_sequence *sequence, const int32_t *prompt, size_t n_prompt,
                        const upg_generate_options *options, upg_generation *generation,
                        upg_error *err)
{
    struct generator g = {.sequence = sequence};
    const double start = upg_now_seconds();
    double answer_start;
    upg_status status;

    upg_generate_options_defaults(&g.options);
    status = upg_options_read(&g.options, sizeof g.options, options,
                              "upg_generate_options_defaults", err);
    if (status != UPG_OK)
        return status;
    status = upg_buffer_append(&g.text, "", 0, err); /* an empty answer is a string as well */
    if (status == UPG_OK)
        status = prepare(&g, prompt, n_prompt, err);
    answer_start = upg_now_seconds();
    if (status == UPG_OK)
        status = generate_answer(&g, err);

    *generation = (upg_generation){.text = g.text.bytes,
                                   .n_text_bytes = g.text.n,
                                   .ids = g.answer.ids,
                                   .finish = g.answer.finish,
                                   .n_prompt_tokens = n_prompt,
                                   .prompt_seconds = answer_start - start,
                                   .generation_seconds = upg_now_seconds() - answer_start};
    g.answer.ids = (upg_tokens){0};
    upg_answer_clear(&g.answer);
    upg_draw_space_clear(&g.space);
    free(g.allowed);
    return status;
}
