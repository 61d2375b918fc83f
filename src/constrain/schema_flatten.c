/* schema_flatten.c -- from the elements of a goal to its facts, or to its first choice. */
#include "constrain/schema.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_STEPS = 2000000 }; /* elements in all goals; about a second */

/* What one flattening has in hand. */
struct flattening {
    struct upg_element_list seen;    /* of aspect ALL and NOT, those that wait behind `next` */
    struct upg_element_list base;    /* of aspect BASE */
    struct upg_element_list nots;    /* of aspect NOT, to be kept */
    struct upg_element_list choices; /* of the other aspects */
    bool is_false;
};

static bool list_has(const struct upg_element_list *list, uint32_t element)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i] == element)
            return true;
    return false;
}

static void add_once(struct upg_schema_context *ctx, struct upg_element_list *list,
                     uint32_t element)
{
    if (!list_has(list, element))
        upg_element_list_add(ctx, list, element);
}

/* The element of another aspect of the same schema. */
static uint32_t other_aspect(struct upg_schema_context *ctx, const struct upg_element *element,
                             enum upg_aspect aspect)
{
    return upg_element_make(ctx, element->schema, aspect, element->path, NULL, NULL);
}

static void add_reference(struct upg_schema_context *ctx, struct flattening *f,
                          const struct upg_element *element)
{
    const char *path;
    const json_t *target = upg_schema_resolve(ctx, element, &path);

    if (target)
        add_once(ctx, &f->seen, upg_element_make(ctx, target, UPG_ASPECT_ALL, path, NULL, NULL));
}

/* The applicators of a schema. */
static void add_choices(struct upg_schema_context *ctx, struct flattening *f,
                        const struct upg_element *element)
{
    static const struct {
        const char *key;
        enum upg_aspect aspect;
    } applicators[] = {{"anyOf", UPG_ASPECT_ANY_OF},
                       {"oneOf", UPG_ASPECT_ONE_OF},
                       {"if", UPG_ASPECT_IF},
                       {"dependentRequired", UPG_ASPECT_DEPENDENT},
                       {"dependentSchemas", UPG_ASPECT_DEPENDENT},
                       {"dependencies", UPG_ASPECT_DEPENDENT}};

    for (size_t i = 0; i < sizeof applicators / sizeof *applicators; i++)
        if (json_object_get(element->schema, applicators[i].key))
            add_once(ctx, &f->choices, other_aspect(ctx, element, applicators[i].aspect));
    if (upg_schema_has_literals(element->schema) &&
        !upg_schema_literals_are_scalar(element->schema))
        add_once(ctx, &f->choices, other_aspect(ctx, element, UPG_ASPECT_ENUM));
}

static void flatten_schema(struct upg_schema_context *ctx, struct flattening *f, uint32_t index)
{
    const struct upg_element element = ctx->elements[index];
    const json_t *all = json_object_get(element.schema, "allOf");
    const json_t *not = json_object_get(element.schema, "not");

    if (json_is_boolean(element.schema)) {
        f->is_false |= json_is_false(element.schema);
        return;
    }
    upg_schema_check_keywords(ctx, &element);
    if (ctx->status != UPG_OK)
        return;
    if (json_object_get(element.schema, "$ref")) {
        add_reference(ctx, f, &element);
        if (ctx->old_refs)
            return;
    }
    for (size_t i = 0; i < json_array_size(all); i++)
        add_once(ctx, &f->seen,
                 upg_element_make(ctx, json_array_get(all, i), UPG_ASPECT_ALL, element.path,
                                  "allOf", NULL));
    if (not )
        add_once(ctx, &f->seen,
                 upg_element_make(ctx, not, UPG_ASPECT_NOT, element.path, "not", NULL));
    add_choices(ctx, f, &element);
    add_once(ctx, &f->base, other_aspect(ctx, &element, UPG_ASPECT_BASE));
}

