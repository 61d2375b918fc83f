/* read_format.c -- the form of an answer: JSON, a schema, calls of functions. */
#include "server/fields.h"

#include <string.h>

enum { MAX_TOOLS = 128, MAX_NAME_BYTES = 64 };

/* Letters, digits, _ and -, as the API has it: names go into prompts and grammars. */
static bool is_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const size_t n = name ? strlen(name) : 0;

    return n > 0 && n <= MAX_NAME_BYTES && strspn(name, allowed) == n;
}

/* The members of json_schema, which the Responses API puts beside the type. */
static bool read_schema(struct request *request, const char *param, const json_t *value,
                        struct api_error *error)
{
    const json_t *strict = json_object_get(value, "strict");

    request->schema_name = json_string_value(json_object_get(value, "name"));
    request->schema = json_object_get(value, "schema");
    if (!is_name(request->schema_name))
        return api_fail(error, 400, param,
                        "%s: a schema needs a name of at most %d letters, digits, _ and -", param,
                        MAX_NAME_BYTES);
    if (!json_is_object(request->schema))
        return api_fail(error, 400, param, "%s: schema must be an object", param);
    if (strict && !json_is_boolean(strict) && !json_is_null(strict))
        return refuse_type(error, param, "strict to be a boolean", strict);
    request->schema_strict = json_is_true(strict);
    request->format = FORMAT_JSON_SCHEMA;
    return true;
}

static bool read_any_format(struct request *request, const char *param, const json_t *value,
                            bool is_nested, struct api_error *error)
{
    const char *type = json_string_value(json_object_get(value, "type"));

    if (!json_is_object(value))
        return refuse_type(error, param, "an object", value);
    if (type && strcmp(type, "text") == 0)
        return true;
    if (type && strcmp(type, "json_object") == 0) {
        request->format = FORMAT_JSON_OBJECT;
        return true;
    }
    if (type && strcmp(type, "json_schema") == 0)
        return read_schema(request, param,
                           is_nested ? json_object_get(value, "json_schema") : value, error);
    return api_fail(error, 400, param, "%s.type must be text, json_object or json_schema", param);
}

bool read_response_format(struct request *request, const char *param, const json_t *value,
                          struct api_error *error)
{
    return read_any_format(request, param, value, true, error);
}

bool read_text_format(struct request *request, const char *param, const json_t *value,
                      struct api_error *error)
{
    const json_t *format = json_object_get(value, "format");

    if (!json_is_object(value))
        return refuse_type(error, param, "an object", value);
    return !format || json_is_null(format) ||
           read_any_format(request, "text.format", format, false, error);
}

/* One function: {"name", "description", "parameters", "strict"}. */
static bool check_function(const char *param, size_t i, const json_t *function,
                           struct api_error *error)
{
    const json_t *parameters = json_object_get(function, "parameters");

    if (!is_name(json_string_value(json_object_get(function, "name"))))
        return api_fail(error, 400, element_param(error, param, i, "name"),
                        "a function needs a name of at most %d letters, digits, _ and -",
                        MAX_NAME_BYTES);
    if (parameters && !json_is_object(parameters) && !json_is_null(parameters))
        return refuse_type(error, element_param(error, param, i, "parameters"), "an object",
                           parameters);
    return true;
}

/* The functions of the request as an array of {"name", "description", "parameters"}. */
static bool read_functions(struct request *request, const char *param, const json_t *value,
                           bool is_nested, struct api_error *error)
{
    if (!json_is_array(value))
        return refuse_type(error, param, "an array", value);
    if (json_array_size(value) > MAX_TOOLS)
        return api_fail(error, 400, param, "%zu tools; at most %d are allowed",
                        json_array_size(value), MAX_TOOLS);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *tool = json_array_get(value, i);
        const char *type = json_string_value(json_object_get(tool, "type"));

        if (!type || strcmp(type, "function") != 0)
            return api_fail(error, 400, element_param(error, param, i, "type"),
                            "only tools of type 'function' are supported");
        if (!check_function(param, i, is_nested ? json_object_get(tool, "function") : tool, error))
            return false;
    }
    request->tools = json_array_size(value) > 0 ? value : NULL;
    request->tools_nested = is_nested;
    return true;
}

bool read_tools(struct request *request, const char *param, const json_t *value,
                struct api_error *error)
{
    return read_functions(request, param, value, true, error);
}

bool read_response_tools(struct request *request, const char *param, const json_t *value,
                         struct api_error *error)
{
    return read_functions(request, param, value, false, error);
}

/* "none" and the like, or a function's name: {"type": "function", "function": {"name"}} in chat
 * completions, {"type": "function", "name"} in responses. */
bool read_tool_choice(struct request *request, const char *param, const json_t *value,
                      struct api_error *error)
{
    const char *word = json_string_value(value);
    const json_t *function = json_object_get(value, "function");
    const char *type = json_string_value(json_object_get(value, "type"));

    if (word && strcmp(word, "auto") == 0)
        request->tool_use = TOOLS_AUTO;
    else if (word && strcmp(word, "none") == 0)
        request->tool_use = TOOLS_NONE;
    else if (word && strcmp(word, "required") == 0)
        request->tool_use = TOOLS_REQUIRED;
    else if (type && strcmp(type, "function") == 0)
        request->tool_name =
            json_string_value(json_object_get(function ? function : value, "name"));
    else
        return api_fail(error, 400, param, "%s must be none, auto, required, or a function by name",
                        param);
    if (!word && !request->tool_name)
        return api_fail(error, 400, param, "%s names no function", param);
    if (request->tool_name)
        request->tool_use = TOOLS_REQUIRED;
    return true;
}

size_t request_n_tools(const struct request *request)
{
    return json_array_size(request->tools);
}

const json_t *request_function(const struct request *request, size_t i)
{
    const json_t *tool = json_array_get(request->tools, i);

    return request->tools_nested ? json_object_get(tool, "function") : tool;
}
