/* schema.c -- elements, goals, and the types of value that a goal allows. */
#include "constrain/schema.h"

#include "base/json.h"
#include "constrain/grow.h"
#include "constrain/json_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PATH = 400, MAX_SPACES = 40, MAX_TABS = 10, BARRIER = 32 };

void upg_schema_fail(struct upg_schema_context *ctx, upg_status status, const char *path,
                     const char *keyword, const char *format, ...)
{
    char what[512];
    va_list arguments;

    if (ctx->status != UPG_OK)
        return;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    ctx->status = upg_fail(ctx->err, status, "schema: %s%s%s: %s",
                           path && *path ? path : (keyword ? "" : "/"), keyword ? "/" : "",
                           keyword ? keyword : "", what);
}

void upg_schema_fail_memory(struct upg_schema_context *ctx)
{
    if (ctx->status == UPG_OK)
        ctx->status = upg_fail(ctx->err, UPG_ERR_MEMORY, "out of memory: a schema");
}

bool upg_element_list_add(struct upg_schema_context *ctx, struct upg_element_list *list,
                          uint32_t element)
{
    uint32_t *items = upg_grow(list->items, &list->capacity, list->n + 1, sizeof *items);

    if (!items) {
        upg_schema_fail_memory(ctx);
        return false;
    }
    list->items = items;
    items[list->n++] = element;
    return true;
}

/* path/key/name, with ~ and / of the name escaped, cut at MAX_PATH. */
static const char *join_path(struct upg_schema_context *ctx, const char *path, const char *key,
                             const char *name)
{
    char joined[MAX_PATH + 8];
    size_t n = (size_t)snprintf(joined, MAX_PATH, "%s%s%s%s", path, key ? "/" : "", key ? key : "",
                                name ? "/" : "");
    const char *copy;

    if (n >= MAX_PATH)
        n = MAX_PATH - 1;
    for (; name && *name && n < MAX_PATH; name++) {
        if (*name == '~' || *name == '/') {
            joined[n++] = '~';
            joined[n++] = *name == '~' ? '0' : '1';
        } else {
            joined[n++] = *name;
        }
    }
    copy = upg_arena_text(&ctx->arena, joined, n);
    if (!copy)
        upg_schema_fail_memory(ctx);
    return copy ? copy : "";
}

uint32_t upg_element_make(struct upg_schema_context *ctx, const json_t *schema,
                          enum upg_aspect aspect, const char *path, const char *key,
                          const char *name)
{
    uint32_t words[3], hash, id;
    size_t cursor = SIZE_MAX;
    struct upg_element *elements;

    words[0] = aspect;
    memcpy(words + 1, &schema, sizeof schema < 8 ? sizeof schema : 8);
    hash = upg_id_hash(words, 1 + sizeof schema / 4);
    while ((id = upg_id_table_next(&ctx->element_table, hash, &cursor)) != UPG_NO_ID)
        if (ctx->elements[id].schema == schema && ctx->elements[id].aspect == aspect)
            return id;
    elements =
        upg_grow(ctx->elements, &ctx->element_capacity, ctx->n_elements + 1, sizeof *elements);
    if (elements)
        ctx->elements = elements;
    if (!elements || !upg_id_table_add(&ctx->element_table, hash, (uint32_t)ctx->n_elements)) {
        upg_schema_fail_memory(ctx);
        return 0;
    }
    elements[ctx->n_elements] =
        (struct upg_element){schema, aspect, key || name ? join_path(ctx, path, key, name) : path};
    return (uint32_t)ctx->n_elements++;
}

const json_t *upg_schema_take(struct upg_schema_context *ctx, json_t *made)
{
    json_t **list =
        made ? upg_grow(ctx->made, &ctx->made_capacity, ctx->n_made + 1, sizeof *list) : NULL;

    if (!list) {
        json_decref(made);
        upg_schema_fail_memory(ctx);
        return json_false();
    }
    ctx->made = list;
    list[ctx->n_made++] = made;
    return made;
}

static int compare_numbers(const void *p, const void *q)
{
    const uint32_t a = *(const uint32_t *)p, b = *(const uint32_t *)q;

    return a < b ? -1 : a > b;
}

static void sort_elements(struct upg_element_list *list)
{
    size_t n = 0;

    if (list->n > 1)
        qsort(list->items, list->n, sizeof *list->items, compare_numbers);
    for (size_t i = 0; i < list->n; i++)
        if (n == 0 || list->items[n - 1] != list->items[i])
            list->items[n++] = list->items[i];
    list->n = n;
}

