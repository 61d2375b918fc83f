/* responses.c -- answers of /v1/responses.
 *
 * An answer is a list of items: thoughts, a message, or calls of functions.  One writer makes them
 * from the segments of the answer; for a stream it also tells each step as a typed event. */
#include "server/chat.h"

#include "server/random_id.h"
#include "server/sse.h"
#include "server/state.h"
#include "server/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum open_item { NO_ITEM, REASONING_ITEM, MESSAGE_ITEM, CALL_ITEM };

/* Names of what an item consists of. */
static const struct {
    const char *id_prefix, *delta_event, *done_event, *done_member;
} item_names[] = {
    [REASONING_ITEM] = {"rs_", "response.reasoning_text.delta", "response.reasoning_text.done",
                        "text"},
    [MESSAGE_ITEM] = {"msg_", "response.output_text.delta", "response.output_text.done", "text"},
    [CALL_ITEM] = {"fc_", "response.function_call_arguments.delta",
                   "response.function_call_arguments.done", "arguments"}};

/* The writer's state. */
struct response {
    struct generation *generation;
    struct text_buffer *out; /* NULL: nothing is streamed */
    int next_event;
    json_t *items; /* finished, owned */
    enum open_item open;
    char item_id[40], call_id[40];
    char name[72];           /* of the function that is being called */
    struct text_buffer text; /* of the open item: text or arguments */
};

static void free_response(void *state)
{
    struct response *response = state;

    json_decref(response->items);
    text_buffer_clear(&response->text);
    free(response);
}

static struct response *response_of(struct generation *generation, struct text_buffer *out)
{
    struct response *response = generation->writer_state;

    if (!response) {
        response = calloc(1, sizeof *response);
        if (!response)
            return NULL;
        response->generation = generation;
        response->items = json_array();
        generation->writer_state = response;
    }
    response->out = out;
    return response;
}

/* Members are taken; type and number are added. */
static void tell(struct response *response, const char *type, json_t *members)
{
    json_t *event;

    if (!response->out) {
        json_decref(members);
        return;
    }
    event = json_pack("{s:s, s:i}", "type", type, "sequence_number", response->next_event++);
    if (!event || json_object_update(event, members) != 0)
        response->out->failed = true;
    json_decref(members);
    sse_event(response->out, type, event);
}

/* The one part of a message or of thoughts. */
static json_t *text_part(const struct response *response)
{
    json_t *text = text_json(response->text.bytes, response->text.n);

    if (response->open == REASONING_ITEM)
        return json_pack("{s:s, s:o}", "type", "reasoning_text", "text", text);
    return json_pack("{s:s, s:o, s:[], s:[]}", "type", "output_text", "text", text, "annotations",
                     "logprobs");
}

static json_t *open_item_json(const struct response *response, const char *status)
{
    json_t *content;

    if (response->open == CALL_ITEM)
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "id", response->item_id, "type",
                         "function_call", "status", status, "call_id", response->call_id, "name",
                         response->name, "arguments",
                         text_json(response->text.bytes, response->text.n));
    content =
        strcmp(status, "in_progress") == 0 ? json_array() : json_pack("[o]", text_part(response));
    if (response->open == REASONING_ITEM)
        return json_pack("{s:s, s:s, s:s, s:[], s:o}", "id", response->item_id, "type", "reasoning",
                         "status", status, "summary", "content", content);
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", response->item_id, "type", "message",
                     "status", status, "role", "assistant", "content", content);
}

/* Which item, and which part of it if it has one, an event is about. */
static json_t *place(const struct response *response)
{
    json_t *members = json_pack("{s:s, s:i}", "item_id", response->item_id, "output_index",
                                (int)json_array_size(response->items));

    if (response->open != CALL_ITEM)
        json_object_set_new(members, "content_index", json_integer(0));
    return members;
}

static json_t *with(json_t *members, const char *key, json_t *value)
{
    json_object_set_new(members, key, value);
    return members;
}

