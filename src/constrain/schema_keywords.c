/* schema_keywords.c -- every keyword that a schema may have, and what its value must be.
 *
 * A keyword that is not in the table is refused: it may be a typing error, and a constraint that
 * was overlooked would not be kept.  Names that begin with "x-" are annotations of others. */
#include "constrain/schema.h"

#include <math.h>
#include <string.h>

enum kind {
    KIND_ANNOTATION, /* says nothing about values */
    KIND_SCHEMA,
    KIND_SCHEMAS,    /* an array of schemas, not empty */
    KIND_SCHEMA_MAP, /* an object of schemas */
    KIND_ITEMS,      /* a schema, or an array of them (up to 2019-09) */
    KIND_COUNT,      /* an integer, 0 or more */
    KIND_NUMBER,     /* finite */
    KIND_LIMIT,      /* a number; a boolean in draft 4 */
    KIND_POSITIVE,   /* a number greater than 0 */
    KIND_TEXT,
    KIND_BOOLEAN,
    KIND_NAMES,        /* an array of strings */
    KIND_NAME_LISTS,   /* an object of arrays of strings */
    KIND_DEPENDENCIES, /* an object of schemas or arrays of strings */
    KIND_TYPE,
    KIND_VALUES, /* an array, not empty */
    KIND_ANY,
    KIND_REFUSED
};

static const struct {
    const char *name;
    enum kind kind;
} keywords[] = {
    {"$anchor", KIND_TEXT},
    {"$comment", KIND_ANNOTATION},
    {"$defs", KIND_SCHEMA_MAP},
    {"$dynamicAnchor", KIND_TEXT},
    {"$dynamicRef", KIND_REFUSED},
    {"$id", KIND_TEXT},
    {"$recursiveAnchor", KIND_REFUSED},
    {"$recursiveRef", KIND_REFUSED},
    {"$ref", KIND_TEXT},
    {"$schema", KIND_TEXT},
    {"$vocabulary", KIND_REFUSED},
    {"additionalItems", KIND_SCHEMA},
    {"additionalProperties", KIND_SCHEMA},
    {"allOf", KIND_SCHEMAS},
    {"anyOf", KIND_SCHEMAS},
    {"const", KIND_ANY},
    {"contains", KIND_SCHEMA},
    {"contentEncoding", KIND_ANNOTATION},
    {"contentMediaType", KIND_ANNOTATION},
    {"contentSchema", KIND_ANNOTATION},
    {"default", KIND_ANNOTATION},
    {"definitions", KIND_SCHEMA_MAP},
    {"dependencies", KIND_DEPENDENCIES},
    {"dependentRequired", KIND_NAME_LISTS},
    {"dependentSchemas", KIND_SCHEMA_MAP},
    {"deprecated", KIND_ANNOTATION},
    {"description", KIND_ANNOTATION},
    {"discriminator", KIND_ANNOTATION},
    {"else", KIND_SCHEMA},
    {"enum", KIND_VALUES},
    {"example", KIND_ANNOTATION},
    {"examples", KIND_ANNOTATION},
    {"exclusiveMaximum", KIND_LIMIT},
    {"exclusiveMinimum", KIND_LIMIT},
    {"externalDocs", KIND_ANNOTATION},
    {"format", KIND_TEXT},
    {"id", KIND_TEXT},
    {"if", KIND_SCHEMA},
    {"items", KIND_ITEMS},
    {"maxContains", KIND_COUNT},
    {"maxItems", KIND_COUNT},
    {"maxLength", KIND_COUNT},
    {"maxProperties", KIND_COUNT},
    {"maximum", KIND_NUMBER},
    {"minContains", KIND_COUNT},
    {"minItems", KIND_COUNT},
    {"minLength", KIND_COUNT},
    {"minProperties", KIND_COUNT},
    {"minimum", KIND_NUMBER},
    {"multipleOf", KIND_POSITIVE},
    {"not", KIND_SCHEMA},
    {"oneOf", KIND_SCHEMAS},
    {"pattern", KIND_TEXT},
    {"patternProperties", KIND_SCHEMA_MAP},
    {"prefixItems", KIND_SCHEMAS},
    {"properties", KIND_SCHEMA_MAP},
    {"propertyNames", KIND_SCHEMA},
    {"readOnly", KIND_ANNOTATION},
    {"required", KIND_NAMES},
    {"strict", KIND_ANNOTATION},
    {"then", KIND_SCHEMA},
    {"title", KIND_ANNOTATION},
    {"type", KIND_TYPE},
    {"unevaluatedItems", KIND_SCHEMA},
    {"unevaluatedProperties", KIND_SCHEMA},
    {"uniqueItems", KIND_BOOLEAN},
    {"writeOnly", KIND_ANNOTATION},
    {"xml", KIND_ANNOTATION},
};

static const struct {
    const char *name;
    unsigned types;
} type_names[] = {{"null", UPG_TYPE_NULL},       {"boolean", UPG_TYPE_BOOLEAN},
                  {"integer", UPG_TYPE_INTEGER}, {"number", UPG_TYPE_NUMBER},
                  {"string", UPG_TYPE_STRING},   {"array", UPG_TYPE_ARRAY},
                  {"object", UPG_TYPE_OBJECT}};

static unsigned type_of_name(const char *name)
{
    for (size_t i = 0; name && i < sizeof type_names / sizeof *type_names; i++)
        if (strcmp(type_names[i].name, name) == 0)
            return type_names[i].types;
    return 0;
}

unsigned upg_schema_types(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    unsigned types = 0;

    if (!type)
        return UPG_TYPE_ANY;
    if (json_is_string(type))
        return type_of_name(json_string_value(type));
    for (size_t i = 0; i < json_array_size(type); i++)
        types |= type_of_name(json_string_value(json_array_get(type, i)));
    return types;
}

