/* logprobs.c -- log probabilities as the two endpoints write them. */
#include "server/logprobs.h"

#include "server/usage.h"

#include <math.h>

/* JSON has no infinity: the API writes -9999 for what is impossible. */
static json_t *logprob_json(float logprob)
{
    return json_real(isfinite(logprob) ? (double)logprob : -9999.0);
}

static json_t *bytes_json(const char *bytes, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_integer((unsigned char)bytes[i]));
    return array;
}

static json_t *token_json(const struct generation *generation, int32_t id, float logprob)
{
    size_t n;
    const char *bytes = token_bytes(generation, id, &n);

    return json_pack("{s:o, s:o, s:o}", "token", text_json(bytes, n), "logprob",
                     logprob_json(logprob), "bytes", bytes_json(bytes, n));
}

json_t *chat_logprobs(const struct generation *generation, const struct output *output)
{
    json_t *content = json_array();

    for (size_t i = 0; i < output->n_tokens; i++) {
        const struct token *token = &output->tokens[i];
        json_t *entry = token_json(generation, token->id, token->logprob);
        json_t *tops = json_array();

        for (size_t k = 0; k < token->n_top && k < (size_t)generation->request.n_top; k++) {
            const upg_logprob *top = &output->tops[token->first_top + k];
            json_array_append_new(tops, token_json(generation, top->id, top->logprob));
        }
        json_object_set_new(entry, "top_logprobs", tops);
        json_array_append_new(content, entry);
    }
    return json_pack("{s:o, s:n}", "content", content, "refusal");
}

/* Characters of a UTF-8 text: bytes that do not continue one. */
static size_t count_characters(const char *bytes, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)bytes[i] & 0xc0) != 0x80;
    return count;
}

/* The alternatives by their text, and the chosen token among them. */
static json_t *alternatives(const struct generation *generation, const struct output *output,
                            const struct token *token)
{
    json_t *object = json_object();
    size_t n;
    const char *bytes = token_bytes(generation, token->id, &n);
    json_t *name;

    for (size_t k = 0; k < token->n_top; k++) {
        const upg_logprob *top = &output->tops[token->first_top + k];
        size_t n_top_bytes;
        const char *top_bytes = token_bytes(generation, top->id, &n_top_bytes);
        name = text_json(top_bytes, n_top_bytes);
        if (!json_object_get(object, json_string_value(name)))
            json_object_set_new(object, json_string_value(name), logprob_json(top->logprob));
        json_decref(name);
    }
    name = text_json(bytes, n);
    json_object_set_new(object, json_string_value(name), logprob_json(token->logprob));
    json_decref(name);
    return object;
}

json_t *completion_logprobs(const struct generation *generation, const struct output *output,
                            size_t *offset)
{
    json_t *tokens = json_array(), *logprobs = json_array(), *offsets = json_array();
    json_t *tops = generation->request.n_top > 0 ? json_array() : json_null();

    for (size_t i = 0; i < output->n_tokens; i++) {
        const struct token *token = &output->tokens[i];
        size_t n;
        const char *bytes = token_bytes(generation, token->id, &n);

        json_array_append_new(tokens, text_json(bytes, n));
        json_array_append_new(logprobs, logprob_json(token->logprob));
        json_array_append_new(offsets, json_integer((json_int_t)*offset));
        if (json_is_array(tops))
            json_array_append_new(tops, alternatives(generation, output, token));
        *offset += count_characters(bytes, n);
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", tokens, "token_logprobs", logprobs,
                     "top_logprobs", tops, "text_offset", offsets);
}
