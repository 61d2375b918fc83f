/* read_sampling.c -- how tokens are chosen, where an answer ends, what comes back. */
#include "server/fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STOP_BYTES = 1024 };

static bool read_one_stop(struct request *request, const char *param, const json_t *value,
                          struct api_error *error)
{
    if (!json_is_string(value))
        return refuse_type(error, param, "a string", value);
    if (json_string_length(value) == 0)
        return api_fail(error, 400, param, "%s is empty", param);
    if (json_string_length(value) > MAX_STOP_BYTES)
        return api_fail(error, 400, param, "%s is longer than %d bytes", param, MAX_STOP_BYTES);
    request->stops[request->n_stops++] = json_string_value(value);
    return true;
}

bool read_stop(struct request *request, const char *param, const json_t *value,
               struct api_error *error)
{
    if (json_is_string(value))
        return read_one_stop(request, param, value, error);
    if (!json_is_array(value))
        return refuse_type(error, param, "a string or an array of strings", value);
    if (json_array_size(value) > MAX_STOPS)
        return api_fail(error, 400, param, "%s has %zu texts; at most %d are allowed", param,
                        json_array_size(value), MAX_STOPS);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!read_one_stop(request, element_param(error, param, i, NULL), json_array_get(value, i),
                           error))
            return false;
    return true;
}

/* The API bans a token with -100 and forces one with 100; in between the numbers are added. */
static float bias_of(double value)
{
    return value <= -100 ? -INFINITY : (float)value;
}

bool read_logit_bias(struct request *request, const char *param, const json_t *value,
                     struct api_error *error)
{
    const char *key;
    const json_t *number;

    if (!json_is_object(value))
        return refuse_type(error, param, "an object of numbers", value);
    if (json_object_size(value) > MAX_BIASES)
        return api_fail(error, 400, param, "%s has %zu tokens; at most %d are allowed", param,
                        json_object_size(value), MAX_BIASES);
    request->biases = calloc(json_object_size(value) + 1, sizeof *request->biases);
    if (!request->biases)
        return api_fail_memory(error);
    json_object_foreach((json_t *)value, key, number)
    {
        const size_t n_digits = strspn(key, "0123456789");
        const double bias = json_number_value(number);

        if (n_digits == 0 || n_digits > 9 || key[n_digits] != '\0')
            return api_fail(error, 400, param, "%s: '%.40s' is no token id", param, key);
        if (!json_is_number(number))
            return refuse_type(error, param, "numbers", number);
        if (!(bias >= -100 && bias <= 100))
            return api_fail(error, 400, param, "%s: the bias of token %s must be from -100 to 100",
                            param, key);
        request->biases[request->n_biases++] =
            (upg_logit_bias){.id = (int32_t)strtol(key, NULL, 10), .bias = bias_of(bias)};
    }
    return true;
}

bool read_seed(struct request *request, const char *param, const json_t *value,
               struct api_error *error)
{
    if (!json_is_integer(value))
        return refuse_type(error, param, "an integer", value);
    request->seed = json_integer_value(value);
    request->has_seed = true;
    return true;
}

bool read_completion_logprobs(struct request *request, const char *param, const json_t *value,
                              struct api_error *error)
{
    if (!json_is_integer(value))
        return refuse_type(error, param, "an integer", value);
    if (json_integer_value(value) < 0 || json_integer_value(value) > MAX_TOP_LOGPROBS)
        return api_fail(error, 400, param, "%s must be from 0 to %d, but is %lld", param,
                        MAX_TOP_LOGPROBS, (long long)json_integer_value(value));
    request->logprobs = true;
    request->n_top = json_integer_value(value);
    return true;
}

bool read_stream_options(struct request *request, const char *param, const json_t *value,
                         struct api_error *error)
{
    const char *key;
    const json_t *option;

    if (!json_is_object(value))
        return refuse_type(error, param, "an object", value);
    json_object_foreach((json_t *)value, key, option)
    {
        if (strcmp(key, "include_usage") == 0)
            request->include_usage = json_is_true(option);
        else if (strcmp(key, "include_obfuscation") != 0) /* padding against eavesdroppers: TLS */
            return api_fail(error, 400, param, "%s: unknown option '%.40s'", param, key);
        if (!json_is_boolean(option) && !json_is_null(option))
            return refuse_type(error, param, "booleans", option);
    }
    return true;
}

bool read_encoding_format(struct request *request, const char *param, const json_t *value,
                          struct api_error *error)
{
    const char *name = json_string_value(value);

    if (!name)
        return refuse_type(error, param, "a string", value);
    if (strcmp(name, "float") != 0 && strcmp(name, "base64") != 0)
        return api_fail(error, 400, param, "%s must be float or base64", param);
    request->embeddings_base64 = name[0] == 'b';
    return true;
}

bool read_include(struct request *request, const char *param, const json_t *value,
                  struct api_error *error)
{
    (void)request;
    if (!json_is_array(value))
        return refuse_type(error, param, "an array of strings", value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *name = json_string_value(json_array_get(value, i));
        if (!name || strcmp(name, "reasoning.encrypted_content") != 0)
            return api_fail(error, 400, element_param(error, param, i, NULL),
                            "%s: '%.60s' is not there to be included", param, name ? name : "?");
    }
    return true;
}
