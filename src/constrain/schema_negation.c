/* schema_negation.c -- not, and what oneOf and if exclude.
 *
 * Of strings, numbers, booleans and null the excluded values are an expression, and complements are
 * exact.  For objects and arrays three cases can be told: the negated schema allows none of
 * them, or all, or speaks only of single members; the last becomes a choice of what is missing
 * or different. Everything else is refused. */
#include "constrain/schema.h"

#include <string.h>

static const char *const object_keys[] = {
    "properties",        "required",         "minProperties",        "maxProperties",
    "patternProperties", "propertyNames",    "additionalProperties", "unevaluatedProperties",
    "dependentRequired", "dependentSchemas", "dependencies"};
static const char *const array_keys[] = {
    "items",    "prefixItems", "additionalItems",  "contains",    "minItems",
    "maxItems", "uniqueItems", "unevaluatedItems", "minContains", "maxContains"};

static bool has_any_key(const json_t *schema, const char *const *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (json_object_get(schema, keys[i]))
            return true;
    return false;
}

/* Has it no keyword about values but this one? */
static bool is_only(const json_t *schema, const char *only)
{
    static const char *const annotations[] = {"title", "description", "$comment", "default",
                                              "examples"};
    const char *key;
    json_t *value;
    bool is_alone = json_object_get(schema, only) != NULL;

    json_object_foreach((json_t *)schema, key, value)
    {
        bool is_known = strcmp(key, only) == 0;

        for (size_t i = 0; i < sizeof annotations / sizeof *annotations; i++)
            is_known |= strcmp(key, annotations[i]) == 0;
        is_alone &= is_known;
    }
    return is_alone;
}

/* Nothing but type, properties and required? */
static bool speaks_of_members(const json_t *schema)
{
    static const char *const keys[] = {"type",        "properties", "required", "title",
                                       "description", "$comment",   "default",  "examples"};
    const char *key;
    json_t *value;

    if (!json_object_get(schema, "properties") && !json_object_get(schema, "required"))
        return false;
    json_object_foreach((json_t *)schema, key, value)
    {
        size_t i = 0;

        while (i < sizeof keys / sizeof *keys && strcmp(keys[i], key) != 0)
            i++;
        if (i == sizeof keys / sizeof *keys)
            return false;
    }
    return true;
}

bool upg_schema_negate(struct upg_schema_context *ctx, uint32_t index,
                       struct upg_element_list *list)
{
    const struct upg_element element = ctx->elements[index];
    const json_t *schema = element.schema;

    if (json_is_boolean(schema)) {
        upg_element_list_add(ctx, list,
                             upg_element_make(ctx,
                                              json_is_true(schema) ? json_false() : json_true(),
                                              UPG_ASPECT_ALL, element.path, NULL, NULL));
        return false;
    }
    upg_schema_check_keywords(ctx, &element);
    if (ctx->status != UPG_OK)
        return false;
    if (json_object_size(schema) == 0) {
        upg_element_list_add(
            ctx, list,
            upg_element_make(ctx, json_false(), UPG_ASPECT_ALL, element.path, NULL, NULL));
        return false;
    }
    if (json_object_get(schema, "$ref") && (ctx->old_refs || is_only(schema, "$ref"))) {
        const char *path;
        const json_t *target = upg_schema_resolve(ctx, &element, &path);
        if (target)
            upg_element_list_add(ctx, list,
                                 upg_element_make(ctx, target, UPG_ASPECT_NOT, path, NULL, NULL));
        return false;
    }
    if (is_only(schema, "not")) {
        upg_element_list_add(ctx, list,
                             upg_element_make(ctx, json_object_get(schema, "not"), UPG_ASPECT_ALL,
                                              element.path, "not", NULL));
        return false;
    }
    if (is_only(schema, "anyOf")) { /* none of them */
        const json_t *any = json_object_get(schema, "anyOf");
        for (size_t i = 0; i < json_array_size(any); i++)
            upg_element_list_add(ctx, list,
                                 upg_element_make(ctx, json_array_get(any, i), UPG_ASPECT_NOT,
                                                  element.path, "anyOf", NULL));
        return false;
    }
    if (is_only(schema, "allOf") || speaks_of_members(schema)) {
        upg_element_list_add(
            ctx, list,
            upg_element_make(ctx, schema, UPG_ASPECT_NOT_ALTERNATIVE, element.path, NULL, NULL));
        return false;
    }
    return true;
}

