/* request.c -- reading a body by the table of fields. */
#include "server/request.h"

#include "server/fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 }; /* of nested JSON; the parser recurses */

/* Depth of brackets outside of strings; whether they match is for the parser to say. */
static bool is_too_deep(const char *body, size_t n)
{
    size_t depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < n; i++) {
        const char c = body[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if ((c == '[' || c == '{') && ++depth > MAX_DEPTH) {
            return true;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return false;
}

static bool parse_document(struct request *request, const char *body, size_t n,
                           struct api_error *error)
{
    json_error_t cause;

    if (is_too_deep(body, n))
        return api_fail(error, 400, NULL, "the body is nested deeper than %d levels", MAX_DEPTH);
    request->document = json_loadb(body, n, JSON_REJECT_DUPLICATES, &cause);
    if (!request->document)
        return api_fail(error, 400, NULL, "the body is not valid JSON: %s (line %d, column %d)",
                        cause.text, cause.line, cause.column);
    if (!json_is_object(request->document))
        return api_fail(error, 400, NULL, "the body must be a JSON object");
    return true;
}

static const char *type_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    case JSON_NULL: return "null";
    }
    return "something else";
}

bool refuse_type(struct api_error *error, const char *param, const char *expected,
                 const json_t *value)
{
    return api_fail(error, 400, param, "%s: expected %s, but got %s", param, expected,
                    type_of(value));
}

const char *element_param(struct api_error *error, const char *param, size_t i, const char *member)
{
    char text[sizeof error->param];

    snprintf(text, sizeof text, "%.80s[%zu]%s%s", param, i, member ? "." : "",
             member ? member : "");
    memcpy(error->param, text, sizeof text);
    return error->param;
}

const char *request_own_text(struct request *request, char *text, struct api_error *error)
{
    char **more;

    if (text && request->n_owned == request->owned_capacity) {
        const size_t capacity = 2 * request->owned_capacity + 8;
        more = realloc(request->owned, capacity * sizeof *more);
        if (more) {
            request->owned = more;
            request->owned_capacity = capacity;
        } else {
            free(text);
            text = NULL;
        }
    }
    if (!text) {
        api_fail_memory(error);
        return NULL;
    }
    request->owned[request->n_owned++] = text;
    return text;
}

static bool read_count(int64_t *count, const struct field *field, const json_t *value,
                       struct api_error *error)
{
    double number;

    if (!json_is_number(value))
        return refuse_type(error, field->name, "an integer", value);
    number = json_number_value(value);
    if (number != floor(number)) /* 5.0 is an integer in JSON Schema's sense, 5.5 is none */
        return refuse_type(error, field->name, "an integer", value);
    if (number < field->min || number > field->max)
        return api_fail(error, 400, field->name, "%s must be from %.0f to %.0f, but is %.17g",
                        field->name, field->min, field->max, number);
    *count = (int64_t)number;
    return true;
}

static bool read_real(double *real, const struct field *field, const json_t *value,
                      struct api_error *error)
{
    if (!json_is_number(value))
        return refuse_type(error, field->name, "a number", value);
    *real = json_number_value(value);
    if (!(*real >= field->min && *real <= field->max))
        return api_fail(error, 400, field->name, "%s must be from %g to %g, but is %.17g",
                        field->name, field->min, field->max, *real);
    return true;
}

static bool read_text(const char **text, const struct field *field, const json_t *value,
                      struct api_error *error)
{
    if (!json_is_string(value))
        return refuse_type(error, field->name, "a string", value);
    if ((double)json_string_length(value) > field->max)
        return api_fail(error, 400, field->name, "%s has %zu bytes; at most %.0f are allowed",
                        field->name, json_string_length(value), field->max);
    *text = json_string_value(value);
    return true;
}

/* Is the value the only one that can be accepted? */
static bool is_fallback(const struct field *field, const json_t *value)
{
    json_t *only = field->fallback ? json_loads(field->fallback, JSON_DECODE_ANY, NULL) : NULL;
    const bool is_equal = only && json_equal(only, value);

    json_decref(only);
    return is_equal;
}

static bool read_field(struct request *request, const struct field *field, const json_t *value,
                       struct api_error *error)
{
    void *member = (char *)request + field->member;

