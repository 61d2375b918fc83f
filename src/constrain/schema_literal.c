/* schema_literal.c -- enum and const.
 *
 * Scalars become texts: a string in all of its spellings, a number as it is usually written.  An
 * object or array becomes a schema whose members and items are const. */
#include "constrain/schema.h"

#include "constrain/json_text.h"

#include <stdlib.h>

bool upg_schema_has_literals(const json_t *schema)
{
    return json_object_get(schema, "enum") || json_object_get(schema, "const");
}

static bool is_scalar(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

bool upg_schema_literals_are_scalar(const json_t *schema)
{
    const json_t *values = json_object_get(schema, "enum");
    const json_t *value = json_object_get(schema, "const");

    if (value && !is_scalar(value))
        return false;
    for (size_t i = 0; i < json_array_size(values); i++)
        if (!is_scalar(json_array_get(values, i)))
            return false;
    return true;
}

/* The text of one literal. */
static upg_expr literal_text(struct upg_schema_context *ctx, const json_t *value,
                             const struct upg_facts *facts)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return upg_schema_quoted(ctx, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
    case JSON_REAL:
        for (size_t i = 0; i < facts->base.n; i++)
            if (!upg_schema_number_fits(ctx->elements[facts->base.items[i]].schema, value))
                return UPG_EXPR_NONE;
        return upg_number_text(ctx, value, facts->is_excluded);
    case JSON_TRUE: return upg_expr_text(ctx->x, "true", 4);
    case JSON_FALSE: return upg_expr_text(ctx->x, "false", 5);
    case JSON_NULL: return upg_expr_text(ctx->x, "null", 4);
    default: return UPG_EXPR_NONE;
    }
}

static upg_expr list_texts(struct upg_schema_context *ctx, const json_t *values, unsigned type,
                           const struct upg_facts *facts)
{
    const size_t n = json_array_size(values);
    upg_expr *list = malloc(n * sizeof *list + 1), e;
    size_t n_list = 0;

    if (!list) {
        upg_schema_fail_memory(ctx);
        return UPG_EXPR_NONE;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(values, i);
        if (upg_type_of(value) & type)
            list[n_list++] = literal_text(ctx, value, facts);
    }
    e = upg_expr_or(ctx->x, list, n_list);
    free(list);
    return e;
}

upg_expr upg_schema_literals(struct upg_schema_context *ctx, const struct upg_facts *facts,
                             unsigned type, bool *found)
{
    upg_expr e = UPG_EXPR_ALL;

    *found = false;
    for (size_t i = 0; i < facts->base.n; i++) {
        const json_t *schema = ctx->elements[facts->base.items[i]].schema;
        const json_t *values = json_object_get(schema, "enum");
        const json_t *value = json_object_get(schema, "const");

        if (!upg_schema_has_literals(schema) || !upg_schema_literals_are_scalar(schema))
            continue; /* the others are choices */
        *found = true;
        if (values)
            e = upg_expr_and2(ctx->x, e, list_texts(ctx, values, type, facts));
        if (value)
            e = upg_expr_and2(ctx->x, e,
                              upg_type_of(value) & type ? literal_text(ctx, value, facts)
                                                        : UPG_EXPR_NONE);
    }
    return e;
}

const json_t *upg_schema_of_value(struct upg_schema_context *ctx, const json_t *value)
{
    json_t *members = json_object(), *names = json_array(), *items = json_array(), *member;
    json_t *made = NULL;
    const char *name;

    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, name, member)
        {
            json_object_set_new(members, name, json_pack("{s:O}", "const", member));
            json_array_append_new(names, json_string(name));
        }
        made = json_pack("{s:s, s:O, s:O, s:b}", "type", "object", "properties", members,
                         "required", names, "additionalProperties", 0);
    } else {
        const json_int_t n = (json_int_t)json_array_size(value);

        for (size_t i = 0; i < json_array_size(value); i++)
            json_array_append_new(items, json_pack("{s:O}", "const", json_array_get(value, i)));
        made = n > 0 ? json_pack("{s:s, s:O, s:I, s:I}", "type", "array", "prefixItems", items,
                                 "minItems", n, "maxItems", n)
                     : json_pack("{s:s, s:I}", "type", "array", "maxItems", (json_int_t)0);
    }
    json_decref(members);
    json_decref(names);
    json_decref(items);
    return upg_schema_take(ctx, made);
}
