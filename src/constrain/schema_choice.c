/* schema_choice.c -- anyOf, oneOf, if, dependencies, and literals that are objects or arrays.
 *
 * Each becomes a choice between goals: the other elements of the goal and one alternative.  oneOf
 * wants exactly one: alternatives that cannot hold at the same time need nothing more, for others
 * the rest is excluded by negation, which is refused where it cannot be done exactly. */
#include "constrain/schema.h"

#include <stdlib.h>
#include <string.h>

/* The alternatives as units. */
struct alternatives {
    upg_unit *units; /* [n] room for `capacity` */
    size_t n, capacity;
};

/* Add the goal of `others` and the given elements. */
static void add_alternative(struct upg_schema_context *ctx, struct alternatives *a,
                            const struct upg_element_list *others, const uint32_t *elements,
                            size_t n)
{
    struct upg_element_list list = {0};

    for (size_t i = 0; i < others->n; i++)
        upg_element_list_add(ctx, &list, others->items[i]);
    for (size_t i = 0; i < n; i++)
        upg_element_list_add(ctx, &list, elements[i]);
    if (a->n < a->capacity)
        a->units[a->n++] = upg_goal_unit(ctx, &list);
    free(list.items);
}

static uint32_t child(struct upg_schema_context *ctx, const struct upg_element *parent,
                      const json_t *schema, enum upg_aspect aspect, const char *key)
{
    return upg_element_make(ctx, schema, aspect, parent->path, key, NULL);
}

static void choose_any(struct upg_schema_context *ctx, const struct upg_element *element,
                       const json_t *list, const char *key, const struct upg_element_list *others,
                       struct alternatives *a)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const uint32_t one = child(ctx, element, json_array_get(list, i), UPG_ASPECT_ALL, key);
        add_alternative(ctx, a, others, &one, 1);
    }
}

/* What is behind a $ref without siblings that matter here. */
static const json_t *behind_reference(struct upg_schema_context *ctx, const json_t *schema,
                                      const char *path)
{
    for (size_t i = 0; i < 16 && json_object_get(schema, "$ref") && ctx->status == UPG_OK; i++) {
        const struct upg_element element = {schema, UPG_ASPECT_ALL, path};
        const json_t *target = upg_schema_resolve(ctx, &element, &path);

        if (!target)
            break;
        schema = target;
    }
    return schema;
}

/* The values that const and enum leave; NULL: not limited. */
static const json_t *literals_of(const json_t *schema, size_t *n)
{
    const json_t *value = json_object_get(schema, "const");
    const json_t *values = json_object_get(schema, "enum");

    *n = value ? 1 : json_array_size(values);
    return value ? value : values;
}

static const json_t *literal_at(const json_t *schema, const json_t *literals, size_t i)
{
    return json_object_get(schema, "const") ? literals : json_array_get(literals, i);
}

static bool share_literals(const json_t *p, const json_t *q)
{
    size_t n, m;
    const json_t *ps = literals_of(p, &n), *qs = literals_of(q, &m);

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < m; k++) {
            const json_t *a = literal_at(p, ps, i), *b = literal_at(q, qs, k);

            if (json_is_number(a) && json_is_number(b)
                    ? json_number_value(a) == json_number_value(b)
                    : json_equal(a, b))
                return true;
        }
    return false;
}

static bool is_required(const json_t *schema, const char *name)
{
    const json_t *required = json_object_get(schema, "required");

    for (size_t i = 0; i < json_array_size(required); i++)
        if (strcmp(json_string_value(json_array_get(required, i)), name) == 0)
            return true;
    return false;
}

static bool are_apart(struct upg_schema_context *ctx, const json_t *p, const json_t *q,
                      const char *path, unsigned depth);

/* A member that one must have and the other must not, or that both must have with different
 * values. */
