/* chat.c -- answers of /v1/chat/completions. */
#include "server/chat.h"

#include "server/logprobs.h"
#include "server/sse.h"
#include "server/state.h"
#include "server/usage.h"

/* A chunk without its usage; choices is taken. */
static json_t *chunk_json(const struct generation *generation, json_t *choices)
{
    json_t *chunk = json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", generation->id, "object",
                              "chat.completion.chunk", "created", (json_int_t)generation->created,
                              "model", generation->server->model_name, "system_fingerprint",
                              generation->server->fingerprint, "choices", choices);

    if (generation->request.include_usage)
        json_object_set_new(chunk, "usage", json_null());
    return chunk;
}

/* One choice's change.  delta and logprobs are taken; reason NULL: it goes on. */
static void write_delta(struct generation *generation, const struct choice *choice, json_t *delta,
                        json_t *logprobs, const char *reason, struct text_buffer *out)
{
    json_t *choices = json_pack("[{s:i, s:o, s:o, s:s?}]", "index", (int)choice->index, "delta",
                                delta, "logprobs", logprobs, "finish_reason", reason);

    sse_event(out, NULL, chunk_json(generation, choices));
}

static void begin(struct generation *generation, struct text_buffer *out)
{
    for (size_t i = 0; i < generation->n_choices; i++)
        write_delta(generation, &generation->choices[i],
                    json_pack("{s:s, s:s, s:n}", "role", "assistant", "content", "", "refusal"),
                    json_null(), NULL, out);
}

static void part(struct generation *generation, struct choice *choice, const struct output *output,
                 struct text_buffer *out)
{
    json_t *logprobs =
        generation->request.logprobs ? chat_logprobs(generation, output) : json_null();

    write_delta(generation, choice,
                json_pack("{s:o}", "content", text_json(output->text.bytes, output->text.n)),
                logprobs, NULL, out);
}

static void close_choice(struct generation *generation, struct choice *choice,
                         struct text_buffer *out)
{
    write_delta(generation, choice, json_object(), json_null(), finish_reason(choice), out);
}

static void end(struct generation *generation, struct text_buffer *out)
{
    if (generation->request.include_usage) {
        json_t *chunk = chunk_json(generation, json_array());
        json_object_set_new(chunk, "usage", usage_json(generation));
        json_object_set_new(chunk, "timings", timings_json(generation));
        sse_event(out, NULL, chunk);
    }
    sse_done(out);
}

static json_t *document(struct generation *generation)
{
    json_t *choices = json_array();

    for (size_t i = 0; i < generation->n_choices; i++) {
        const struct choice *choice = &generation->choices[i];
        const struct output *output = &choice->new;
        json_t *message = json_pack("{s:s, s:o, s:n}", "role", "assistant", "content",
                                    text_json(output->text.bytes, output->text.n), "refusal");

        json_array_append_new(choices, json_pack("{s:i, s:o, s:o, s:s}", "index", (int)i, "message",
                                                 message, "logprobs",
                                                 generation->request.logprobs
                                                     ? chat_logprobs(generation, output)
                                                     : json_null(),
                                                 "finish_reason", finish_reason(choice)));
    }
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o, s:o, s:o}", "id", generation->id, "object",
                     "chat.completion", "created", (json_int_t)generation->created, "model",
                     generation->server->model_name, "system_fingerprint",
                     generation->server->fingerprint, "choices", choices, "usage",
                     usage_json(generation), "timings", timings_json(generation));
}

const struct answer_format chat_format = {.id_prefix = "chatcmpl-",
                                          .kind = UPG_REQUEST_GENERATE,
                                          .begin = begin,
                                          .part = part,
                                          .close = close_choice,
                                          .end = end,
                                          .document = document};
