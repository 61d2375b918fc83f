/* completions.c -- answers of /v1/completions: text that goes on. */
#include "server/chat.h"

#include "server/logprobs.h"
#include "server/sse.h"
#include "server/state.h"
#include "server/usage.h"

static json_t *head_json(const struct generation *generation, json_t *choices)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", generation->id, "object",
                     "text_completion", "created", (json_int_t)generation->created, "model",
                     generation->server->model_name, "system_fingerprint",
                     generation->server->fingerprint, "choices", choices);
}

static json_t *choice_json(const struct choice *choice, json_t *text, json_t *logprobs,
                           const char *reason)
{
    return json_pack("{s:i, s:o, s:o, s:s?}", "index", (int)choice->index, "text", text, "logprobs",
                     logprobs, "finish_reason", reason);
}

static void write_choice(struct generation *generation, const struct choice *choice, json_t *text,
                         json_t *logprobs, const char *reason, struct text_buffer *out)
{
    json_t *chunk =
        head_json(generation, json_pack("[o]", choice_json(choice, text, logprobs, reason)));

    if (generation->request.include_usage)
        json_object_set_new(chunk, "usage", json_null());
    sse_event(out, NULL, chunk);
}

/* The text of a prompt, for echo. */
static void add_prompt(const struct generation *generation, const struct choice *choice,
                       struct text_buffer *text)
{
    const struct prompt *prompt = &generation->request.prompts[choice->prompt];

    if (prompt->text)
        text_buffer_add(text, prompt->text, prompt->n_text_bytes);
    for (size_t i = 0; i < prompt->ids.n; i++) {
        size_t n;
        const char *bytes = token_bytes(generation, prompt->ids.ids[i], &n);
        text_buffer_add(text, bytes, n);
    }
}

static void begin(struct generation *generation, struct text_buffer *out)
{
    for (size_t i = 0; generation->request.echo && i < generation->n_choices; i++) {
        struct text_buffer text = {0};
        add_prompt(generation, &generation->choices[i], &text);
        write_choice(generation, &generation->choices[i], text_json(text.bytes, text.n),
                     json_null(), NULL, out);
        out->failed |= text.failed;
        text_buffer_clear(&text);
    }
}

static json_t *logprobs_json(const struct generation *generation, struct choice *choice,
                             const struct output *output)
{
    return generation->request.logprobs
               ? completion_logprobs(generation, output, &choice->n_characters)
               : json_null();
}

static void part(struct generation *generation, struct choice *choice, const struct output *output,
                 struct text_buffer *out)
{
    write_choice(generation, choice, text_json(output->text.bytes, output->text.n),
                 logprobs_json(generation, choice, output), NULL, out);
}

static void close_choice(struct generation *generation, struct choice *choice,
                         struct text_buffer *out)
{
    write_choice(generation, choice, json_string(""), json_null(), finish_reason(choice), out);
}

static void end(struct generation *generation, struct text_buffer *out)
{
    if (generation->request.include_usage) {
        json_t *chunk = head_json(generation, json_array());
        json_object_set_new(chunk, "usage", usage_json(generation));
        json_object_set_new(chunk, "timings", timings_json(generation));
        sse_event(out, NULL, chunk);
    }
    sse_done(out);
}

static json_t *document(struct generation *generation)
{
    json_t *choices = json_array(), *reply;

    for (size_t i = 0; i < generation->n_choices; i++) {
        struct choice *choice = &generation->choices[i];
        struct text_buffer text = {0};

        if (generation->request.echo)
            add_prompt(generation, choice, &text);
        text_buffer_add(&text, choice->new.text.bytes, choice->new.text.n);
        json_array_append_new(
            choices,
            choice_json(choice, text.failed ? NULL : text_json(text.bytes, text.n),
                        logprobs_json(generation, choice, &choice->new), finish_reason(choice)));
        text_buffer_clear(&text);
    }
    reply = head_json(generation, choices);
    json_object_set_new(reply, "usage", usage_json(generation));
    json_object_set_new(reply, "timings", timings_json(generation));
    return reply;
}

const struct answer_format completion_format = {.id_prefix = "cmpl-",
                                                .kind = UPG_REQUEST_GENERATE,
                                                .begin = begin,
                                                .part = part,
                                                .close = close_choice,
                                                .end = end,
                                                .document = document};
