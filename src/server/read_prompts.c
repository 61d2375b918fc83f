/* read_prompts.c -- texts and token ids. */
#include "server/fields.h"

#include <stdlib.h>
#include <string.h>

static bool read_ids(upg_tokens *ids, const char *param, const json_t *array,
                     struct api_error *error)
{
    const size_t n = json_array_size(array);
    upg_error cause;

    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(array, i);
        int32_t id;

        if (!json_is_integer(value))
            return refuse_type(error, element_param(error, param, i, NULL), "a token id", value);
        if (json_integer_value(value) < 0 || json_integer_value(value) > INT32_MAX)
            return api_fail(error, 400, element_param(error, param, i, NULL), "%lld is no token id",
                            (long long)json_integer_value(value));
        id = (int32_t)json_integer_value(value);
        if (upg_tokens_append(ids, &id, 1, &cause) != UPG_OK)
            return api_fail_memory(error);
    }
    return true;
}

static bool read_one(struct prompt *prompt, const char *param, const json_t *value,
                     struct api_error *error)
{
    if (json_is_string(value)) {
        prompt->text = json_string_value(value);
        prompt->n_text_bytes = json_string_length(value);
        return true;
    }
    if (json_is_array(value)) {
        if (json_array_size(value) == 0)
            return api_fail(error, 400, param, "%s is an empty array", param);
        return read_ids(&prompt->ids, param, value, error);
    }
    return refuse_type(error, param, "a string or an array of token ids", value);
}

static bool make_prompts(struct request *request, size_t n, struct api_error *error)
{
    request->prompts = calloc(n, sizeof *request->prompts);
    if (!request->prompts)
        return api_fail_memory(error);
    request->n_prompts = n;
    return true;
}

bool read_prompts(struct request *request, const char *param, const json_t *value,
                  struct api_error *error)
{
    const json_t *first = json_array_get(value, 0);
    const size_t n = json_array_size(value);
    char element[sizeof error->param];

    if (!json_is_array(value) || json_is_integer(first)) /* one prompt: text or ids */
        return make_prompts(request, 1, error) &&
               read_one(&request->prompts[0], param, value, error);
    if (n == 0)
        return api_fail(error, 400, param, "%s is an empty array", param);
    if (n > MAX_PROMPTS)
        return api_fail(error, 400, param, "%s has %zu elements; at most %d are allowed", param, n,
                        MAX_PROMPTS);
    if (!make_prompts(request, n, error))
        return false;
    for (size_t i = 0; i < n; i++) {
        memcpy(element, element_param(error, param, i, NULL), sizeof element);
        if (!read_one(&request->prompts[i], element, json_array_get(value, i), error))
            return false;
    }
    return true;
}

bool read_text_prompt(struct request *request, const char *param, const json_t *value,
                      struct api_error *error)
{
    if (!json_is_string(value))
        return refuse_type(error, param, "a string", value);
    if (request->n_prompts > 0)
        return api_fail(error, 400, param, "give one text only");
    return make_prompts(request, 1, error) && read_one(&request->prompts[0], param, value, error);
}

bool read_tokens(struct request *request, const char *param, const json_t *value,
                 struct api_error *error)
{
    if (!json_is_array(value))
        return refuse_type(error, param, "an array of token ids", value);
    return read_ids(&request->tokens, param, value, error);
}
