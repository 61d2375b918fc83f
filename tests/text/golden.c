/* golden.c -- see golden.h. */
#include "unit.h"

#include "golden.h"

#include "base/buffer.h"
#include "base/json.h"

#include <stdio.h>

const char *golden_folder;

upg_tokenizer *golden_tokenizer(const char *name, const char *jinja)
{
    struct upg_buffer json = {0};
    upg_tokenizer *tokenizer = NULL;
    upg_error err;
    char path[4096];

    snprintf(path, sizeof path, "%s/%s/tokenizer.json", golden_folder, name);
    assert_ok(upg_buffer_read_file(&json, path, SIZE_MAX, &err), err);
    assert_ok(upg_tokenizer_from_json(&tokenizer, path, json.bytes, json.n, NULL, 0, jinja,
                                      jinja ? strlen(jinja) : 0, &err),
              err);
    upg_buffer_clear(&json);
    return tokenizer;
}

size_t golden_rows(const char *name, void (*row)(const json_t *object, void *context),
                   void *context)
{
    struct upg_buffer lines = {0};
    size_t n_rows = 0;
    upg_error err;
    char path[4096];

    snprintf(path, sizeof path, "tests/data/text/%s", name);
    assert_ok(upg_buffer_read_file(&lines, path, SIZE_MAX, &err), err);
    for (char *line = lines.bytes, *end; (end = strchr(line, '\n')); line = end + 1) {
        json_t *object;
        assert_ok(upg_json_parse(&object, path, line, (size_t)(end - line), &err), err);
        row(object, context);
        json_decref(object);
        n_rows++;
    }
    upg_buffer_clear(&lines);
    return n_rows;
}

void golden_compare(const char *what, const upg_tokens *tokens, const json_t *ids)
{
    const size_t n = json_array_size(ids);

    for (size_t i = 0; i < n && i < tokens->n; i++)
        if (tokens->ids[i] != json_integer_value(json_array_get(ids, i)))
            fail_msg("%s: token %zu is %d, must be %d", what, i, tokens->ids[i],
                     (int)json_integer_value(json_array_get(ids, i)));
    if (n != tokens->n)
        fail_msg("%s: %zu tokens, must be %zu", what, tokens->n, n);
}