/* What the events of an item's text have in common. */
static json_t *text_place(const struct response *response)
{
    return response->open == MESSAGE_ITEM ? with(place(response), "logprobs", json_array())
                                          : place(response);
}

static void close_item(struct response *response, const char *status)
{
    json_t *members, *item;

    if (response->open == NO_ITEM)
        return;
    members = with(text_place(response), item_names[response->open].done_member,
                   text_json(response->text.bytes, response->text.n));
    if (response->open == CALL_ITEM)
        members = with(members, "name", json_string(response->name));
    tell(response, item_names[response->open].done_event, members);
    if (response->open != CALL_ITEM)
        tell(response, "response.content_part.done",
             with(place(response), "part", text_part(response)));
    item = open_item_json(response, status);
    tell(response, "response.output_item.done",
         json_pack("{s:i, s:O}", "output_index", (int)json_array_size(response->items), "item",
                   item));
    json_array_append_new(response->items, item);
    response->open = NO_ITEM;
}

static void open_item(struct response *response, enum open_item kind)
{
    close_item(response, "completed");
    text_buffer_empty(&response->text);
    response->open = kind;
    random_id(response->item_id, sizeof response->item_id, item_names[kind].id_prefix);
    tell(response, "response.output_item.added",
         json_pack("{s:i, s:o}", "output_index", (int)json_array_size(response->items), "item",
                   open_item_json(response, "in_progress")));
    if (kind != CALL_ITEM)
        tell(response, "response.content_part.added",
             with(place(response), "part", text_part(response)));
}

static void write_segment(void *context, enum segment_kind kind, const char *bytes, size_t n)
{
    struct response *response = context;
    const enum open_item item = kind == SEGMENT_REASONING ? REASONING_ITEM
                                : kind == SEGMENT_TEXT    ? MESSAGE_ITEM
                                                          : CALL_ITEM;

    if (kind == SEGMENT_CALL) {
        snprintf(response->name, sizeof response->name, "%.*s", (int)n, bytes);
        random_id(response->call_id, sizeof response->call_id, "call_");
        open_item(response, CALL_ITEM);
        return;
    }
    if (kind == SEGMENT_CALL_END) {
        close_item(response, "completed");
        return;
    }
    if (response->open != item)
        open_item(response, item);
    text_buffer_add(&response->text, bytes, n);
    tell(response, item_names[item].delta_event,
         with(text_place(response), "delta", text_json(bytes, n)));
}

static json_t *format_json(const struct request *request)
{
    switch (request->format) {
    case FORMAT_JSON_OBJECT: return json_pack("{s:s}", "type", "json_object");
    case FORMAT_JSON_SCHEMA:
        return json_pack("{s:s, s:s, s:b, s:O}", "type", "json_schema", "name",
                         request->schema_name, "strict", request->schema_strict, "schema",
                         request->schema);
    default: return json_pack("{s:s}", "type", "text");
    }
}

/* The response object.
 *   status  "in_progress", "completed", "incomplete" */
