/* read_messages.c -- conversations: messages of chat completions, input items of responses.
 *
 * Both become the same messages of role and text.  Calls of functions are text to a model: an
 * assistant's calls are written as the JSON array that the model is asked to write itself (see
 * tools.h), and a result stays a message of the role "tool". */
#include "server/fields.h"

#include "server/text_buffer.h"

#include <stdlib.h>
#include <string.h>

bool request_add_message(struct request *request, const upg_message *message,
                         struct api_error *error)
{
    if (request->n_messages == MAX_MESSAGES)
        return api_fail(error, 400, NULL, "more than %d messages", MAX_MESSAGES);
    if (request->n_messages == request->messages_capacity) {
        const size_t capacity = 2 * request->messages_capacity + 8;
        upg_message *more = realloc(request->messages, capacity * sizeof *more);
        if (!more)
            return api_fail_memory(error);
        request->messages = more;
        request->messages_capacity = capacity;
    }
    request->messages[request->n_messages++] = *message;
    return true;
}

static const char *own_buffer(struct request *request, struct text_buffer *buffer,
                              struct api_error *error)
{
    text_buffer_add(buffer, "", 1); /* the zero byte */
    if (buffer->failed)
        text_buffer_clear(buffer);
    return request_own_text(request, buffer->bytes, error);
}

/* The text of one part: {"type": "text", "text": "..."}. */
static const char *part_text(const char *param, const json_t *part, struct api_error *error)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    const char *text = json_string_value(json_object_get(part, "text"));

    if (!type)
        return refuse_type(error, param, "parts that are objects with a type", part), NULL;
    if (strcmp(type, "text") != 0 && strcmp(type, "input_text") != 0 &&
        strcmp(type, "output_text") != 0) {
        api_fail(error, 400, param, "%s: parts of type '%.40s' cannot be read; only text can",
                 param, type);
        return NULL;
    }
    if (!text)
        api_fail(error, 400, param, "%s: a text part without text", param);
    return text;
}

/* content: a string, or parts that are joined without anything between them; null: empty. */
static bool read_content(struct request *request, const char **content, const char *param,
                         const json_t *value, struct api_error *error)
{
    struct text_buffer joined = {0};

    *content = "";
    if (!value || json_is_null(value))
        return true;
    if (json_is_string(value)) {
        *content = json_string_value(value);
        return true;
    }
    if (!json_is_array(value))
        return refuse_type(error, param, "a string or an array of parts", value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *text = part_text(param, json_array_get(value, i), error);
        if (!text) {
            text_buffer_clear(&joined);
            return false;
        }
        text_buffer_add_text(&joined, text);
    }
    *content = own_buffer(request, &joined, error);
    return *content != NULL;
}

/* One call as the model writes it; arguments are JSON in a string, kept as the client sent them if
 * they are not. */
static bool write_call(struct text_buffer *text, const char *param, const char *name,
                       const char *arguments, struct api_error *error)
{
    json_t *parsed, *call;
    char *line;

    if (!name || !arguments)
        return api_fail(error, 400, param, "%s: a call needs a name and arguments in a string",
                        param);
    parsed = json_loads(arguments, JSON_DECODE_ANY, NULL);
    if (!parsed)
        parsed = json_string(arguments);
    call = json_pack("{s:s, s:o}", "name", name, "arguments", parsed);
    line = json_dumps(call, 0);
    json_decref(call);
    if (!line)
        return api_fail_memory(error);
    text_buffer_add_text(text, line);
    free(line);
    return true;
}

static bool add_tool_calls(struct request *request, const char **content, const char *param,
                           const json_t *calls, struct api_error *error)
{
    struct text_buffer text = {0};

    if (!json_is_array(calls))
        return refuse_type(error, param, "an array of calls", calls);
    text_buffer_add_text(&text, *content);
    text_buffer_add_text(&text, "[");
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *function = json_object_get(json_array_get(calls, i), "function");
        if (i > 0)
            text_buffer_add_text(&text, ", ");
        if (!write_call(&text, param, json_string_value(json_object_get(function, "name")),
                        json_string_value(json_object_get(function, "arguments")), error)) {
            text_buffer_clear(&text);
            return false;
        }
    }
    text_buffer_add_text(&text, "]");
    *content = own_buffer(request, &text, error);
    return *content != NULL;
}