    if (json_is_null(value)) /* the same as absent, as in the API */
        return true;
    switch (field->kind) {
    case FIELD_FLAG:
        if (!json_is_boolean(value))
            return refuse_type(error, field->name, "a boolean", value);
        *(bool *)member = json_is_true(value);
        return true;
    case FIELD_COUNT: return read_count(member, field, value, error);
    case FIELD_REAL: return read_real(member, field, value, error);
    case FIELD_TEXT: return read_text(member, field, value, error);
    case FIELD_PART: return field->read(request, field->name, value, error);
    case FIELD_NO_MATTER: return true;
    case FIELD_REFUSED:
        if (is_fallback(field, value))
            return true;
        error->code = "unsupported_parameter";
        return api_fail(error, 400, field->name, "%s is not supported by this server%s%s",
                        field->name, field->fallback ? "; only this value is: " : "",
                        field->fallback ? field->fallback : "");
    }
    return true;
}

/* Numbers and flags of the endpoint get their defaults from the table. */
static void set_defaults(struct request *request)
{
    for (size_t i = 0; i < n_request_fields; i++) {
        const struct field *field = &request_fields[i];
        void *member = (char *)request + field->member;

        if (!field->fallback)
            continue;
        if (field->kind == FIELD_FLAG)
            *(bool *)member = field->fallback[0] == 't';
        else if (field->kind == FIELD_COUNT)
            *(int64_t *)member = strtoll(field->fallback, NULL, 10);
        else if (field->kind == FIELD_REAL)
            *(double *)member = strtod(field->fallback, NULL);
    }
}

static bool read_fields(struct request *request, struct api_error *error)
{
    const char *name;
    json_t *value;

    json_object_foreach(request->document, name, value)
    {
        const struct field *field = find_field(request->endpoint, name);
        if (!field) {
            error->code = "unknown_parameter";
            return api_fail(error, 400, name, "unknown parameter: '%.100s'", name);
        }
        if (!read_field(request, field, value, error))
            return false;
    }
    for (size_t i = 0; i < n_request_fields; i++) {
        const struct field *field = &request_fields[i];
        if (field->required && (field->endpoints & (unsigned)request->endpoint) != 0 &&
            (!(value = json_object_get(request->document, field->name)) || json_is_null(value))) {
            error->code = "missing_required_parameter";
            return api_fail(error, 400, field->name, "missing required parameter: '%s'",
                            field->name);
        }
    }
    return true;
}

static bool has_tool(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request_n_tools(request); i++)
        if (strcmp(json_string_value(json_object_get(request_function(request, i), "name")),
                   name) == 0)
            return true;
    return false;
}

/* What two fields say together. */
static bool check_together(const struct request *request, struct api_error *error)
{
    const bool has_prompt = request->n_prompts > 0, has_messages = request->n_messages > 0;

    if (request->endpoint == ENDPOINT_CHAT && request->n_top > 0 && !request->logprobs)
        return api_fail(error, 400, "top_logprobs", "top_logprobs needs logprobs to be true");
    if (request->best_of != 0 && request->best_of != request->n_choices)
        return api_fail(error, 400, "best_of", "best_of must be the same as n");
    if (request->echo && request->logprobs)
        return api_fail(error, 400, "echo", "echo cannot be combined with logprobs");
    if (request->include_usage && !request->stream)
        return api_fail(error, 400, "stream_options", "stream_options needs stream to be true");
    if (request->n_prompts * (size_t)request->n_choices > MAX_PROMPTS)
        return api_fail(error, 400, "n", "%zu prompts times n = %d answers are more than %d",
                        request->n_prompts, (int)request->n_choices, MAX_PROMPTS);
    if (request->endpoint == ENDPOINT_TOKENIZE && has_prompt == has_messages)
        return api_fail(error, 400, "content", "give either content or messages");
    if (!request->tools && request->tool_use == TOOLS_REQUIRED)
        return api_fail(error, 400, "tool_choice", "tool_choice needs tools");
    if (request->tool_name && !has_tool(request, request->tool_name))
        return api_fail(error, 400, "tool_choice", "there is no tool '%.64s'", request->tool_name);
    return true;
}

bool request_parse(struct request *request, enum endpoint endpoint, const char *body, size_t n,
                   struct api_error *error)
{
    memset(request, 0, sizeof *request);
    request->endpoint = endpoint;
    set_defaults(request);
    return parse_document(request, body, n, error) && read_fields(request, error) &&
           check_together(request, error);
}

size_t request_max_tokens(const struct request *request)
{
    return (size_t)(request->max_completion_tokens ? request->max_completion_tokens
                                                   : request->max_tokens);
}

void request_clear(struct request *request)
{
    for (size_t i = 0; i < request->n_owned; i++)
        free(request->owned[i]);
    for (size_t i = 0; i < request->n_prompts; i++)
        upg_tokens_clear(&request->prompts[i].ids);
    free(request->owned);
    free(request->messages);
    free(request->prompts);
    free(request->biases);
    upg_tokens_clear(&request->tokens);
    json_decref(request->document);
    memset(request, 0, sizeof *request);
}
