/* sampler.c -- bias, penalties, temperature, top-k, top-p, min-p, draw, in this order.
 *
 * Filters need the most probable tokens, not all tokens in order: a partition like quicksort's that
 * follows only the side in which the border lies takes O(n) where sorting 200 000 tokens would take
 * longer than a small model's step.  Tokens of equal logit rank by id, the lowest first, so the
 * kept set never depends on how partitioning went. */
#include "engine/sampler.h"

#include "base/random.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

struct upg_candidate {
    float logit;  /* after bias and penalties */
    float weight; /* exp((logit - greatest) / temperature), 0 .. 1 */
    int32_t id;
};

struct upg_sampler {
    upg_sampling options;
    size_t n_vocab;
    struct upg_random random;
    float *bias;     /* [n_vocab], NULL without biases */
    uint8_t *seen;   /* [n_vocab] 1: in prompt or answer; NULL without repetition_penalty */
    uint32_t *count; /* [n_vocab] times in the answer; NULL without the other penalties */
};

void upg_sampling_defaults(upg_sampling *sampling)
{
    *sampling = (upg_sampling){
        .size = sizeof *sampling, .temperature = 0.7f, .top_p = 0.9f, .repetition_penalty = 1.0f};
}

static upg_status check_range(const char *name, float value, bool is_good, const char *range,
                              upg_error *err)
{
    if (is_good)
        return UPG_OK;
    return upg_fail(err, UPG_ERR_ARGUMENT, "%s: %g is out of range; use %s", name, (double)value,
                    range);
}

upg_status upg_sampling_check(const upg_sampling *o, size_t n_vocab, upg_error *err)
{
    const struct {
        const char *name;
        float value;
        bool is_good;
        const char *range;
    } checks[] = {
        {"temperature", o->temperature, o->temperature >= 0 && isfinite(o->temperature),
         "0 (greedy) or more"},
        {"top_k", (float)o->top_k, o->top_k >= 0, "0 (off) or more"},
        {"top_p", o->top_p, o->top_p > 0 && o->top_p <= 1, "more than 0, up to 1 (off)"},
        {"min_p", o->min_p, o->min_p >= 0 && o->min_p <= 1, "0 (off) to 1"},
        {"repetition_penalty", o->repetition_penalty,
         o->repetition_penalty > 0 && isfinite(o->repetition_penalty), "more than 0; 1 is off"},
        {"presence_penalty", o->presence_penalty,
         o->presence_penalty >= -2 && o->presence_penalty <= 2, "-2 to 2"},
        {"frequency_penalty", o->frequency_penalty,
         o->frequency_penalty >= -2 && o->frequency_penalty <= 2, "-2 to 2"},
    };
    upg_status status = UPG_OK;

    for (size_t i = 0; status == UPG_OK && i < sizeof checks / sizeof *checks; i++)
        status =
            check_range(checks[i].name, checks[i].value, checks[i].is_good, checks[i].range, err);
    for (size_t i = 0; status == UPG_OK && i < o->n_logit_bias; i++) {
        const upg_logit_bias *b = &o->logit_bias[i];

        if (b->id < 0 || (size_t)b->id >= n_vocab)
            status = upg_fail(err, UPG_ERR_ARGUMENT,
                              "logit_bias: id %d is not in the vocabulary of 0 .. %zu", b->id,
                              n_vocab - 1);
        else
            status = check_range("logit_bias", b->bias, b->bias <= 1e30f,
                                 "at most 1e30; -infinity bans the token", err);
    }
    return status;
}

