/* tool_prompt.c -- functions as a model is told of them, and the schema of calls. */
#include "server/tool_prompt.h"

#include "server/form.h"
#include "server/state.h"
#include "server/text_buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char instruction[] =
    "You can call functions. To do so, answer with nothing but a JSON array of calls, like "
    "[{\"name\":\"NAME\",\"arguments\":{}}]. The results come in the next message. The functions, "
    "with JSON Schemas of their arguments: ";

/* {"name", "description", "parameters"} of the functions that may be called. */
static char *functions_text(const struct request *request)
{
    json_t *array = json_array();
    char *text;

    for (size_t i = 0; i < request_n_tools(request); i++) {
        const json_t *function = request_function(request, i);
        json_array_append_new(
            array, json_pack("{s:O, s:O*, s:O*}", "name", json_object_get(function, "name"),
                             "description", json_object_get(function, "description"), "parameters",
                             json_object_get(function, "parameters")));
    }
    text = json_dumps(array, 0);
    json_decref(array);
    return text;
}

static bool knows_tools(const struct server *server)
{
    const char *name = server->info.chat_template;

    return name && strncmp(name, "phi-4-mini", strlen("phi-4-mini")) == 0;
}

/* The system text: the client's, and for models that were not trained for it what a call is. */
static char *system_text(const char *given, const char *functions, bool is_trained)
{
    struct text_buffer text = {0};

    text_buffer_add_text(&text, given);
    if (functions && is_trained && given[0] == '\0')
        text_buffer_add_text(&text, "You are a helpful assistant with some tools.");
    if (functions && !is_trained) {
        text_buffer_add_text(&text, given[0] == '\0' ? "" : "\n\n");
        text_buffer_add_text(&text, instruction);
        text_buffer_add_text(&text, functions);
    }
    text_buffer_add(&text, "", 1);
    if (text.failed)
        text_buffer_clear(&text);
    return text.bytes;
}

bool conversation_init(struct conversation *conversation, const struct request *request,
                       const struct server *server, struct api_error *error)
{
    const bool has_tools = form_has_tools(request), is_trained = knows_tools(server);
    const bool has_first =
        request->n_messages > 0 && strcmp(request->messages[0].role, "system") == 0;
    const bool takes_first = has_tools && has_first && !request->instructions;
    const char *given = request->instructions ? request->instructions
                        : takes_first         ? request->messages[0].content
                                              : "";
    upg_message *message;

    conversation->messages = calloc(request->n_messages + 1, sizeof *conversation->messages);
    conversation->tools = has_tools ? functions_text(request) : NULL;
    conversation->system = system_text(given, conversation->tools, is_trained);
    if (!conversation->messages || !conversation->system || (has_tools && !conversation->tools))
        return api_fail_memory(error);
    message = conversation->messages;
    if (has_tools || request->instructions)
        *message++ = (upg_message){.role = "system",
                                   .content = conversation->system,
                                   .tools = is_trained ? conversation->tools : NULL};
    for (size_t i = takes_first ? 1 : 0; i < request->n_messages; i++) {
        *message = request->messages[i];
        if (!is_trained && strcmp(message->role, "tool") == 0)
            message->role = "user"; /* other templates leave out what they do not know */
        message++;
    }
    conversation->n_messages = (size_t)(message - conversation->messages);
    return true;
}

void conversation_clear(struct conversation *conversation)
{
    free(conversation->messages);
    free(conversation->system);
    free(conversation->tools);
    memset(conversation, 0, sizeof *conversation);
}

/* A schema inside another one: its references from the root now begin at `root`.  Values that are
 * data (const, enum, default, examples) stay as they are. */
static void move_references(json_t *schema, const char *root)
{
    const char *key, *reference;
    json_t *value;
    size_t i;
    void *next;

    json_array_foreach(schema, i, value)
    {
        move_references(value, root);
    }
    json_object_foreach_safe(schema, next, key, value)
    {
        reference = json_string_value(value);
        if (strcmp(key, "$ref") == 0 && reference && reference[0] == '#')
            json_object_set_new(schema, key, json_sprintf("%s%s", root, reference + 1));
        else if (strcmp(key, "const") != 0 && strcmp(key, "enum") != 0 &&
                 strcmp(key, "default") != 0 && strcmp(key, "examples") != 0)
            move_references(value, root);
    }
}

/* NULL if there is no memory: json_deep_copy() leaves out what it has none for. */
static json_t *complete_copy(const json_t *value)
{
    json_t *copy = json_deep_copy(value);

    if (json_equal(copy, value))
        return copy;
    json_decref(copy);
    return NULL;
}

static json_t *call_schema(const json_t *function, json_t *definitions)
{
    const char *name = json_string_value(json_object_get(function, "name"));
    const json_t *given = json_object_get(function, "parameters");
    json_t *parameters =
        json_object_size(given) > 0 ? complete_copy(given) : json_pack("{s:s}", "type", "object");
    char root[96];

    snprintf(root, sizeof root, "#/$defs/%s", name);
    move_references(parameters, root);
    json_object_set_new(definitions, name, parameters);
    return json_pack("{s:s, s:{s:{s:s}, s:{s:s}}, s:[s,s], s:b}", "type", "object", "properties",
                     "name", "const", name, "arguments", "$ref", root, "required", "name",
                     "arguments", "additionalProperties", 0);
}

json_t *calls_schema(const struct request *request)
{
    json_t *definitions = json_object(), *calls = json_array(), *schema;

    for (size_t i = 0; i < request_n_tools(request); i++) {
        const json_t *function = request_function(request, i);
        const char *name = json_string_value(json_object_get(function, "name"));
        if (!request->tool_name || strcmp(request->tool_name, name) == 0)
            json_array_append_new(calls, call_schema(function, definitions));
    }
    schema = json_pack("{s:s, s:i, s:{s:o}, s:o}", "type", "array", "minItems", 1, "items", "anyOf",
                       calls, "$defs", definitions);
    if (!request->parallel_tool_calls || request->tool_name)
        json_object_set_new(schema, "maxItems", json_integer(1));
    return schema;
}