static bool members_are_apart(struct upg_schema_context *ctx, const json_t *p, const json_t *q,
                              const char *path, unsigned depth)
{
    const json_t *required = json_object_get(p, "required");
    const json_t *mine = json_object_get(p, "properties"), *its = json_object_get(q, "properties");

    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        const json_t *member = json_object_get(its, name);

        if (!member && json_is_false(json_object_get(q, "additionalProperties")) &&
            !json_object_get(q, "patternProperties"))
            return true;
        if (json_is_false(member))
            return true;
        if (member && json_object_get(mine, name) && is_required(q, name) &&
            are_apart(ctx, json_object_get(mine, name), member, path, depth + 1))
            return true;
    }
    return false;
}

/* Can no value satisfy both, as far as can be seen at once? */
static bool are_apart(struct upg_schema_context *ctx, const json_t *p, const json_t *q,
                      const char *path, unsigned depth)
{
    size_t n, m;
    unsigned types;

    if (depth > 4)
        return false;
    p = behind_reference(ctx, p, path);
    q = behind_reference(ctx, q, path);
    if (json_is_false(p) || json_is_false(q))
        return true;
    if (!json_is_object(p) || !json_is_object(q))
        return false;
    types = upg_schema_types(p) & upg_schema_types(q);
    if (types == 0)
        return true;
    if (literals_of(p, &n) && literals_of(q, &m))
        return !share_literals(p, q);
    if (types == UPG_TYPE_OBJECT)
        return members_are_apart(ctx, p, q, path, depth) ||
               members_are_apart(ctx, q, p, path, depth);
    return false;
}

static void choose_one(struct upg_schema_context *ctx, const struct upg_element *element,
                       const struct upg_element_list *others, struct alternatives *a)
{
    const json_t *list = json_object_get(element->schema, "oneOf");
    const size_t n = json_array_size(list);

    for (size_t i = 0; i < n && ctx->status == UPG_OK; i++) {
        struct upg_element_list chosen = {0};

        upg_element_list_add(ctx, &chosen,
                             child(ctx, element, json_array_get(list, i), UPG_ASPECT_ALL, "oneOf"));
        for (size_t k = 0; k < n; k++)
            if (k != i &&
                !are_apart(ctx, json_array_get(list, i), json_array_get(list, k), element->path, 0))
                upg_element_list_add(
                    ctx, &chosen,
                    child(ctx, element, json_array_get(list, k), UPG_ASPECT_NOT, "oneOf"));
        add_alternative(ctx, a, others, chosen.items, chosen.n);
        free(chosen.items);
    }
}

/* (if and then) or (not if and else) */
static void choose_if(struct upg_schema_context *ctx, const struct upg_element *element,
                      const struct upg_element_list *others, struct alternatives *a)
{
    const json_t *condition = json_object_get(element->schema, "if");
    const json_t *then = json_object_get(element->schema, "then");
    const json_t *other = json_object_get(element->schema, "else");
    uint32_t elements[2];

    if (!then && !other) {
        add_alternative(ctx, a, others, NULL, 0);
        return;
    }
    elements[0] = child(ctx, element, condition, UPG_ASPECT_ALL, "if");
    elements[1] = child(ctx, element, then ? then : json_true(), UPG_ASPECT_ALL, "then");
    add_alternative(ctx, a, others, elements, 2);
    elements[0] = child(ctx, element, condition, UPG_ASPECT_NOT, "if");
    elements[1] = child(ctx, element, other ? other : json_true(), UPG_ASPECT_ALL, "else");
    add_alternative(ctx, a, others, elements, 2);
}

/* Without the member, or with it and what depends on it; so for each member. */
static const json_t *dependency_schema(struct upg_schema_context *ctx, const json_t *map)
{
    json_t *all = json_array();
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)map, name, value)
    {
        json_t *then =
            json_is_array(value) ? json_pack("{s:O}", "required", value) : json_incref(value);
        json_array_append_new(
            all,
            json_pack("{s:[{s:{s:b}}, {s:[{s:s, s:[s]}, o]}, {s:[s, s, s, s, s, s]}]}", "anyOf",
                      "properties", name, 0, "allOf", "type", "object", "required", name, then,
                      "type", "null", "boolean", "number", "string", "array", "integer"));
    }
    return upg_schema_take(ctx, json_pack("{s:o}", "allOf", all));
}