static void flatten_element(struct upg_schema_context *ctx, struct flattening *f, uint32_t index)
{
    switch (ctx->elements[index].aspect) {
    case UPG_ASPECT_ALL: flatten_schema(ctx, f, index); break;
    case UPG_ASPECT_BASE: add_once(ctx, &f->base, index); break;
    case UPG_ASPECT_NOT:
        if (upg_schema_negate(ctx, index, &f->seen))
            add_once(ctx, &f->nots, index);
        break;
    default: add_once(ctx, &f->choices, index); break;
    }
}

static void flatten_all(struct upg_schema_context *ctx, struct flattening *f,
                        const uint32_t *elements, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add_once(ctx, &f->seen, elements[i]);
    for (size_t next = 0; next < f->seen.n && ctx->status == UPG_OK; next++) {
        if (++ctx->n_steps > MAX_STEPS)
            upg_schema_fail(ctx, UPG_ERR_UNSUPPORTED, "", NULL,
                            "its schemas combine in too many ways; simplify it");
        flatten_element(ctx, f, f->seen.items[next]);
    }
}

static void clear_flattening(struct flattening *f)
{
    free(f->seen.items);
    free(f->base.items);
    free(f->nots.items);
    free(f->choices.items);
}

/* The types that all schemas allow, enum and const included. */
static unsigned types_of(struct upg_schema_context *ctx, const struct upg_element_list *base)
{
    unsigned types = UPG_TYPE_ANY;

    for (size_t i = 0; i < base->n; i++) {
        const json_t *schema = ctx->elements[base->items[i]].schema;
        const json_t *values = json_object_get(schema, "enum");
        const json_t *value = json_object_get(schema, "const");
        unsigned literal_types = 0;

        types &= upg_schema_types(schema);
        if (!upg_schema_has_literals(schema) || !upg_schema_literals_are_scalar(schema))
            continue;
        for (size_t k = 0; k < json_array_size(values); k++)
            literal_types |= upg_type_of(json_array_get(values, k));
        types &= values ? literal_types : UPG_TYPE_ANY;
        types &= value ? upg_type_of(value) : UPG_TYPE_ANY;
    }
    return types;
}

void upg_schema_flatten(struct upg_schema_context *ctx, const uint32_t *elements, size_t n,
                        struct upg_facts *facts, upg_unit *choice)
{
    struct flattening f = {0};
    struct upg_element_list others = {0};

    *choice = UPG_UNIT_NOTHING;
    flatten_all(ctx, &f, elements, n);
    if (ctx->status == UPG_OK && !f.is_false && f.choices.n > 0) {
        for (size_t i = 0; i < f.base.n; i++)
            upg_element_list_add(ctx, &others, f.base.items[i]);
        for (size_t i = 0; i < f.nots.n; i++)
            upg_element_list_add(ctx, &others, f.nots.items[i]);
        for (size_t i = 1; i < f.choices.n; i++)
            upg_element_list_add(ctx, &others, f.choices.items[i]);
        *choice = upg_schema_choice(ctx, f.choices.items[0], &others);
        f.is_false = true; /* if the choice is none */
        free(others.items);
    }
    *facts = (struct upg_facts){
        .base = f.base, .nots = f.nots, .types = types_of(ctx, &f.base), .is_false = f.is_false};
    f.base = f.nots = (struct upg_element_list){0};
    clear_flattening(&f);
}

void upg_schema_flatten_plain(struct upg_schema_context *ctx, uint32_t element, const char *what,
                              struct upg_facts *facts)
{
    struct flattening f = {0};

    flatten_all(ctx, &f, &element, 1);
    if (ctx->status == UPG_OK && f.choices.n > 0)
        upg_schema_fail(ctx, UPG_ERR_UNSUPPORTED, ctx->elements[f.choices.items[0]].path, NULL,
                        "choices like anyOf are not supported inside %s", what);
    *facts = (struct upg_facts){
        .base = f.base, .nots = f.nots, .types = types_of(ctx, &f.base), .is_false = f.is_false};
    f.base = f.nots = (struct upg_element_list){0};
    clear_flattening(&f);
}

void upg_facts_clear(struct upg_facts *facts)
{
    free(facts->base.items);
    free(facts->nots.items);
    *facts = (struct upg_facts){0};
}