static json_t *response_json(struct response *response, const char *status)
{
    const struct generation *generation = response->generation;
    const struct request *request = &generation->request;
    const bool is_done = strcmp(status, "in_progress") != 0;
    const size_t n_answer = is_done ? generation_n_tokens(generation) : 0;
    json_t *document = json_pack(
        "{s:s, s:s, s:I, s:s, s:n, s:s?, s:s, s:O, s:b, s:f, s:f, s:s, s:s, s:{s:o}, s:n, s:b}",
        "id", generation->id, "object", "response", "created_at", (json_int_t)generation->created,
        "status", status, "error", "instructions", request->instructions, "model",
        generation->server->model_name, "output", response->items, "parallel_tool_calls",
        request->parallel_tool_calls, "temperature", request->temperature, "top_p", request->top_p,
        "truncation", "disabled", "tool_choice",
        request->tool_use == TOOLS_NONE       ? "none"
        : request->tool_use == TOOLS_REQUIRED ? "required"
                                              : "auto",
        "text", "format", format_json(request), "previous_response_id", "store", 0);

    json_object_set_new(document, "tools",
                        request->tools ? json_pack("O", request->tools) : json_array());
    json_object_set_new(document, "metadata", json_object());
    json_object_set_new(document, "max_output_tokens",
                        request->max_completion_tokens
                            ? json_integer(request->max_completion_tokens)
                            : json_null());
    json_object_set_new(document, "incomplete_details",
                        strcmp(status, "incomplete") == 0
                            ? json_pack("{s:s}", "reason", "max_output_tokens")
                            : json_null());
    json_object_set_new(
        document, "usage",
        is_done
            ? json_pack("{s:I, s:{s:I}, s:I, s:{s:I}, s:I}", "input_tokens",
                        (json_int_t)generation->n_prompt_tokens, "input_tokens_details",
                        "cached_tokens", (json_int_t)generation_n_cached_tokens(generation),
                        "output_tokens", (json_int_t)n_answer, "output_tokens_details",
                        "reasoning_tokens", (json_int_t)generation_n_reasoning_tokens(generation),
                        "total_tokens", (json_int_t)(generation->n_prompt_tokens + n_answer))
            : json_null());
    return document;
}

static void begin(struct generation *generation, struct text_buffer *out)
{
    struct response *response = response_of(generation, out);

    if (!response) {
        out->failed = true;
        return;
    }
    tell(response, "response.created",
         json_pack("{s:o}", "response", response_json(response, "in_progress")));
    tell(response, "response.in_progress",
         json_pack("{s:o}", "response", response_json(response, "in_progress")));
}

static void part(struct generation *generation, struct choice *choice, const struct output *output,
                 struct text_buffer *out)
{
    struct response *response = response_of(generation, out);

    thought_splitter_feed(&choice->thoughts, &choice->calls, output->text.bytes, output->text.n,
                          write_segment, response);
    out->failed |=
        choice->calls.held.failed || choice->thoughts.held.failed || response->text.failed;
}

static const char *final_status(const struct choice *choice)
{
    return choice->finish == UPG_FINISH_LENGTH ? "incomplete" : "completed";
}

static void finish(struct response *response, struct choice *choice)
{
    thought_splitter_end(&choice->thoughts, &choice->calls, write_segment, response);
    if (json_array_size(response->items) == 0 && response->open == NO_ITEM)
        open_item(response, MESSAGE_ITEM); /* an answer without a word is a message */
    close_item(response, final_status(choice));
}

static void close_choice(struct generation *generation, struct choice *choice,
                         struct text_buffer *out)
{
    finish(response_of(generation, out), choice);
}

static void end(struct generation *generation, struct text_buffer *out)
{
    struct response *response = response_of(generation, out);
    const char *status = final_status(&generation->choices[0]);

    tell(response, strcmp(status, "completed") == 0 ? "response.completed" : "response.incomplete",
         json_pack("{s:o}", "response", response_json(response, status)));
}

static json_t *document(struct generation *generation)
{
    struct response *response = response_of(generation, NULL);
    struct choice *choice = &generation->choices[0];
    json_t *result;

    if (!response)
        return NULL;
    thought_splitter_feed(&choice->thoughts, &choice->calls, choice->new.text.bytes,
                          choice->new.text.n, write_segment, response);
    finish(response, choice);
    if (response->text.failed || choice->calls.held.failed || choice->thoughts.held.failed)
        return NULL;
    result = response_json(response, final_status(choice));
    json_object_set_new(result, "timings", timings_json(generation));
    return result;
}

const struct answer_format response_format = {.id_prefix = "resp_",
                                              .error_event = "error",
                                              .kind = UPG_REQUEST_GENERATE,
                                              .begin = begin,
                                              .part = part,
                                              .close = close_choice,
                                              .end = end,
                                              .document = document,
                                              .free_state = free_response};