static uint32_t add_goal(struct upg_schema_context *ctx, uint32_t hash,
                         const struct upg_element_list *list)
{
    struct upg_goal *goals =
        upg_grow(ctx->goals, &ctx->goal_capacity, ctx->n_goals + 1, sizeof *goals);
    struct upg_goal goal = {.n = list->n};

    if (goals)
        ctx->goals = goals;
    goal.elements = malloc(list->n * sizeof *goal.elements + 1);
    if (!goals || !goal.elements ||
        !upg_id_table_add(&ctx->goal_table, hash, (uint32_t)ctx->n_goals)) {
        free(goal.elements);
        upg_schema_fail_memory(ctx);
        return UPG_NO_ID;
    }
    goal.rule = upg_grammar_add_rule(ctx->g);
    if (goal.rule == UPG_NO_ID) {
        free(goal.elements);
        if (ctx->u->failed == UPG_ERR_MEMORY)
            upg_schema_fail_memory(ctx);
        else
            upg_schema_fail(ctx, UPG_ERR_UNSUPPORTED, "", NULL,
                            "its schemas combine in more than %d ways; simplify it",
                            UPG_GRAMMAR_MAX_RULES);
        return UPG_NO_ID;
    }
    if (list->n)
        memcpy(goal.elements, list->items, list->n * sizeof *goal.elements);
    goals[ctx->n_goals] = goal;
    return (uint32_t)ctx->n_goals++;
}

upg_unit upg_goal_unit(struct upg_schema_context *ctx, struct upg_element_list *list)
{
    uint32_t hash, id;
    size_t cursor = SIZE_MAX;

    if (ctx->status != UPG_OK)
        return UPG_UNIT_NOTHING;
    sort_elements(list);
    hash = upg_id_hash(list->items, list->n);
    while ((id = upg_id_table_next(&ctx->goal_table, hash, &cursor)) != UPG_NO_ID)
        if (ctx->goals[id].n == list->n &&
            (list->n == 0 ||
             memcmp(ctx->goals[id].elements, list->items, list->n * sizeof *list->items) == 0))
            break;
    if (id == UPG_NO_ID)
        id = add_goal(ctx, hash, list);
    if (id == UPG_NO_ID)
        return UPG_UNIT_NOTHING;
    return upg_unit_make(ctx->u, UPG_UNIT_KIND_RULE, ctx->goals[id].rule, 0, 0, 0);
}

/* The values that facts allow, type by type. */
static upg_unit build_types(struct upg_schema_context *ctx, const struct upg_facts *facts)
{
    upg_unit list[7];
    size_t n = 0;

    if (facts->is_false)
        return UPG_UNIT_NOTHING;
    if (facts->types & UPG_TYPE_OBJECT)
        list[n++] = upg_schema_object(ctx, facts);
    if (facts->types & UPG_TYPE_ARRAY)
        list[n++] = upg_schema_array(ctx, facts);
    if (facts->types & UPG_TYPE_STRING)
        list[n++] = upg_unit_expr(ctx->u, upg_schema_string(ctx, facts));
    if (facts->types & UPG_TYPE_NUMBER)
        list[n++] = upg_unit_expr(ctx->u, upg_schema_number(ctx, facts));
    if (facts->types & UPG_TYPE_BOOLEAN)
        list[n++] = upg_unit_expr(ctx->u, upg_schema_word(ctx, facts, UPG_TYPE_BOOLEAN));
    if (facts->types & UPG_TYPE_NULL)
        list[n++] = upg_unit_expr(ctx->u, upg_schema_word(ctx, facts, UPG_TYPE_NULL));
    return upg_unit_choice(ctx->u, ctx->x, list, n, false);
}

static void build_goal(struct upg_schema_context *ctx, size_t index)
{
    const struct upg_goal goal = ctx->goals[index];
    struct upg_facts facts = {.types = UPG_TYPE_ANY};
    upg_unit body = UPG_UNIT_NOTHING;

    upg_schema_flatten(ctx, goal.elements, goal.n, &facts, &body);
    if (ctx->status == UPG_OK && body == UPG_UNIT_NOTHING)
        body = build_types(ctx, &facts);
    upg_facts_clear(&facts);
    ctx->g->rules[goal.rule] = body;
}

