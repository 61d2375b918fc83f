/* chat.c -- answers of /v1/chat/completions. */
#include "server/chat.h"

#include "server/logprobs.h"
#include "server/random_id.h"
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

/* What the splitter writes to. */
struct writing {
    struct generation *generation;
    struct choice *choice;
    json_t *logprobs; /* of the part; goes out with its first delta; NULL: it has */
    struct text_buffer *out;
};

static json_t *call_delta(const struct choice *choice, enum segment_kind kind, const char *bytes,
                          size_t n)
{
    const int index = (int)choice->calls.n_calls - (kind == SEGMENT_CALL ? 0 : 1);
    char id[40];

    if (kind == SEGMENT_ARGUMENTS)
        return json_pack("{s:[{s:i, s:{s:o}}]}", "tool_calls", "index", index, "function",
                         "arguments", text_json(bytes, n));
    random_id(id, sizeof id, "call_");
    return json_pack("{s:[{s:i, s:s, s:s, s:{s:o, s:s}}]}", "tool_calls", "index", index, "id", id,
                     "type", "function", "function", "name", text_json(bytes, n), "arguments", "");
}

static void write_segment(void *context, enum segment_kind kind, const char *bytes, size_t n)
{
    struct writing *writing = context;
    json_t *delta;

    if (kind == SEGMENT_CALL_END)
        return;
    if (kind == SEGMENT_TEXT)
        delta = json_pack("{s:o}", "content", text_json(bytes, n));
    else if (kind == SEGMENT_REASONING)
        delta = json_pack("{s:o}", "reasoning_content", text_json(bytes, n));
    else
        delta = call_delta(writing->choice, kind, bytes, n);
    write_delta(writing->generation, writing->choice, delta,
                writing->logprobs ? writing->logprobs : json_null(), NULL, writing->out);
    writing->logprobs = NULL;
}

static void part(struct generation *generation, struct choice *choice, const struct output *output,
                 struct text_buffer *out)
{
    struct writing writing = {generation, choice, NULL, out};

    if (generation->request.logprobs)
        writing.logprobs = chat_logprobs(generation, output);
    thought_splitter_feed(&choice->thoughts, &choice->calls, output->text.bytes, output->text.n,
                          write_segment, &writing);
    if (writing.logprobs) /* the text is held back, its tokens are not */
        write_delta(generation, choice, json_object(), writing.logprobs, NULL, out);
    out->failed |= choice->calls.held.failed || choice->thoughts.held.failed;
}

static void close_choice(struct generation *generation, struct choice *choice,
                         struct text_buffer *out)
{
    struct writing writing = {generation, choice, NULL, out};

    thought_splitter_end(&choice->thoughts, &choice->calls, write_segment, &writing);
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

/* A whole answer. */
struct collecting {
    struct text_buffer reasoning, text, arguments; /* arguments: of the last call */
    json_t *calls;
};

static void collect_segment(void *context, enum segment_kind kind, const char *bytes, size_t n)
{
    struct collecting *collecting = context;
    json_t *call;
    char id[40];

    if (kind == SEGMENT_TEXT) {
        text_buffer_add(&collecting->text, bytes, n);
    } else if (kind == SEGMENT_REASONING) {
        text_buffer_add(&collecting->reasoning, bytes, n);
    } else if (kind == SEGMENT_CALL) {
        random_id(id, sizeof id, "call_");
        call = json_pack("{s:s, s:s, s:{s:o}}", "id", id, "type", "function", "function", "name",
                         text_json(bytes, n));
        json_array_append_new(collecting->calls, call);
        text_buffer_empty(&collecting->arguments);
    } else if (kind == SEGMENT_ARGUMENTS) {
        text_buffer_add(&collecting->arguments, bytes, n);
        call = json_array_get(collecting->calls, json_array_size(collecting->calls) - 1);
        json_object_set_new(json_object_get(call, "function"), "arguments",
                            text_json(collecting->arguments.bytes, collecting->arguments.n));
    }
}

static json_t *message_json(struct choice *choice)
{
    struct collecting collecting = {.calls = json_array()};
    json_t *message = NULL;

    thought_splitter_feed(&choice->thoughts, &choice->calls, choice->new.text.bytes,
                          choice->new.text.n, collect_segment, &collecting);
    thought_splitter_end(&choice->thoughts, &choice->calls, collect_segment, &collecting);
    if (!collecting.text.failed && !collecting.arguments.failed && !collecting.reasoning.failed &&
        !choice->calls.held.failed && !choice->thoughts.held.failed)
        message = json_pack("{s:s, s:o, s:n}", "role", "assistant", "content",
                            json_array_size(collecting.calls) > 0 && collecting.text.n == 0
                                ? json_null()
                                : text_json(collecting.text.bytes, collecting.text.n),
                            "refusal");
    if (json_array_size(collecting.calls) > 0)
        json_object_set(message, "tool_calls", collecting.calls);
    if (message && collecting.reasoning.n > 0)
        json_object_set_new(message, "reasoning_content",
                            text_json(collecting.reasoning.bytes, collecting.reasoning.n));
    json_decref(collecting.calls);
    text_buffer_clear(&collecting.reasoning);
    text_buffer_clear(&collecting.text);
    text_buffer_clear(&collecting.arguments);
    return message;
}

static json_t *document(struct generation *generation)
{
    json_t *choices = json_array();

    for (size_t i = 0; i < generation->n_choices; i++) {
        struct choice *choice = &generation->choices[i];
        json_t *message = message_json(choice); /* first: it finds the calls */
        json_t *logprobs =
            generation->request.logprobs ? chat_logprobs(generation, &choice->new) : json_null();

        json_array_append_new(choices, json_pack("{s:i, s:o, s:o, s:s}", "index", (int)i, "message",
                                                 message, "logprobs", logprobs, "finish_reason",
                                                 finish_reason(choice)));
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