unsigned upg_type_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return UPG_TYPE_OBJECT;
    case JSON_ARRAY: return UPG_TYPE_ARRAY;
    case JSON_STRING: return UPG_TYPE_STRING;
    case JSON_INTEGER: return UPG_TYPE_INTEGER;
    case JSON_REAL:
        return json_real_value(value) == floor(json_real_value(value)) ? UPG_TYPE_INTEGER
                                                                       : UPG_TYPE_FRACTION;
    case JSON_TRUE:
    case JSON_FALSE: return UPG_TYPE_BOOLEAN;
    case JSON_NULL: return UPG_TYPE_NULL;
    }
    return 0;
}

uint32_t upg_schema_count(const json_t *schema, const char *key, uint32_t fallback)
{
    const json_t *value = json_object_get(schema, key);
    const double count = value ? json_number_value(value) : fallback;

    if (!value)
        return fallback;
    return count < UPG_EXPR_UNBOUNDED - 1 ? (uint32_t)count : UPG_EXPR_UNBOUNDED - 1;
}

static bool is_schema(const json_t *value)
{
    return json_is_object(value) || json_is_boolean(value);
}

static bool is_name_list(const json_t *value)
{
    if (!json_is_array(value))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_string(json_array_get(value, i)))
            return false;
    return true;
}

static bool is_schema_list(const json_t *value)
{
    if (!json_is_array(value))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!is_schema(json_array_get(value, i)))
            return false;
    return json_array_size(value) > 0;
}

/* An object whose values are schemas or name lists, as allowed. */
static bool is_map(const json_t *value, bool schemas, bool name_lists)
{
    const char *key;
    json_t *item;

    if (!json_is_object(value))
        return false;
    json_object_foreach((json_t *)value, key, item)
    {
        if (!(schemas && is_schema(item)) && !(name_lists && is_name_list(item)))
            return false;
    }
    return true;
}

static bool is_type(const json_t *value)
{
    if (json_is_string(value))
        return type_of_name(json_string_value(value)) != 0;
    if (!is_name_list(value) || json_array_size(value) == 0)
        return false;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (type_of_name(json_string_value(json_array_get(value, i))) == 0)
            return false;
    return true;
}

static bool is_count(const json_t *value)
{
    const double count = json_number_value(value);

    return json_is_number(value) && count >= 0 && count == floor(count);
}

/* What the value must be, if it is not. */
static const char *complaint(enum kind kind, const json_t *value)
{
    switch (kind) {
    case KIND_ANNOTATION:
    case KIND_ANY: return NULL;
    case KIND_SCHEMA: return is_schema(value) ? NULL : "must be a schema";
    case KIND_SCHEMAS:
        return is_schema_list(value) ? NULL : "must be an array of schemas, not empty";
    case KIND_SCHEMA_MAP: return is_map(value, true, false) ? NULL : "must be an object of schemas";
    case KIND_ITEMS:
        return is_schema(value) || is_schema_list(value) ||
                       (json_is_array(value) && json_array_size(value) == 0)
                   ? NULL
                   : "must be a schema or an array of schemas";
    case KIND_COUNT: return is_count(value) ? NULL : "must be an integer, 0 or more";
    case KIND_NUMBER: return json_is_number(value) ? NULL : "must be a number";
    case KIND_LIMIT:
        return json_is_number(value) || json_is_boolean(value) ? NULL : "must be a number";
    case KIND_POSITIVE:
        return json_is_number(value) && json_number_value(value) > 0
                   ? NULL
                   : "must be a number greater than 0";
    case KIND_TEXT: return json_is_string(value) ? NULL : "must be a string";
    case KIND_BOOLEAN: return json_is_boolean(value) ? NULL : "must be true or false";
    case KIND_NAMES: return is_name_list(value) ? NULL : "must be an array of strings";
    case KIND_NAME_LISTS:
        return is_map(value, false, true) ? NULL : "must be an object of arrays of strings";
    case KIND_DEPENDENCIES:
        return is_map(value, true, true) ? NULL
                                         : "must be an object of schemas or arrays of strings";
    case KIND_TYPE:
        return is_type(value) ? NULL
                              : "must be null, boolean, integer, number, string, array or object, "
                                "or an array of these";
    case KIND_VALUES:
        return json_is_array(value) && json_array_size(value) > 0
                   ? NULL
                   : "must be an array of values, not empty";
    case KIND_REFUSED: return "is not supported";
    }
    return NULL;
}

void upg_schema_check_keywords(struct upg_schema_context *ctx, const struct upg_element *element)
{
    const char *key, *wrong;
    json_t *value;
    size_t i;

    json_object_foreach((json_t *)element->schema, key, value)
    {
        for (i = 0; i < sizeof keywords / sizeof *keywords; i++)
            if (strcmp(keywords[i].name, key) == 0)
                break;
        if (i == sizeof keywords / sizeof *keywords) {
            if (strncmp(key, "x-", 2) == 0)
                continue;
            upg_schema_fail(ctx, UPG_ERR_UNSUPPORTED, element->path, key,
                            "there is no such keyword; it would have no effect");
            return;
        }
        wrong = complaint(keywords[i].kind, value);
        if (wrong) {
            upg_schema_fail(ctx,
                            keywords[i].kind == KIND_REFUSED ? UPG_ERR_UNSUPPORTED : UPG_ERR_FORMAT,
                            element->path, key, "%s", wrong);
            return;
        }
    }
    if (element->schema != ctx->root && json_object_get(element->schema, "$id") &&
        json_string_value(json_object_get(element->schema, "$id"))[0] != '#')
        upg_schema_fail(ctx, UPG_ERR_UNSUPPORTED, element->path, "$id",
                        "only the whole document may have an address of its own");
}