/* Spaces between the tokens of JSON: see upg_whitespace. */
static void make_marks(struct upg_schema_context *ctx, upg_whitespace whitespace)
{
    struct upg_exprs *x = ctx->x;
    struct upg_json_marks *marks = &ctx->g->marks;
    const upg_expr blank = upg_expr_text(x, " ", 1), tab = upg_expr_text(x, "\t", 1);
    const upg_expr indent = upg_expr_or2(x, upg_expr_repeat(x, blank, 0, MAX_SPACES),
                                         upg_expr_repeat(x, tab, 1, MAX_TABS));
    const upg_expr line = upg_expr_concat(x, upg_expr_text(x, "\n", 1), indent);
    const bool compact = whitespace == UPG_WHITESPACE_COMPACT;
    const upg_expr space =
        compact ? UPG_EXPR_EPSILON : upg_expr_optional(x, upg_expr_or2(x, blank, line));
    const upg_expr after_colon = compact ? UPG_EXPR_EPSILON : upg_expr_optional(x, blank);
    const upg_expr quote = upg_expr_text(x, "\"", 1);

    marks->space = space;
    marks->comma = upg_expr_concat(x, upg_expr_text(x, ",", 1), space);
    marks->quote[0] = upg_expr_concat(x, space, quote);
    marks->quote[1] = upg_expr_concat(x, marks->comma, quote);
    marks->colon = upg_expr_concat(x, upg_expr_text(x, ":", 1), after_colon);
    marks->end[0] = upg_expr_concat(x, space, upg_expr_text(x, "}", 1));
    marks->end[1] = upg_expr_concat(x, space, upg_expr_text(x, "]", 1));
    marks->barrier = upg_expr_repeat(x, upg_expr_range(x, 0xFF, 0xFF), BARRIER, BARRIER);
}

static const char *name_goal(const void *context, uint32_t rule)
{
    const struct upg_schema_context *ctx = context;

    for (size_t i = 0; i < ctx->n_goals; i++)
        if (ctx->goals[i].rule == rule && ctx->goals[i].n > 0)
            return ctx->elements[ctx->goals[i].elements[0]].path;
    return "the schema";
}

static void clear_context(struct upg_schema_context *ctx)
{
    for (size_t i = 0; i < ctx->n_goals; i++)
        free(ctx->goals[i].elements);
    for (size_t i = 0; i < ctx->n_made; i++)
        json_decref(ctx->made[i]);
    free(ctx->goals);
    free(ctx->made);
    free(ctx->elements);
    upg_id_table_clear(&ctx->element_table);
    upg_id_table_clear(&ctx->goal_table);
    upg_arena_clear(&ctx->arena);
    json_decref(ctx->root);
}

static bool is_old_draft(const json_t *root)
{
    const char *draft = json_string_value(json_object_get(root, "$schema"));

    return draft && (strstr(draft, "draft-07") || strstr(draft, "draft-06") ||
                     strstr(draft, "draft-04") || strstr(draft, "draft-03"));
}

static upg_status compile(struct upg_schema_context *ctx)
{
    struct upg_element_list list = {0};
    const uint32_t element = upg_element_make(ctx, ctx->root, UPG_ASPECT_ALL, "", NULL, NULL);

    if (upg_element_list_add(ctx, &list, element))
        ctx->g->root = upg_goal_unit(ctx, &list);
    while (ctx->n_built < ctx->n_goals && ctx->status == UPG_OK) {
        build_goal(ctx, ctx->n_built++);
        if (ctx->x->failed != UPG_OK || ctx->u->failed != UPG_OK)
            break; /* upg_grammar_check() says why */
    }
    free(list.items);
    return ctx->status;
}

/* A schema is an object, true or false. */
static upg_status read_document(json_t **root, const char *text, size_t n, upg_error *err)
{
    size_t begin = 0;

    while (n > 0 && strchr(" \t\r\n", text[n - 1]) && text[n - 1])
        n--;
    while (begin < n && strchr(" \t\r\n", text[begin]) && text[begin])
        begin++;
    if (n - begin == 4 && memcmp(text + begin, "true", 4) == 0) {
        *root = json_true();
        return UPG_OK;
    }
    if (n - begin == 5 && memcmp(text + begin, "false", 5) == 0) {
        *root = json_false();
        return UPG_OK;
    }
    if (begin < n && text[begin] != '{')
        return upg_fail(err, UPG_ERR_FORMAT, "schema: must be an object, true or false");
    return upg_json_parse(root, "schema", text, n, err);
}

upg_status upg_compile_schema(struct upg_grammar *g, const char *text, size_t n,
                              upg_whitespace whitespace, upg_error *err)
{
    struct upg_schema_context ctx = {.g = g, .x = &g->exprs, .u = &g->units, .err = err};
    upg_status status = read_document(&ctx.root, text, n, err);

    if (status != UPG_OK)
        return status;
    ctx.old_refs = is_old_draft(ctx.root);
    ctx.any_char = upg_json_any_char(ctx.x);
    make_marks(&ctx, whitespace);
    status = compile(&ctx);
    if (status == UPG_OK)
        status = upg_grammar_check(g, name_goal, &ctx, err);
    clear_context(&ctx);
    return status;
}
