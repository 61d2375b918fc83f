/* logprobs.c -- see logprobs.h. */
#include "engine/logprobs.h"

#include <math.h>

/* Put a token into top[n], which has room for n_top; returns the new n.  Ids come in order. */
static size_t insert(upg_logprob *top, size_t n, size_t n_top, int32_t id, float logit)
{
    size_t at = n < n_top ? n : n_top - 1;

    if (n == n_top && top[at].logprob >= logit)
        return n;
    for (; at > 0 && top[at - 1].logprob < logit; at--)
        top[at] = top[at - 1];
    top[at] = (upg_logprob){.id = id, .logprob = logit};
    return n < n_top ? n + 1 : n;
}

void upg_logprobs(const float *logits, size_t n_vocab, int32_t id, float *logprob, upg_logprob *top,
                  size_t n_top)
{
    float greatest = -INFINITY;
    double sum = 0, log_sum;
    size_t n = 0;

    for (size_t i = 0; i < n_vocab; i++)
        greatest = logits[i] > greatest ? logits[i] : greatest;
    for (size_t i = 0; i < n_vocab; i++)
        sum += exp((double)logits[i] - (double)greatest);
    log_sum = (double)greatest + log(sum);
    for (size_t i = 0; i < n_vocab && n_top > 0; i++)
        n = insert(top, n, n_top, (int32_t)i, logits[i]);
    for (size_t i = 0; i < n; i++)
        top[i].logprob = (float)((double)top[i].logprob - log_sum);
    *logprob = (float)((double)logits[id] - log_sum);
}
