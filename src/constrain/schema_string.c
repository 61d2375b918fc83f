/* schema_string.c -- strings with their quotes, in all spellings of their characters.
 *
 * minLength and maxLength count characters (code points), pattern searches in them, formats are
 * anchored patterns. */
#include "constrain/schema.h"

#include "constrain/json_text.h"
#include "constrain/pattern.h"

#include <stdio.h>
#include <string.h>

upg_expr upg_schema_quoted(struct upg_schema_context *ctx, const char *text, size_t n)
{
    const upg_expr quote = upg_expr_text(ctx->x, "\"", 1);

    return upg_expr_concat3(ctx->x, quote, upg_json_spell(ctx->x, text, n), quote);
}

upg_expr upg_schema_any_string(struct upg_schema_context *ctx, uint32_t min, uint32_t max)
{
    const upg_expr quote = upg_expr_text(ctx->x, "\"", 1);

    return upg_expr_concat3(ctx->x, quote, upg_expr_repeat(ctx->x, ctx->any_char, min, max), quote);
}

upg_expr upg_schema_word(struct upg_schema_context *ctx, const struct upg_facts *facts,
                         unsigned type)
{
    bool has_literals;
    upg_expr e = upg_schema_literals(ctx, facts, type, &has_literals);

    if (!has_literals)
        e = type == UPG_TYPE_NULL ? upg_expr_text(ctx->x, "null", 4)
                                  : upg_expr_or2(ctx->x, upg_expr_text(ctx->x, "true", 4),
                                                 upg_expr_text(ctx->x, "false", 5));
    return upg_schema_without_nots(ctx, facts, type, e);
}

/* One more pattern; *is_exact becomes true if the result has nothing but strings. */
static upg_expr add_pattern(struct upg_schema_context *ctx, const struct upg_element *element,
                            const char *key, const char *pattern, upg_expr e, bool *is_exact)
{
    char where[512];
    upg_expr found = UPG_EXPR_NONE;
    bool exact = false;

    snprintf(where, sizeof where, "schema: %s/%s", element->path, key);
    if (ctx->status == UPG_OK)
        ctx->status =
            upg_pattern_search(ctx->x, where, pattern, strlen(pattern), &found, &exact, ctx->err);
    *is_exact |= exact;
    return upg_expr_and2(ctx->x, e, found);
}

static upg_expr add_format(struct upg_schema_context *ctx, const struct upg_element *element,
                           upg_expr e, bool *is_exact)
{
    const char *format = json_string_value(json_object_get(element->schema, "format"));
    const char *pattern = upg_format_pattern(format);

    if (!pattern) {
        upg_schema_fail(ctx, UPG_ERR_UNSUPPORTED, element->path, "format", "'%.100s' is not known",
                        format);
        return UPG_EXPR_NONE;
    }
    return *pattern ? add_pattern(ctx, element, "format", pattern, e, is_exact) : e;
}

upg_expr upg_schema_string(struct upg_schema_context *ctx, const struct upg_facts *facts)
{
    uint32_t min = 0, max = UPG_EXPR_UNBOUNDED;
    bool is_exact;
    upg_expr e = upg_schema_literals(ctx, facts, UPG_TYPE_STRING, &is_exact);

    for (size_t i = 0; i < facts->base.n && ctx->status == UPG_OK; i++) {
        const struct upg_element *element = &ctx->elements[facts->base.items[i]];
        const uint32_t low = upg_schema_count(element->schema, "minLength", 0);
        const uint32_t high = upg_schema_count(element->schema, "maxLength", UPG_EXPR_UNBOUNDED);
        const char *pattern = json_string_value(json_object_get(element->schema, "pattern"));

        min = low > min ? low : min;
        max = high < max ? high : max;
        if (pattern)
            e = add_pattern(ctx, element, "pattern", pattern, e, &is_exact);
        if (json_object_get(element->schema, "format"))
            e = add_format(ctx, element, e, &is_exact);
    }
    if (!is_exact || min > 0 || max < UPG_EXPR_UNBOUNDED)
        e = upg_expr_and2(ctx->x, e, upg_schema_any_string(ctx, min, max));
    return upg_schema_without_nots(ctx, facts, UPG_TYPE_STRING, e);
}