/* "developer" is the newer name of "system". */
static const char *known_role(const json_t *value)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    const char *name = json_string_value(value);

    for (size_t i = 0; name && i < sizeof roles / sizeof *roles; i++)
        if (strcmp(name, roles[i]) == 0)
            return strcmp(name, "developer") == 0 ? "system" : roles[i];
    return NULL;
}

static bool read_message(struct request *request, const char *param, size_t i, const json_t *value,
                         struct api_error *error)
{
    const json_t *calls = json_object_get(value, "tool_calls");
    upg_message message = {0};
    char name[sizeof error->param];

    if (!json_is_object(value))
        return refuse_type(error, element_param(error, param, i, NULL), "an object", value);
    message.role = known_role(json_object_get(value, "role"));
    if (!message.role)
        return api_fail(error, 400, element_param(error, param, i, "role"),
                        "role must be system, developer, user, assistant or tool");
    memcpy(name, element_param(error, param, i, "content"), sizeof name);
    if (!read_content(request, &message.content, name, json_object_get(value, "content"), error))
        return false;
    if (json_array_size(calls) > 0) {
        memcpy(name, element_param(error, param, i, "tool_calls"), sizeof name);
        if (!add_tool_calls(request, &message.content, name, calls, error))
            return false;
    } else if (json_is_null(json_object_get(value, "content")) ||
               !json_object_get(value, "content")) {
        return api_fail(error, 400, name, "a message needs content%s",
                        strcmp(message.role, "assistant") == 0 ? " or tool_calls" : "");
    }
    return request_add_message(request, &message, error);
}

bool read_messages(struct request *request, const char *param, const json_t *value,
                   struct api_error *error)
{
    if (!json_is_array(value))
        return refuse_type(error, param, "an array of messages", value);
    if (json_array_size(value) == 0)
        return api_fail(error, 400, param, "%s is an empty array", param);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!read_message(request, param, i, json_array_get(value, i), error))
            return false;
    return true;
}

/* {"type": "function_call", "name", "arguments", "call_id"} */
static bool read_call_item(struct request *request, const char *param, const json_t *item,
                           struct api_error *error)
{
    struct text_buffer text = {0};
    upg_message message = {.role = "assistant"};

    text_buffer_add_text(&text, "[");
    if (!write_call(&text, param, json_string_value(json_object_get(item, "name")),
                    json_string_value(json_object_get(item, "arguments")), error)) {
        text_buffer_clear(&text);
        return false;
    }
    text_buffer_add_text(&text, "]");
    message.content = own_buffer(request, &text, error);
    return message.content && request_add_message(request, &message, error);
}

/* {"type": "function_call_output", "call_id", "output"} */
static bool read_result_item(struct request *request, const char *param, const json_t *item,
                             struct api_error *error)
{
    upg_message message = {.role = "tool"};

    return read_content(request, &message.content, param, json_object_get(item, "output"), error) &&
           request_add_message(request, &message, error);
}

static bool read_item(struct request *request, const char *param, size_t i, const json_t *item,
                      struct api_error *error)
{
    const char *type = json_string_value(json_object_get(item, "type"));
    char name[sizeof error->param];

    memcpy(name, element_param(error, param, i, NULL), sizeof name);
    if (!type || strcmp(type, "message") == 0)
        return read_message(request, param, i, item, error);
    if (strcmp(type, "function_call") == 0)
        return read_call_item(request, name, item, error);
    if (strcmp(type, "function_call_output") == 0)
        return read_result_item(request, name, item, error);
    if (strcmp(type, "reasoning") == 0) /* what a model thought before is not shown to it again */
        return true;
    return api_fail(error, 400, name, "%s: items of type '%.40s' cannot be read", name, type);
}

bool read_response_input(struct request *request, const char *param, const json_t *value,
                         struct api_error *error)
{
    upg_message message = {.role = "user"};

    if (json_is_string(value)) {
        message.content = json_string_value(value);
        return request_add_message(request, &message, error);
    }
    if (!json_is_array(value))
        return refuse_type(error, param, "a string or an array of items", value);
    if (json_array_size(value) == 0)
        return api_fail(error, 400, param, "%s is an empty array", param);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!read_item(request, param, i, json_array_get(value, i), error))
            return false;
    return true;
}
