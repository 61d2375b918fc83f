/* schema_object.c -- objects: the declared members in their order, then members with other names.
 *
 * What a member's value must be is what every schema of the goal says of its name: properties,
 * patternProperties that match, and additionalProperties where neither does.  Other names fall into
 * classes by the patterns that they match; for each class that is the same for all its names. */
#include "constrain/schema.h"

#include "constrain/grow.h"
#include "constrain/pattern.h"

#include <stdio.h>
#include <string.h>

enum { MAX_PATTERNS = 6 }; /* there are up to 2^6 classes of names */

/* A pattern of patternProperties, once for all schemas that have it. */
struct name_pattern {
    const char *text;
    upg_expr strings; /* those that match, with their quotes */
};

/* What is known while an object is built. */
struct object_builder {
    struct upg_schema_context *ctx;
    const struct upg_facts *facts;
    const char **names; /* [n_names] of declared members; C strings of the document */
    size_t n_names, name_capacity;
    struct upg_id_table name_table;
    struct name_pattern patterns[MAX_PATTERNS];
    size_t n_patterns;
    upg_expr allowed; /* strings that propertyNames allows */
};

static const struct upg_element *base_element(const struct object_builder *b, size_t i)
{
    return &b->ctx->elements[b->facts->base.items[i]];
}

