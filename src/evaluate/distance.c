/* distance.c -- sums in float64, terms relative to the greatest logit so that none overflows. */
#include "evaluate/distance.h"

#include <math.h>

struct upg_distribution upg_distribution_of(const float *logits, size_t n)
{
    struct upg_distribution d = {.logits = logits, .n = n};
    double total = 0;

    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[d.best])
            d.best = i;
    for (size_t i = 0; i < n; i++)
        total += exp((double)logits[i] - (double)logits[d.best]);
    d.log_total = (double)logits[d.best] + log(total);
    return d;
}

double upg_surprise(const struct upg_distribution *d, size_t id)
{
    return d->log_total - (double)d->logits[id];
}

double upg_divergence(const struct upg_distribution *reference,
                      const struct upg_distribution *model)
{
    double sum = 0;

    for (size_t i = 0; i < reference->n; i++) {
        const double log_p = (double)reference->logits[i] - reference->log_total;
        const double log_q = (double)model->logits[i] - model->log_total;

        sum += exp(log_p) * (log_p - log_q);
    }
    return sum;
}

void upg_mean_add(struct upg_mean *mean, double x)
{
    const double before = x - mean->mean;

    mean->n++;
    mean->mean += before / (double)mean->n;
    mean->sum_squares += before * (x - mean->mean);
}

double upg_mean_stderr(const struct upg_mean *mean)
{
    if (mean->n < 2)
        return 0;
    return sqrt(mean->sum_squares / (double)(mean->n - 1) / (double)mean->n);
}

double upg_quantile(const double *sorted, size_t n, double q)
{
    const double place = q * (double)(n - 1);
    const size_t below = (size_t)place, above = below + 1 < n ? below + 1 : below;

    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}