/* One of allOf does not hold; or the type is another, a member is missing, or one is different. */
const json_t *upg_schema_not_alternatives(struct upg_schema_context *ctx,
                                          const struct upg_element *element)
{
    const json_t *all = json_object_get(element->schema, "allOf");
    const json_t *required = json_object_get(element->schema, "required");
    const json_t *type = json_object_get(element->schema, "type");
    json_t *list = json_array(), *value;
    const char *name;

    for (size_t i = 0; i < json_array_size(all); i++)
        json_array_append_new(list, json_pack("{s:O}", "not", json_array_get(all, i)));
    if (type)
        json_array_append_new(list, json_pack("{s:{s:O}}", "not", "type", type));
    for (size_t i = 0; i < json_array_size(required); i++)
        json_array_append_new(list, json_pack("{s:s, s:{s:b}}", "type", "object", "properties",
                                              json_string_value(json_array_get(required, i)), 0));
    json_object_foreach(json_object_get(element->schema, "properties"), name, value)
    {
        json_array_append_new(list, json_pack("{s:s, s:[s], s:{s:{s:O}}}", "type", "object",
                                              "required", name, "properties", name, "not", value));
    }
    return upg_schema_take(ctx, json_pack("{s:o}", "anyOf", list));
}

static upg_expr scalar_expr(struct upg_schema_context *ctx, const struct upg_facts *facts,
                            unsigned type)
{
    if (type == UPG_TYPE_STRING)
        return upg_schema_string(ctx, facts);
    if (type == UPG_TYPE_NUMBER)
        return upg_schema_number(ctx, facts);
    return upg_schema_word(ctx, facts, type);
}

/* The facts of a negated schema. */
static void negated_facts(struct upg_schema_context *ctx, uint32_t index, struct upg_facts *facts)
{
    const struct upg_element *element = &ctx->elements[index];

    upg_schema_flatten_plain(
        ctx, upg_element_make(ctx, element->schema, UPG_ASPECT_ALL, element->path, NULL, NULL),
        "what is excluded (not, oneOf, if)", facts);
    facts->is_excluded = true;
}

upg_expr upg_schema_without_nots(struct upg_schema_context *ctx, const struct upg_facts *facts,
                                 unsigned type, upg_expr e)
{
    for (size_t i = 0; i < facts->nots.n && ctx->status == UPG_OK; i++) {
        struct upg_facts negated = {0};

        negated_facts(ctx, facts->nots.items[i], &negated);
        if (!negated.is_false && (negated.types & type) && ctx->status == UPG_OK)
            e = upg_expr_and2(ctx->x, e, upg_expr_not(ctx->x, scalar_expr(ctx, &negated, type)));
        upg_facts_clear(&negated);
    }
    return e;
}

bool upg_schema_nots_exclude(struct upg_schema_context *ctx, const struct upg_facts *facts,
                             unsigned type)
{
    const bool is_object = type == UPG_TYPE_OBJECT;
    const char *const *keys = is_object ? object_keys : array_keys;
    const size_t n_keys = is_object ? sizeof object_keys / sizeof *object_keys
                                    : sizeof array_keys / sizeof *array_keys;
    bool excluded = false;

    for (size_t i = 0; i < facts->nots.n && ctx->status == UPG_OK; i++) {
        struct upg_facts negated = {0};
        bool has_keys = false;

        negated_facts(ctx, facts->nots.items[i], &negated);
        for (size_t k = 0; k < negated.base.n; k++)
            has_keys |= has_any_key(ctx->elements[negated.base.items[k]].schema, keys, n_keys);
        if ((negated.types & type) && !negated.is_false && (has_keys || negated.nots.n > 0))
            upg_schema_fail(ctx, UPG_ERR_UNSUPPORTED, ctx->elements[facts->nots.items[i]].path,
                            NULL,
                            "what %s this schema excludes cannot be told exactly (not, oneOf, "
                            "if); give alternatives that a required member's const tells apart",
                            is_object ? "objects" : "arrays");
        excluded |= (negated.types & type) && !negated.is_false && !has_keys;
        upg_facts_clear(&negated);
    }
    return excluded;
}
