/* json.c -- jansson with limits. */
#include "base/json.h"

#include "base/file_map.h"

#include <limits.h>
#include <math.h>
#include <pthread.h>

/* jansson's own limit on depth is 2048 recursive calls; hostile files get a tenth of a page of
 * stack a level, so look before parsing.  Counts brackets outside strings. */
static bool is_too_deep(const char *text, size_t n)
{
    size_t depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < n; i++) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > UPG_JSON_MAX_DEPTH)
                return true;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return false;
}

/* Where an allocation fails, jansson reports a syntax error, or loses characters of a string and
 * reports nothing.  So its allocator is asked on the way through whether it failed. */
static pthread_once_t noted = PTHREAD_ONCE_INIT;
static json_malloc_t next_malloc; /* what was in use before */
static _Thread_local bool out_of_memory;

static void *noting_malloc(size_t n)
{
    void *memory = next_malloc(n);

    if (!memory)
        out_of_memory = true;
    return memory;
}

static void note_failed_allocations(void)
{
    json_free_t next_free;

    json_get_alloc_funcs(&next_malloc, &next_free);
    json_set_alloc_funcs(noting_malloc, next_free);
}

upg_status upg_json_parse(json_t **json, const char *where, const char *text, size_t n,
                          upg_error *err)
{
    json_error_t why;
    json_t *parsed;

    if (n > UPG_JSON_MAX_BYTES)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: JSON of %zu bytes; at most %zu are read", where,
                        n, UPG_JSON_MAX_BYTES);
    if (is_too_deep(text, n))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: JSON nests deeper than %d levels", where,
                        UPG_JSON_MAX_DEPTH);
    pthread_once(&noted, note_failed_allocations);
    out_of_memory = false;
    parsed = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (out_of_memory) {
        json_decref(parsed);
        return upg_fail_memory(err, "a JSON document", n);
    }
    if (!parsed)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: not valid JSON: line %d, column %d: %s", where,
                        why.line, why.column, why.text);
    *json = parsed;
    return UPG_OK;
}

upg_status upg_json_read(json_t **json, const char *path, upg_error *err)
{
    struct upg_file_map map;
    upg_status status = upg_file_map_open(&map, path, err);

    if (status != UPG_OK)
        return status;
    status = upg_json_parse(json, path, (const char *)map.bytes, map.n_bytes, err);
    upg_file_map_close(&map);
    return status;
}

static bool is_absent(const json_t *value)
{
    return !value || json_is_null(value);
}

static upg_status fail_missing(const char *where, const char *key, upg_error *err)
{
    return upg_fail(err, UPG_ERR_FORMAT, "%s: %s: is missing", where, key);
}

upg_status upg_json_get_size(const json_t *object, const char *where, const char *key, size_t min,
                             size_t max, size_t *value, upg_error *err)
{
    const json_t *field = json_object_get(object, key);
    json_int_t number;

    if (is_absent(field))
        return fail_missing(where, key, err);
    if (!json_is_integer(field))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: %s: must be an integer", where, key);
    number = json_integer_value(field);
    if (number < 0 || (unsigned long long)number < min || (unsigned long long)number > max)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: %s: is %lld, must be %zu .. %zu", where, key,
                        (long long)number, min, max);
    *value = (size_t)number;
    return UPG_OK;
}

upg_status upg_json_get_size_or(const json_t *object, const char *where, const char *key,
                                size_t min, size_t max, size_t fallback, size_t *value,
                                upg_error *err)
{
    if (is_absent(json_object_get(object, key))) {
        *value = fallback;
        return UPG_OK;
    }
    return upg_json_get_size(object, where, key, min, max, value, err);
}

upg_status upg_json_get_double_or(const json_t *object, const char *where, const char *key,
                                  double min, double max, double fallback, double *value,
                                  upg_error *err)
{
    const json_t *field = json_object_get(object, key);
    double number;

    if (is_absent(field)) {
        *value = fallback;
        return UPG_OK;
    }
    if (!json_is_number(field))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: %s: must be a number", where, key);
    number = json_number_value(field);
    if (!isfinite(number) || number < min || number > max)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: %s: is %g, must be %g .. %g", where, key, number,
                        min, max);
    *value = number;
    return UPG_OK;
}

upg_status upg_json_get_bool_or(const json_t *object, const char *where, const char *key,
                                bool fallback, bool *value, upg_error *err)
{
    const json_t *field = json_object_get(object, key);

    if (is_absent(field)) {
        *value = fallback;
        return UPG_OK;
    }
    if (!json_is_boolean(field))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: %s: must be true or false", where, key);
    *value = json_is_true(field);
    return UPG_OK;
}

upg_status upg_json_get_text(const json_t *object, const char *where, const char *key,
                             const char **value, upg_error *err)
{
    const json_t *field = json_object_get(object, key);

    if (is_absent(field))
        return fail_missing(where, key, err);
    if (!json_is_string(field))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: %s: must be a string", where, key);
    *value = json_string_value(field);
    return UPG_OK;
}
