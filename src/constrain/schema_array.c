/* schema_array.c -- arrays: the first items one by one, the others alike, and items to be found.
 *
 * contains: an item is "found" if it also satisfies that schema.  An item that is not counted may
 * satisfy it too, so a text may be read in several ways; that is what places are for.  Only with
 * maxContains the others must not satisfy it. */
#include "constrain/schema.h"

#include <stdlib.h>

/* The items of one schema in both of their spellings: prefixItems and items, or (up to 2019-09)
 * items and additionalItems. */
static const json_t *prefix_of(const json_t *schema)
{
    const json_t *items = json_object_get(schema, "items");

    return json_is_array(items) ? items : json_object_get(schema, "prefixItems");
}

static const json_t *rest_of(const json_t *schema, const char **key)
{
    const json_t *items = json_object_get(schema, "items");

    *key = json_is_array(items) ? "additionalItems" : "items";
    return json_object_get(schema, *key);
}

/* The goal of item i: what each schema says of it. */
static void item_goal(struct upg_schema_context *ctx, const struct upg_facts *facts, size_t i,
                      struct upg_element_list *list)
{
    for (size_t k = 0; k < facts->base.n; k++) {
        const struct upg_element element = ctx->elements[facts->base.items[k]];
        const json_t *prefix = prefix_of(element.schema);
        const char *key;
        const json_t *rest = rest_of(element.schema, &key);

        if (i < json_array_size(prefix))
            upg_element_list_add(ctx, list,
                                 upg_element_make(ctx, json_array_get(prefix, i), UPG_ASPECT_ALL,
                                                  element.path, "prefixItems", NULL));
        else if (rest)
            upg_element_list_add(
                ctx, list, upg_element_make(ctx, rest, UPG_ASPECT_ALL, element.path, key, NULL));
    }
}

static void refuse_keywords(struct upg_schema_context *ctx, const struct upg_element *element,
                            uint32_t max)
{
    if (json_is_true(json_object_get(element->schema, "uniqueItems")) && max > 1)
        upg_schema_fail(ctx, UPG_ERR_UNSUPPORTED, element->path, "uniqueItems",
                        "comparing items is not supported");
    if (json_object_get(element->schema, "unevaluatedItems") &&
        !json_is_true(json_object_get(element->schema, "unevaluatedItems")))
        upg_schema_fail(ctx, UPG_ERR_UNSUPPORTED, element->path, "unevaluatedItems",
                        "is not supported; use items");
}

/* The element with `contains`, if its counts want anything; UPG_NO_ID: none. */
static uint32_t find_contains(struct upg_schema_context *ctx, const struct upg_facts *facts,
                              size_t n_prefix)
{
    uint32_t found = UPG_NO_ID;

    for (size_t i = 0; i < facts->base.n; i++) {
        const struct upg_element *element = &ctx->elements[facts->base.items[i]];

        if (!json_object_get(element->schema, "contains") ||
            (upg_schema_count(element->schema, "minContains", 1) == 0 &&
             !json_object_get(element->schema, "maxContains")))
            continue;
        if (found != UPG_NO_ID || n_prefix > 0)
            upg_schema_fail(ctx, UPG_ERR_UNSUPPORTED, element->path, "contains",
                            "is not supported twice, or beside prefixItems");
        found = facts->base.items[i];
    }
    return found;
}

static void add_contains(struct upg_schema_context *ctx, struct upg_array *array, uint32_t index,
                         struct upg_element_list *item)
{
    const struct upg_element element = ctx->elements[index];
    const json_t *contains = json_object_get(element.schema, "contains");
    struct upg_element_list found = {0};

    for (size_t i = 0; i < item->n; i++)
        upg_element_list_add(ctx, &found, item->items[i]);
    upg_element_list_add(
        ctx, &found,
        upg_element_make(ctx, contains, UPG_ASPECT_ALL, element.path, "contains", NULL));
    array->found = upg_goal_unit(ctx, &found);
    array->min_found = upg_schema_count(element.schema, "minContains", 1);
    if (json_object_get(element.schema, "maxContains")) {
        array->max_found = upg_schema_count(element.schema, "maxContains", 0);
        upg_element_list_add(
            ctx, item,
            upg_element_make(ctx, contains, UPG_ASPECT_NOT, element.path, "contains", NULL));
    }
    free(found.items);
}

/* Fill array number `index` of the grammar. */
static void fill_array(struct upg_schema_context *ctx, const struct upg_facts *facts,
                       uint32_t index, size_t n_prefix, uint32_t min, uint32_t max)
{
    const uint32_t contains = find_contains(ctx, facts, n_prefix);
    struct upg_array array = ctx->g->arrays[index];
    struct upg_element_list item = {0};

    array.min = min;
    array.max = max;
    for (size_t i = 0; i < n_prefix; i++) {
        struct upg_element_list list = {0};

        item_goal(ctx, facts, i, &list);
        array.prefix[i] = upg_goal_unit(ctx, &list);
        free(list.items);
    }
    item_goal(ctx, facts, SIZE_MAX, &item);
    if (contains != UPG_NO_ID)
        add_contains(ctx, &array, contains, &item);
    array.item = upg_goal_unit(ctx, &item);
    free(item.items);
    ctx->g->arrays[index] = array; /* the prefix is the same memory */
}

upg_unit upg_schema_array(struct upg_schema_context *ctx, const struct upg_facts *facts)
{
    uint32_t min = 0, max = UPG_EXPR_UNBOUNDED, index;
    size_t n_prefix = 0;
    upg_unit parts[2];

    for (size_t i = 0; i < facts->base.n; i++) {
        const json_t *schema = ctx->elements[facts->base.items[i]].schema;
        const uint32_t low = upg_schema_count(schema, "minItems", 0);
        const uint32_t high = upg_schema_count(schema, "maxItems", UPG_EXPR_UNBOUNDED);
        const size_t n = json_array_size(prefix_of(schema));

        if (upg_schema_has_literals(schema) && upg_schema_literals_are_scalar(schema))
            return UPG_UNIT_NOTHING;
        min = low > min ? low : min;
        max = high < max ? high : max;
        n_prefix = n > n_prefix ? n : n_prefix;
    }
    for (size_t i = 0; i < facts->base.n; i++)
        refuse_keywords(ctx, &ctx->elements[facts->base.items[i]], max);
    if (upg_schema_nots_exclude(ctx, facts, UPG_TYPE_ARRAY) || ctx->status != UPG_OK)
        return UPG_UNIT_NOTHING;
    index = upg_grammar_add_array(ctx->g, n_prefix);
    if (index == UPG_NO_ID)
        return UPG_UNIT_NOTHING;
    fill_array(ctx, facts, index, n_prefix, min, max);
    parts[0] = upg_unit_expr(ctx->u, upg_expr_text(ctx->x, "[", 1));
    parts[1] = upg_unit_make(ctx->u, UPG_UNIT_KIND_ARRAY, index, 0, 0, 0);
    return upg_unit_sequence(ctx->u, ctx->x, parts, 2, false);
}
