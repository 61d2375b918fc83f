/* schema_reference.c -- $ref within the document: "#", "#/$defs/name", "#anchor". */
#include "constrain/schema.h"

#include "constrain/grow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One segment of a pointer, up to / or the end: %XX, ~0 and ~1 decoded into out.  Returns what is
 * behind it. */
static const char *read_segment(const char *text, char *out)
{
    while (*text && *text != '/') {
        if (*text == '%' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0) {
            *out = (char)(16 * hex_digit(text[1]) + hex_digit(text[2]));
            text += 3;
        } else {
            *out = *text++;
        }
        if (*out == '~' && (*text == '0' || *text == '1'))
            *out = *text++ == '0' ? '~' : '/';
        out++;
    }
    *out = '\0';
    return text;
}

/* Follow a pointer ("/a/0/b") from the root; NULL if it leads nowhere. */
static const json_t *follow_pointer(struct upg_schema_context *ctx, const char *pointer)
{
    char *segment = malloc(strlen(pointer) + 1);
    const json_t *at = ctx->root;

    if (!segment) {
        upg_schema_fail_memory(ctx);
        return NULL;
    }
    while (*pointer == '/' && at) {
        pointer = read_segment(pointer + 1, segment);
        if (json_is_array(at)) {
            char *end;
            const unsigned long index = strtoul(segment, &end, 10);
            at = *segment >= '0' && *segment <= '9' && !*end ? json_array_get(at, index) : NULL;
        } else {
            at = json_object_get(at, segment);
        }
    }
    free(segment);
    return *pointer ? NULL : at;
}

/* Does the schema carry this anchor? */
static bool has_anchor(const json_t *schema, const char *anchor)
{
    static const char *const keys[] = {"$anchor", "$dynamicAnchor"};
    static const char *const ids[] = {"$id", "id"};

    for (size_t i = 0; i < 2; i++) {
        const char *name = json_string_value(json_object_get(schema, keys[i]));
        const char *id = json_string_value(json_object_get(schema, ids[i]));

        if ((name && strcmp(name, anchor) == 0) ||
            (id && id[0] == '#' && strcmp(id + 1, anchor) == 0))
            return true;
    }
    return false;
}

/* The schema with an anchor, anywhere below.  Recursion is bounded by the depth of the document. */
static const json_t *find_anchor(const json_t *at, const char *anchor)
{
    const json_t *found = NULL;
    const char *key;
    json_t *value;

    if (json_is_object(at)) {
        if (has_anchor(at, anchor))
            return at;
        json_object_foreach((json_t *)at, key, value)
        {
            if (!found && strcmp(key, "const") != 0 && strcmp(key, "enum") != 0)
                found = find_anchor(value, anchor);
        }
    }
    for (size_t i = 0; i < json_array_size(at) && !found; i++)
        found = find_anchor(json_array_get(at, i), anchor);
    return found;
}

const json_t *upg_schema_resolve(struct upg_schema_context *ctx, const struct upg_element *element,
                                 const char **path)
{
    const char *reference = json_string_value(json_object_get(element->schema, "$ref"));
    const char *id = json_string_value(json_object_get(ctx->root, "$id"));
    const char *fragment = strchr(reference, '#');
    const size_t n_address = fragment ? (size_t)(fragment - reference) : strlen(reference);
    const json_t *target = NULL;

    if (n_address > 0 &&
        !(id && strcspn(id, "#") == n_address && memcmp(id, reference, n_address) == 0)) {
        upg_schema_fail(ctx, UPG_ERR_UNSUPPORTED, element->path, "$ref",
                        "'%.200s' is not in this document", reference);
        return NULL;
    }
    fragment = fragment ? fragment + 1 : "";
    if (*fragment == '/' || !*fragment)
        target = follow_pointer(ctx, fragment);
    else
        target = find_anchor(ctx->root, fragment);
    if (!json_is_object(target) && !json_is_boolean(target)) {
        upg_schema_fail(ctx, UPG_ERR_FORMAT, element->path, "$ref", "'%.200s' leads to no schema",
                        reference);
        return NULL;
    }
    *path = upg_arena_text(&ctx->arena, fragment, strnlen(fragment, 400));
    if (!*path)
        upg_schema_fail_memory(ctx);
    return target;
}