upg_status upg_sampler_new(struct upg_sampler **sampler, const upg_sampling *sampling,
                           size_t n_vocab, upg_error *err)
{
    const upg_status status = upg_sampling_check(sampling, n_vocab, err);
    const bool has_bias = sampling->n_logit_bias > 0;
    const bool has_repetition = sampling->repetition_penalty != 1;
    const bool has_counts = sampling->presence_penalty != 0 || sampling->frequency_penalty != 0;
    struct upg_sampler *s;

    if (status != UPG_OK)
        return status;
    s = calloc(1, sizeof *s);
    if (!s)
        return upg_fail_memory(err, "a sampler", sizeof *s);
    if (has_bias)
        s->bias = calloc(n_vocab, sizeof *s->bias);
    if (has_repetition)
        s->seen = calloc(n_vocab, sizeof *s->seen);
    if (has_counts)
        s->count = calloc(n_vocab, sizeof *s->count);
    if ((has_bias && !s->bias) || (has_repetition && !s->seen) || (has_counts && !s->count)) {
        upg_sampler_free(s);
        return upg_fail(err, UPG_ERR_MEMORY, "out of memory: a sampler for %zu tokens", n_vocab);
    }
    s->options = *sampling;
    s->n_vocab = n_vocab;
    s->random.state = sampling->seed;
    for (size_t i = 0; i < sampling->n_logit_bias; i++)
        s->bias[sampling->logit_bias[i].id] += sampling->logit_bias[i].bias;
    *sampler = s;
    return UPG_OK;
}

void upg_sampler_free(struct upg_sampler *sampler)
{
    if (!sampler)
        return;
    free(sampler->bias);
    free(sampler->seen);
    free(sampler->count);
    free(sampler);
}

upg_status upg_draw_space_reserve(struct upg_draw_space *space, size_t n_vocab, upg_error *err)
{
    if (n_vocab <= space->n_vocab)
        return UPG_OK;
    upg_draw_space_clear(space);
    space->adjusted = calloc(n_vocab, sizeof *space->adjusted);
    space->candidates = calloc(n_vocab, sizeof *space->candidates);
    if (!space->adjusted || !space->candidates) {
        upg_draw_space_clear(space);
        upg_fail(err, UPG_ERR_MEMORY, "out of memory: choosing from %zu tokens", n_vocab);
        return UPG_ERR_MEMORY; /* said here, so that analysers see it */
    }
    space->n_vocab = n_vocab;
    return UPG_OK;
}

void upg_draw_space_clear(struct upg_draw_space *space)
{
    free(space->adjusted);
    free(space->candidates);
    *space = (struct upg_draw_space){0};
}

void upg_sampler_see_prompt(struct upg_sampler *sampler, int32_t id)
{
    if (sampler->seen)
        sampler->seen[id] = 1;
}

void upg_sampler_see_answer(struct upg_sampler *sampler, int32_t id)
{
    upg_sampler_see_prompt(sampler, id);
    if (sampler->count)
        sampler->count[id]++;
}

/* A logit after bias and penalties. */
static float penalize(const struct upg_sampler *s, size_t id, float x)
{
    const upg_sampling *o = &s->options;

    if (s->bias)
        x += s->bias[id];
    if (s->seen && s->seen[id])
        x = x > 0 ? x / o->repetition_penalty : x * o->repetition_penalty;
    if (s->count && s->count[id])
        x -= o->presence_penalty + o->frequency_penalty * (float)s->count[id];
    return x < FLT_MAX ? x : FLT_MAX; /* a tiny repetition_penalty may overflow */
}

/* adjusted = logits after bias, penalties and bans; *best = id of the greatest, the lowest when
 * equal. */
static upg_status adjust(const struct upg_sampler *s, const float *logits, const uint32_t *allowed,
                         float *adjusted, int32_t *best, upg_error *err)
{
    const bool is_plain = !s->bias && !s->seen && !s->count;
    float greatest = -INFINITY;

    *best = -1;
    for (size_t i = 0; i < s->n_vocab; i++) {
        float x = logits[i];

        if (!(x < INFINITY))
            return upg_fail(err, UPG_ERR_FORMAT,
                            "the model's logit of token %zu is %g; its weights are damaged", i,
                            (double)x);
        if (allowed && !(allowed[i / 32] >> i % 32 & 1))
            x = -INFINITY;
        else if (!is_plain)
            x = penalize(s, i, x);
        adjusted[i] = x;
        if (x > greatest) {
            greatest = x;
            *best = (int32_t)i;
        }
    }
    if (*best < 0)
        return upg_fail(err, UPG_ERR_ARGUMENT, "every token is banned; lift some of logit_bias");
    return UPG_OK;
}

