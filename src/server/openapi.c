/* openapi.c -- the description of the API, from the tables that it works by. */
#include "server/fields.h"
#include "server/handlers.h"
#include "server/routes.h"

#include <stdio.h>
#include <string.h>

/* The schema of one field's value; null is always allowed, as in the API. */
static json_t *value_schema(const struct field *field)
{
    switch (field->kind) {
    case FIELD_FLAG: return json_pack("{s:[s,s]}", "type", "boolean", "null");
    case FIELD_COUNT:
        return json_pack("{s:[s,s], s:I, s:I}", "type", "integer", "null", "minimum",
                         (json_int_t)field->min, "maximum", (json_int_t)field->max);
    case FIELD_REAL:
        return json_pack("{s:[s,s], s:f, s:f}", "type", "number", "null", "minimum", field->min,
                         "maximum", field->max);
    case FIELD_TEXT: return json_pack("{s:[s,s]}", "type", "string", "null");
    case FIELD_PART: {
        json_t *schema = json_loads(field->schema, 0, NULL);
        return field->required ? schema
                               : json_pack("{s:[o, {s:s}]}", "anyOf", schema, "type", "null");
    }
    case FIELD_NO_MATTER: return json_object();
    case FIELD_REFUSED:
        return field->fallback ? json_pack("{s:[n, o]}", "enum",
                                           json_loads(field->fallback, JSON_DECODE_ANY, NULL))
                               : json_pack("{s:s}", "type", "null");
    }
    return NULL;
}

static json_t *field_schema(const struct field *field)
{
    json_t *schema = value_schema(field);

    if (field->kind == FIELD_NO_MATTER)
        json_object_set_new(schema, "description", json_string("Accepted without effect."));
    else if (field->kind == FIELD_REFUSED)
        json_object_set_new(schema, "description", json_string("Not supported by this server."));
    else
        json_object_set_new(schema, "description", json_string(field->help));
    if (field->fallback && field->kind != FIELD_REFUSED)
        json_object_set_new(schema, "default", json_loads(field->fallback, JSON_DECODE_ANY, NULL));
    return schema;
}

static json_t *body_schema(enum endpoint endpoint)
{
    json_t *properties = json_object(), *required = json_array();
    json_t *schema = json_pack("{s:s, s:b, s:o}", "type", "object", "additionalProperties", 0,
                               "properties", properties);

    for (size_t i = 0; i < n_request_fields; i++) {
        const struct field *field = &request_fields[i];
        if ((field->endpoints & (unsigned)endpoint) == 0)
            continue;
        json_object_set_new(properties, field->name, field_schema(field));
        if (field->required)
            json_array_append_new(required, json_string(field->name));
    }
    if (json_array_size(required) > 0)
        json_object_set(schema, "required", required);
    json_decref(required);
    return schema;
}

static json_t *error_reply(const char *description)
{
    return json_pack("{s:s, s:{s:{s:{s:s}}}}", "description", description, "content",
                     "application/json", "schema", "$ref", "#/components/schemas/Error");
}

static const char *content_type(const struct route *route)
{
    return strcmp(route->path, "/metrics") == 0 ? "text/plain" : "application/json";
}

static json_t *operation(const struct route *route)
{
    json_t *content = json_pack("{s:{s:{}}}", content_type(route), "schema");
    json_t *replies = json_pack("{s:{s:s, s:o}, s:o}", "200", "description", "Success", "content",
                                content, "503", error_reply("Full, or shutting down"));
    json_t *result = json_pack("{s:s, s:o}", "summary", route->summary, "responses", replies);
    const struct field *stream =
        route->endpoint != 0 ? find_field(route->endpoint, "stream") : NULL;

    if (stream)
        json_object_set_new(content, "text/event-stream", json_object());
    if (route->is_open)
        json_object_set_new(result, "security", json_array());
    else
        json_object_set_new(replies, "401", error_reply("No valid API key"));
    if (route->endpoint != 0) {
        static const struct {
            const char *status, *description;
        } errors[] = {{"400", "A field is missing, unknown, of another type or out of range"},
                      {"404", "No such model"},
                      {"413", "The body is too large"},
                      {"415", "The body is not application/json"}};
        json_object_set_new(result, "requestBody",
                            json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content",
                                      "application/json", "schema", body_schema(route->endpoint)));
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
            json_object_set_new(replies, errors[i].status, error_reply(errors[i].description));
    }
    return result;
}

static json_t *error_schema(void)
{
    return json_pack("{s:s, s:[s], s:{s:{s:s, s:[s,s], s:{s:{s:s}, s:{s:s}, s:{s:[s,s]}, "
                     "s:{s:[s,s]}}}}}",
                     "type", "object", "required", "error", "properties", "error", "type", "object",
                     "required", "message", "type", "properties", "message", "type", "string",
                     "type", "type", "string", "param", "type", "string", "null", "code", "type",
                     "string", "null");
}

bool handle_openapi(struct exchange *exchange, struct api_error *error)
{
    json_t *paths = json_object();

    (void)error;
    for (size_t i = 0; i < n_routes; i++) {
        if (!routes[i].summary)
            continue;
        json_object_set_new(
            paths, routes[i].path,
            json_pack("{s:o}", routes[i].method[0] == 'G' ? "get" : "post", operation(&routes[i])));
    }
    return reply_json(
        exchange, MHD_HTTP_OK,
        json_pack("{s:s, s:{s:s, s:s, s:s}, s:o, s:[{s:[]}, {}], s:{s:{s:{s:s, s:s}}, s:{s:o}}}",
                  "openapi", "3.1.0", "info", "title", "upg", "version", upg_version(),
                  "description", "The OpenAI API as 'upg serve' speaks it.", "paths", paths,
                  "security", "key", "components", "securitySchemes", "key", "type", "http",
                  "scheme", "bearer", "schemas", "Error", error_schema()));
}
