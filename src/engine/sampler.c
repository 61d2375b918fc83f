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

struct candidate {
    float logit;  /* after bias and penalties */
    float weight; /* exp((logit - greatest) / temperature), 0 .. 1 */
    int32_t id;
};

struct upg_sampler {
    upg_sampling options;
    size_t n_vocab;
    struct upg_random random;
    float *bias;                  /* [n_vocab] */
    uint8_t *seen;                /* [n_vocab] 1: in prompt or answer */
    uint32_t *count;              /* [n_vocab] times in the answer */
    float *adjusted;              /* [n_vocab] logits after bias and penalties */
    struct candidate *candidates; /* [n_vocab] */
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

static upg_status check_options(const upg_sampling *o, size_t n_vocab, upg_error *err)
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
    const upg_status status = check_options(sampling, n_vocab, err);
    struct upg_sampler *s;

    if (status != UPG_OK)
        return status;
    s = calloc(1, sizeof *s);
    if (s) {
        s->bias = calloc(n_vocab, sizeof *s->bias);
        s->seen = calloc(n_vocab, sizeof *s->seen);
        s->count = calloc(n_vocab, sizeof *s->count);
        s->adjusted = calloc(n_vocab, sizeof *s->adjusted);
        s->candidates = calloc(n_vocab, sizeof *s->candidates);
    }
    if (!s || !s->bias || !s->seen || !s->count || !s->adjusted || !s->candidates) {
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
    free(sampler->adjusted);
    free(sampler->candidates);
    free(sampler);
}

void upg_sampler_ban(struct upg_sampler *sampler, int32_t id)
{
    sampler->bias[id] = -INFINITY;
}

void upg_sampler_see_prompt(struct upg_sampler *sampler, int32_t id)
{
    sampler->seen[id] = 1;
}

void upg_sampler_see_answer(struct upg_sampler *sampler, int32_t id)
{
    sampler->seen[id] = 1;
    sampler->count[id]++;
}

/* adjusted = logits after bias and penalties; *best = id of the greatest, the lowest when equal. */
static upg_status adjust(struct upg_sampler *s, const float *logits, int32_t *best, upg_error *err)
{
    const upg_sampling *o = &s->options;
    float greatest = -INFINITY;

    *best = -1;
    for (size_t i = 0; i < s->n_vocab; i++) {
        float x = logits[i];

        if (!(x < INFINITY))
            return upg_fail(err, UPG_ERR_FORMAT,
                            "the model's logit of token %zu is %g; its weights are damaged", i,
                            (double)x);
        x += s->bias[i];
        if (s->seen[i])
            x = x > 0 ? x / o->repetition_penalty : x * o->repetition_penalty;
        if (s->count[i])
            x -= o->presence_penalty + o->frequency_penalty * (float)s->count[i];
        x = x < FLT_MAX ? x : FLT_MAX; /* a tiny repetition_penalty may overflow */
        s->adjusted[i] = x;
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
static size_t weigh(struct upg_sampler *s, float greatest)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_vocab; i++) {
        const float weight = expf((s->adjusted[i] - greatest) / s->options.temperature);

        if (weight > 0)
            s->candidates[n++] =
                (struct candidate){.logit = s->adjusted[i], .weight = weight, .id = (int32_t)i};
    }
    return n;
}

static bool ranks_before(struct candidate a, struct candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void swap(struct candidate *a, struct candidate *b)
{
    const struct candidate c = *a;

    *a = *b;
    *b = c;
}

/* Partition c[n], n >= 1, around the median of three; returns the pivot's place. */
static size_t partition(struct candidate *c, size_t n)
{
    struct candidate *last = &c[n - 1], *middle = &c[n / 2];
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

static double total_weight(const struct candidate *c, size_t n)
{
    double total = 0;

    for (size_t i = 0; i < n; i++)
        total += (double)c[i].weight;
    return total;
}

/* Move the shortest run of the most probable of c[n] that has `count` of them or a total weight of
 * `mass` to the front; returns its length, at least 1 for n >= 1. */
static size_t select_most_probable(struct candidate *c, size_t n, size_t count, double mass)
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

static size_t filter(const upg_sampling *o, struct candidate *c, size_t n)
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

upg_status upg_sampler_draw(struct upg_sampler *s, const float *logits, int32_t *id, upg_error *err)
{
    const upg_status status = adjust(s, logits, id, err);
    const struct candidate *c = s->candidates;
    double left;
    size_t n, i = 0;

    if (status != UPG_OK || s->options.temperature == 0)
        return status;
    n = filter(&s->options, s->candidates, weigh(s, s->adjusted[*id]));
    left = upg_random_unit(&s->random) * total_weight(c, n);
    while (i + 1 < n && left >= (double)c[i].weight)
        left -= (double)c[i++].weight;
    *id = c[i].id;
    return UPG_OK;
}