/* Fill candidates with all tokens that can be drawn; returns their number. */
static size_t weigh(const struct upg_sampler *s, struct upg_draw_space *space, float greatest)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_vocab; i++) {
        const float x = space->adjusted[i];
        const float weight = expf((x - greatest) / s->options.temperature);

        if (weight > 0)
            space->candidates[n++] =
                (struct upg_candidate){.logit = x, .weight = weight, .id = (int32_t)i};
    }
    return n;
}

static bool ranks_before(struct upg_candidate a, struct upg_candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void swap(struct upg_candidate *a, struct upg_candidate *b)
{
    const struct upg_candidate c = *a;

    *a = *b;
    *b = c;
}

/* Partition c[n], n >= 1, around the median of three; returns the pivot's place. */
static size_t partition(struct upg_candidate *c, size_t n)
{
    struct upg_candidate *last = &c[n - 1], *middle = &c[n / 2];
    size_t place = 0;

    if (ranks_before(*middle, *c))
        swap(middle, c);
    if (ranks_before(*last, *c))
        swap(last, c);
    if (ranks_before(*middle, *last))
        swap(middle, last); /* the median is last now */
    for (size_t i = 0; i + 1 < n; i++)
        if (ranks_before(c[i], *last))
            swap(&c[i], &c[place++]);
    swap(&c[place], last);
    return place;
}

static double total_weight(const struct upg_candidate *c, size_t n)
{
    double total = 0;

    for (size_t i = 0; i < n; i++)
        total += (double)c[i].weight;
    return total;
}

/* Move the shortest run of the most probable of c[n] that has `count` of them or a total weight of
 * `mass` to the front; returns its length, at least 1 for n >= 1. */
static size_t select_most_probable(struct upg_candidate *c, size_t n, size_t count, double mass)
{
    size_t begin = 0, end = n; /* the run ends in [begin, end] */
    double kept = 0;           /* weight of c[0 .. begin) */

    while (begin < end) {
        const size_t pivot = begin + partition(c + begin, end - begin);
        const double before = total_weight(c + begin, pivot - begin);

        if (pivot >= count || kept + before >= mass) {
            end = pivot;
        } else {
            kept += before + (double)c[pivot].weight;
            begin = pivot + 1;
            if (begin >= count || kept >= mass)
                return begin;
        }
    }
    return begin > 0 ? begin : 1;
}

static size_t filter(const upg_sampling *o, struct upg_candidate *c, size_t n)
{
    size_t n_kept = 0;

    if (o->top_k > 0 && (size_t)o->top_k < n)
        n = select_most_probable(c, n, (size_t)o->top_k, INFINITY);
    if (o->top_p < 1)
        n = select_most_probable(c, n, n, (double)o->top_p * total_weight(c, n));
    for (size_t i = 0; i < n; i++) /* the greatest weight is 1 */
        if (c[i].weight >= o->min_p)
            c[n_kept++] = c[i];
    return n_kept;
}

upg_status upg_sampler_draw(struct upg_sampler *s, const float *logits, const uint32_t *allowed,
                            struct upg_draw_space *space, int32_t *id, upg_error *err)
{
    upg_status status = upg_draw_space_reserve(space, s->n_vocab, err);
    const struct upg_candidate *c;
    double left;
    size_t n, i = 0;

    if (status == UPG_OK)
        status = adjust(s, logits, allowed, space->adjusted, id, err);
    if (status != UPG_OK || s->options.temperature == 0)
        return status;
    c = space->candidates;
    n = filter(&s->options, space->candidates, weigh(s, space, space->adjusted[*id]));
    left = upg_random_unit(&s->random) * total_weight(c, n);
    while (i + 1 < n && left >= (double)c[i].weight)
        left -= (double)c[i++].weight;
    *id = c[i].id;
    return UPG_OK;
}