static void choose_dependent(struct upg_schema_context *ctx, const struct upg_element *element,
                             const struct upg_element_list *others, struct alternatives *a)
{
    static const char *const keys[] = {"dependentRequired", "dependentSchemas", "dependencies"};
    uint32_t elements[3];
    size_t n = 0;

    for (size_t i = 0; i < 3; i++) {
        const json_t *map = json_object_get(element->schema, keys[i]);
        if (map)
            elements[n++] =
                child(ctx, element, dependency_schema(ctx, map), UPG_ASPECT_ALL, keys[i]);
    }
    add_alternative(ctx, a, others, elements, n);
}

/* The scalars among the literals, and each object or array as a schema of its own. */
static void choose_literal(struct upg_schema_context *ctx, const struct upg_element *element,
                           const struct upg_element_list *others, struct alternatives *a)
{
    const char *key = json_object_get(element->schema, "const") ? "const" : "enum";
    json_t *scalars = json_array();
    size_t n;
    const json_t *literals = literals_of(element->schema, &n);
    uint32_t one;

    for (size_t i = 0; i < n && ctx->status == UPG_OK; i++) {
        const json_t *value = literal_at(element->schema, literals, i);

        if (!json_is_object(value) && !json_is_array(value)) {
            json_array_append(scalars, (json_t *)value);
            continue;
        }
        one = child(ctx, element, upg_schema_of_value(ctx, value), UPG_ASPECT_ALL, key);
        add_alternative(ctx, a, others, &one, 1);
    }
    if (json_array_size(scalars) > 0) {
        one = child(ctx, element, upg_schema_take(ctx, json_pack("{s:O}", "enum", scalars)),
                    UPG_ASPECT_ALL, key);
        add_alternative(ctx, a, others, &one, 1);
    }
    json_decref(scalars);
}

/* Most alternatives that an element can have. */
static size_t n_alternatives(const struct upg_element *element)
{
    static const char *const keys[] = {"anyOf", "oneOf", "enum"};
    size_t most = 4;

    for (size_t i = 0; i < 3; i++) {
        const size_t n = json_array_size(json_object_get(element->schema, keys[i]));
        most = n + 1 > most ? n + 1 : most;
    }
    return most;
}

upg_unit upg_schema_choice(struct upg_schema_context *ctx, uint32_t index,
                           const struct upg_element_list *others)
{
    struct upg_element element = ctx->elements[index];
    struct alternatives a = {0};
    upg_unit unit = UPG_UNIT_NOTHING;

    if (element.aspect == UPG_ASPECT_NOT_ALTERNATIVE)
        element.schema = upg_schema_not_alternatives(ctx, &element);
    a.capacity = n_alternatives(&element);
    a.units = malloc(a.capacity * sizeof *a.units);
    if (!a.units) {
        upg_schema_fail_memory(ctx);
        return unit;
    }
    switch (element.aspect) {
    case UPG_ASPECT_ANY_OF:
        choose_any(ctx, &element, json_object_get(element.schema, "anyOf"), "anyOf", others, &a);
        break;
    case UPG_ASPECT_NOT_ALTERNATIVE:
        choose_any(ctx, &element, json_object_get(element.schema, "anyOf"), NULL, others, &a);
        break;
    case UPG_ASPECT_ONE_OF: choose_one(ctx, &element, others, &a); break;
    case UPG_ASPECT_IF: choose_if(ctx, &element, others, &a); break;
    case UPG_ASPECT_DEPENDENT: choose_dependent(ctx, &element, others, &a); break;
    default: choose_literal(ctx, &element, others, &a); break;
    }
    if (ctx->status == UPG_OK)
        unit = upg_unit_choice(ctx->u, ctx->x, a.units, a.n, false);
    free(a.units);
    return unit;
}