static uint32_t hash_name(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

static void add_name(struct object_builder *b, const char *name)
{
    const uint32_t hash = hash_name(name);
    size_t cursor = SIZE_MAX;
    const char **names;
    uint32_t id;

    while ((id = upg_id_table_next(&b->name_table, hash, &cursor)) != UPG_NO_ID)
        if (strcmp(b->names[id], name) == 0)
            return;
    names = upg_grow(b->names, &b->name_capacity, b->n_names + 1, sizeof *names);
    if (names)
        b->names = names;
    if (!names || !upg_id_table_add(&b->name_table, hash, (uint32_t)b->n_names)) {
        upg_schema_fail_memory(b->ctx);
        return;
    }
    names[b->n_names++] = name;
}

/* In the order of the document; required names that are not declared come last. */
static void collect_names(struct object_builder *b)
{
    const char *name;
    json_t *value;

    for (size_t i = 0; i < b->facts->base.n; i++) {
        json_object_foreach(json_object_get(base_element(b, i)->schema, "properties"), name, value)
        {
            add_name(b, name);
        }
    }
    for (size_t i = 0; i < b->facts->base.n; i++) {
        const json_t *required = json_object_get(base_element(b, i)->schema, "required");
        for (size_t k = 0; k < json_array_size(required); k++)
            add_name(b, json_string_value(json_array_get(required, k)));
    }
}

static void add_pattern(struct object_builder *b, const struct upg_element *element,
                        const char *text)
{
    struct upg_schema_context *ctx = b->ctx;
    char where[512];
    bool is_exact;
    upg_expr e = UPG_EXPR_NONE;

    for (size_t i = 0; i < b->n_patterns; i++)
        if (strcmp(b->patterns[i].text, text) == 0)
            return;
    if (b->n_patterns == MAX_PATTERNS) {
        upg_schema_fail(ctx, UPG_ERR_UNSUPPORTED, element->path, "patternProperties",
                        "more than %d patterns for one object are not supported", MAX_PATTERNS);
        return;
    }
    snprintf(where, sizeof where, "schema: %s/patternProperties", element->path);
    if (ctx->status == UPG_OK)
        ctx->status =
            upg_pattern_search(ctx->x, where, text, strlen(text), &e, &is_exact, ctx->err);
    b->patterns[b->n_patterns++] = (struct name_pattern){text, e};
}

static void collect_patterns(struct object_builder *b)
{
    const char *text;
    json_t *value;

    for (size_t i = 0; i < b->facts->base.n && b->ctx->status == UPG_OK; i++) {
        const struct upg_element element = *base_element(b, i);

        json_object_foreach(json_object_get(element.schema, "patternProperties"), text, value)
        {
            add_pattern(b, &element, text);
        }
    }
}

/* What propertyNames allows, as strings. */
static void collect_allowed(struct object_builder *b)
{
    struct upg_schema_context *ctx = b->ctx;

    b->allowed = UPG_EXPR_ALL;
    for (size_t i = 0; i < b->facts->base.n && ctx->status == UPG_OK; i++) {
        const struct upg_element element = *base_element(b, i);
        const json_t *names = json_object_get(element.schema, "propertyNames");
        struct upg_facts facts = {0};
        uint32_t index;

        if (!names)
            continue;
        index = upg_element_make(ctx, names, UPG_ASPECT_ALL, element.path, "propertyNames", NULL);
        upg_schema_flatten_plain(ctx, index, "propertyNames", &facts);
        b->allowed = facts.is_false || !(facts.types & UPG_TYPE_STRING)
                         ? UPG_EXPR_NONE
                         : upg_expr_and2(ctx->x, b->allowed, upg_schema_string(ctx, &facts));
        upg_facts_clear(&facts);
    }
}

/* Is the name among these strings? */
static bool name_is_in(struct object_builder *b, const char *name, upg_expr strings)
{
    json_t *string = json_string(name);
    char *text = json_dumps(string, JSON_ENCODE_ANY);
    bool is_in = false;

    json_decref(string);
    if (!text)
        upg_schema_fail_memory(b->ctx);
    for (const char *c = text; c && *c; c++)
        strings = upg_expr_derive(b->ctx->x, strings, (unsigned char)*c);
    if (text)
        is_in = upg_expr_is_nullable(b->ctx->x, strings);
    free(text);
    return is_in;
}

static bool has_pattern(const struct object_builder *b, const json_t *schema, size_t pattern)
{
    return json_object_get(json_object_get(schema, "patternProperties"),
                           b->patterns[pattern].text) != NULL;
}

/* What one schema says of a member: by its declaration (may be NULL), by the patterns whose bits
 * are set, or by additionalProperties. */
static void add_member_elements(struct object_builder *b, struct upg_element element,
                                const json_t *declared, const char *name, unsigned pattern_bits,
                                struct upg_element_list *list)
{
    struct upg_schema_context *ctx = b->ctx;
    const json_t *additional = json_object_get(element.schema, "additionalProperties");
    bool is_additional = !declared;

    if (declared)
        upg_element_list_add(
            ctx, list,
            upg_element_make(ctx, declared, UPG_ASPECT_ALL, element.path, "properties", name));
    for (size_t p = 0; p < b->n_patterns; p++) {
        if (!(pattern_bits >> p & 1) || !has_pattern(b, element.schema, p))
            continue;
        is_additional = false;
        upg_element_list_add(
            ctx, list,
            upg_element_make(ctx,
                             json_object_get(json_object_get(element.schema, "patternProperties"),
                                             b->patterns[p].text),
                             UPG_ASPECT_ALL, element.path, "patternProperties",
                             b->patterns[p].text));
    }
    if (is_additional && additional)
        upg_element_list_add(ctx, list,
                             upg_element_make(ctx, additional, UPG_ASPECT_ALL, element.path,
                                              "additionalProperties", NULL));
}

static bool is_required(const struct object_builder *b, const char *name)
{
    for (size_t i = 0; i < b->facts->base.n; i++) {
        const json_t *required = json_object_get(base_element(b, i)->schema, "required");
        for (size_t k = 0; k < json_array_size(required); k++)
            if (strcmp(json_string_value(json_array_get(required, k)), name) == 0)
                return true;
    }
    return false;
}

static struct upg_member make_member(struct object_builder *b, const char *name)
{
    struct upg_schema_context *ctx = b->ctx;
    const struct upg_json_marks *marks = &ctx->g->marks;
    struct upg_member member = {.required = is_required(b, name), .value = UPG_UNIT_NOTHING};
    struct upg_element_list list = {0};
    unsigned bits = 0;

    for (size_t p = 0; p < b->n_patterns; p++)
        if (name_is_in(b, name, b->patterns[p].strings))
            bits |= 1u << p;
    for (size_t i = 0; i < b->facts->base.n; i++) {
        const struct upg_element element = *base_element(b, i);

        add_member_elements(b, element,
                            json_object_get(json_object_get(element.schema, "properties"), name),
                            name, bits, &list);
    }
    if (b->allowed == UPG_EXPR_ALL || name_is_in(b, name, b->allowed))
        member.value = upg_goal_unit(ctx, &list);
    free(list.items);
    member.name[0] =
        upg_expr_concat(ctx->x, upg_schema_quoted(ctx, name, strlen(name)), marks->colon);
    member.name[1] = upg_expr_concat(ctx->x, marks->comma, member.name[0]);
    member.name[0] = upg_expr_concat(ctx->x, marks->space, member.name[0]);
    return member;
}

/* Strings that are no declared name, match exactly the patterns of the bits, and are allowed. */
static upg_expr class_strings(struct object_builder *b, upg_expr others, unsigned bits)
{
    struct upg_exprs *x = b->ctx->x;
    upg_expr e = upg_expr_and2(x, others, b->allowed);

    for (size_t p = 0; p < b->n_patterns; p++) {
        const upg_expr strings = b->patterns[p].strings;
        e = upg_expr_and2(x, e, bits >> p & 1 ? strings : upg_expr_not(x, strings));
    }
    return e;
}

/* The class of names with these patterns; its value is UPG_UNIT_NOTHING if there can be none. */
static struct upg_free_class make_class(struct object_builder *b, upg_expr others, unsigned bits)
{
    struct upg_free_class class = {.value = UPG_UNIT_NOTHING, .name = UPG_EXPR_NONE};
    struct upg_element_list list = {0};
    bool is_false = false;

    for (size_t i = 0; i < b->facts->base.n; i++)
        add_member_elements(b, *base_element(b, i), NULL, NULL, bits, &list);
    for (size_t i = 0; i < list.n; i++)
        is_false |= json_is_false(b->ctx->elements[list.items[i]].schema);
    if (!is_false) {
        class.name = upg_expr_derive(b->ctx->x, class_strings(b, others, bits), '"');
        class.value = upg_goal_unit(b->ctx, &list);
    }
    free(list.items);
    return class;
}

static void make_classes(struct object_builder *b, struct upg_object *object)
{
    struct upg_exprs *x = b->ctx->x;
    upg_expr *declared = malloc(b->n_names * sizeof *declared + 1);
    upg_expr others = upg_schema_any_string(b->ctx, 0, UPG_EXPR_UNBOUNDED);
    uint32_t n = 0;

    if (!declared) {
        upg_schema_fail_memory(b->ctx);
        return;
    }
    for (size_t i = 0; i < b->n_names; i++)
        declared[i] = upg_schema_quoted(b->ctx, b->names[i], strlen(b->names[i]));
    if (b->n_names > 0)
        others = upg_expr_and2(x, others, upg_expr_not(x, upg_expr_or(x, declared, b->n_names)));
    free(declared);
    for (unsigned bits = 0; bits < 1u << b->n_patterns && b->ctx->status == UPG_OK; bits++) {
        const struct upg_free_class class = make_class(b, others, bits);
        if (class.value != UPG_UNIT_NOTHING)
            object->classes[n++] = class;
    }
    object->n_classes = n;
}

/* Has it finitely many texts?  A repetition without end, or what a complement leaves, may have
 * more. */
static bool is_finite(const struct upg_exprs *x, upg_expr e)
{
    for (;;) {
        const struct upg_expr_node node = x->nodes[e];
        bool any = false, all = true;

        switch ((enum upg_expr_kind)node.kind) {
        case UPG_EXPR_KIND_CONCAT:
            if (!is_finite(x, node.a))
                return false;
            e = node.b;
            continue;
        case UPG_EXPR_KIND_REPEAT:
            if (node.c == UPG_EXPR_UNBOUNDED)
                return false;
            e = node.a;
            continue;
        case UPG_EXPR_KIND_OR:
        case UPG_EXPR_KIND_AND:
            for (uint32_t i = 0; i < node.b; i++) {
                const bool one = is_finite(x, x->lists[node.a + i]);
                any |= one;
                all &= one;
            }
            return node.kind == UPG_EXPR_KIND_AND ? any : all;
        case UPG_EXPR_KIND_ALL:
        case UPG_EXPR_KIND_NOT:
        case UPG_EXPR_KIND_REMAINDER: return false;
        default: return true;
        }
    }
}

/* Members may run out before there are enough of them; that would be a dead end. */
static void check_minimum(struct object_builder *b, const struct upg_object *object)
{
    bool is_endless = object->n_classes == 0; /* then the declared ones are counted */

    for (uint32_t i = 0; i < object->n_classes; i++)
        is_endless |= !is_finite(b->ctx->x, object->classes[i].name);
    if (object->min > object->n_members &&
        (!is_endless || object->min - object->n_members > UPG_OBJECT_MAX_FREE))
        upg_schema_fail(b->ctx, UPG_ERR_UNSUPPORTED, base_element(b, 0)->path, "minProperties",
                        "cannot be kept: there are too few names, or more than %d are to be found",
                        UPG_OBJECT_MAX_FREE);
}

static void read_counts(struct object_builder *b, struct upg_object *object)
{
    for (size_t i = 0; i < b->facts->base.n; i++) {
        const struct upg_element *element = base_element(b, i);
        const uint32_t low = upg_schema_count(element->schema, "minProperties", 0);
        const uint32_t high =
            upg_schema_count(element->schema, "maxProperties", UPG_EXPR_UNBOUNDED);

        object->min = low > object->min ? low : object->min;
        object->max = high < object->max ? high : object->max;
        if (json_object_get(element->schema, "unevaluatedProperties") &&
            !json_is_true(json_object_get(element->schema, "unevaluatedProperties")))
            upg_schema_fail(b->ctx, UPG_ERR_UNSUPPORTED, element->path, "unevaluatedProperties",
                            "is not supported; use additionalProperties");
    }
}

static upg_unit build(struct object_builder *b)
{
    struct upg_schema_context *ctx = b->ctx;
    struct upg_object object;
    uint32_t index;
    upg_unit parts[2];

    collect_names(b);
    collect_patterns(b);
    collect_allowed(b);
    if (ctx->status != UPG_OK)
        return UPG_UNIT_NOTHING;
    index = upg_grammar_add_object(ctx->g, b->n_names, (size_t)1 << b->n_patterns);
    if (index == UPG_NO_ID)
        return UPG_UNIT_NOTHING;
    object = ctx->g->objects[index];
    read_counts(b, &object);
    for (size_t i = 0; i < b->n_names; i++)
        object.members[i] = make_member(b, b->names[i]);
    make_classes(b, &object);
    check_minimum(b, &object);
    ctx->g->objects[index] = object; /* members and classes are the same memory */
    parts[0] = upg_unit_expr(ctx->u, upg_expr_text(ctx->x, "{", 1));
    parts[1] = upg_unit_make(ctx->u, UPG_UNIT_KIND_OBJECT, index, 0, 0, UPG_EXPR_NONE);
    return upg_unit_sequence(ctx->u, ctx->x, parts, 2, false);
}

upg_unit upg_schema_object(struct upg_schema_context *ctx, const struct upg_facts *facts)
{
    struct object_builder b = {.ctx = ctx, .facts = facts};
    upg_unit unit = UPG_UNIT_NOTHING;

    for (size_t i = 0; i < facts->base.n; i++) {
        const json_t *schema = ctx->elements[facts->base.items[i]].schema;
        if (upg_schema_has_literals(schema) && upg_schema_literals_are_scalar(schema))
            return unit;
    }
    if (!upg_schema_nots_exclude(ctx, facts, UPG_TYPE_OBJECT) && ctx->status == UPG_OK)
        unit = build(&b);
    free(b.names);
    upg_id_table_clear(&b.name_table);
    return unit;
}
