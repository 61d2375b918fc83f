/* distance.h -- what one prediction says: surprise, and the distance of two distributions. */
#ifndef UPG_EVALUATE_DISTANCE_H
#define UPG_EVALUATE_DISTANCE_H

#include <stddef.h>
#include <stdint.h>

/* A row of logits, seen as a distribution. */
struct upg_distribution {
    const float *logits; /* [n] */
    size_t n;
    double log_total; /* log of the sum of exp(logit) */
    size_t best;      /* greatest logit, the lowest index when equal */
};

/* logits are borrowed. */
struct upg_distribution upg_distribution_of(const float *logits, size_t n);

/* -log p(id), nats. */
double upg_surprise(const struct upg_distribution *d, size_t id);

/* KL(reference || model) = sum of p_ref (log p_ref - log p_model), nats; same n. */
double upg_divergence(const struct upg_distribution *reference,
                      const struct upg_distribution *model);

/* Mean and spread of numbers that come one by one (Welford 1962). */
struct upg_mean {
    size_t n;
    double mean, sum_squares; /* of the differences from the mean */
};

void upg_mean_add(struct upg_mean *mean, double x);

/* Standard error of the mean, sqrt(variance / n) with the unbiased variance; 0 for n < 2. */
double upg_mean_stderr(const struct upg_mean *mean);

/* The q-quantile of sorted[n], n >= 1, 0 <= q <= 1: linear between the neighbours of place
 * q (n - 1), as NumPy has it. */
double upg_quantile(const double *sorted, size_t n, double q);

#endif
