/* usage.c -- what all answers report. */
#include "server/usage.h"

#include "server/state.h"

#include <stdlib.h>

json_t *usage_json(const struct generation *generation)
{
    const size_t n_prompt = generation->n_prompt_tokens;
    const size_t n_answer = generation_n_tokens(generation);
    size_t n_accepted = 0, n_drafted = 0;

    for (size_t i = 0; i < generation->n_choices; i++) {
        n_accepted += generation->choices[i].usage.n_accepted;
        n_drafted += generation->choices[i].usage.n_drafted;
    }
    return json_pack("{s:I, s:I, s:I, s:{s:I, s:i}, s:{s:I, s:i, s:I, s:I}}", "prompt_tokens",
                     (json_int_t)n_prompt, "completion_tokens", (json_int_t)n_answer,
                     "total_tokens", (json_int_t)(n_prompt + n_answer), "prompt_tokens_details",
                     "cached_tokens", (json_int_t)generation_n_cached_tokens(generation),
                     "audio_tokens", 0, "completion_tokens_details", "reasoning_tokens",
                     (json_int_t)generation_n_reasoning_tokens(generation), "audio_tokens", 0,
                     "accepted_prediction_tokens", (json_int_t)n_accepted,
                     "rejected_prediction_tokens", (json_int_t)(n_drafted - n_accepted));
}

static double per_second(size_t n, double seconds)
{
    return seconds > 0 ? (double)n / seconds : 0;
}

json_t *timings_json(const struct generation *generation)
{
    const struct choice *slowest = &generation->choices[0];
    const upg_usage *usage;
    size_t n_computed;

    for (size_t i = 1; i < generation->n_choices; i++)
        if (generation->choices[i].usage.generation_seconds > slowest->usage.generation_seconds)
            slowest = &generation->choices[i];
    usage = &slowest->usage;
    n_computed = usage->n_prompt_tokens - usage->n_cached_tokens;
    return json_pack("{s:f, s:I, s:I, s:f, s:f, s:I, s:f, s:f}", "wait_ms",
                     1e3 * usage->wait_seconds, "cache_n", (json_int_t)usage->n_cached_tokens,
                     "prompt_n", (json_int_t)n_computed, "prompt_ms", 1e3 * usage->prompt_seconds,
                     "prompt_per_second", per_second(n_computed, usage->prompt_seconds),
                     "predicted_n", (json_int_t)usage->n_tokens, "predicted_ms",
                     1e3 * usage->generation_seconds, "predicted_per_second",
                     per_second(usage->n_tokens, usage->generation_seconds));
}

const char *finish_reason(const struct choice *choice)
{
    if (choice->finish == UPG_FINISH_LENGTH)
        return "length";
    return choice->calls.n_calls > 0 ? "tool_calls" : "stop";
}

json_t *text_json(const char *bytes, size_t n)
{
    json_t *text = json_stringn(n > 0 ? bytes : "", n); /* NULL if it is not UTF-8 */
    upg_detokenizer detokenizer = {0};
    char *fixed;
    size_t n_fixed;

    if (text)
        return text;
    fixed = malloc(UPG_DETOKENIZE_CAPACITY(n));
    if (!fixed)
        return NULL;
    n_fixed = upg_detokenize(&detokenizer, bytes, n, fixed);
    n_fixed += upg_detokenize(&detokenizer, NULL, 0, fixed + n_fixed);
    text = json_stringn(fixed, n_fixed);
    free(fixed);
    return text;
}

const char *token_bytes(const struct generation *generation, int32_t id, size_t *n)
{
    const char *bytes;

    upg_token_bytes(generation->server->tokenizer, id, 0, &bytes, n);
    return bytes;
}
