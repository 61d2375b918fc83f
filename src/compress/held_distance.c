/* held_distance.c -- Kullback-Leibler divergence, likelihood and agreement, row by row. */
#include "compress/held_distance.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double upg_log_sum_exp(const float *x, size_t n)
{
    float largest = x[0];
    double sum = 0.0;

    for (size_t i = 1; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (size_t i = 0; i < n; i++)
        sum += (double)expf(x[i] - largest);
    return (double)largest + log(sum);
}

upg_status upg_held_rows_init(struct upg_held_rows *rows, size_t n_windows, size_t window,
                              upg_error *err)
{
    const size_t n_rows = n_windows * (window - window / 2);

    *rows = (struct upg_held_rows){.window = window, .kld = malloc(n_rows * sizeof *rows->kld)};
    return rows->kld ? UPG_OK : upg_fail_memory(err, "distances", n_rows * sizeof *rows->kld);
}

static size_t highest(const float *x, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

void upg_held_rows_add(void *context, const float *teacher, float *student, size_t begin, size_t n,
                       size_t n_vocab)
{
    struct upg_held_rows *d = context;

    for (size_t row = 0; row < n; row++) {
        const float *p = teacher + row * n_vocab, *q = student + row * n_vocab;
        const size_t pos = (begin + row) % d->window;
        double lp, lq, kl = 0.0;

        if (pos < d->window / 2)
            continue;
        lp = upg_log_sum_exp(p, n_vocab);
        lq = upg_log_sum_exp(q, n_vocab);
        for (size_t i = 0; i < n_vocab; i++) {
            const double log_p = (double)p[i] - lp;
            kl += exp(log_p) * (log_p - ((double)q[i] - lq));
        }
        d->kld[d->n++] = kl;
        d->n_same += highest(p, n_vocab) == highest(q, n_vocab);
        if (pos + 1 < d->window) {
            const int32_t target = d->ids[begin + row + 1];
            d->nll += lq - (double)q[target];
            d->ref_nll += lp - (double)p[target];
            d->n_targets++;
        }
    }
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct upg_distance upg_held_rows_distance(struct upg_held_rows *rows)
{
    const double n = (double)rows->n, n_targets = (double)rows->n_targets;
    double sum = 0.0;

    qsort(rows->kld, rows->n, sizeof *rows->kld, compare_doubles);
    for (size_t i = 0; i < rows->n; i++)
        sum += rows->kld[i];
    return (struct upg_distance){.n_tokens = rows->n,
                                 .kld_mean = sum / n,
                                 .kld_median = rows->kld[rows->n / 2],
                                 .kld_p99 = rows->kld[rows->n - 1 - rows->n / 100],
                                 .top1_agreement = (double)rows->n_same / n,
                                 .nll = rows->nll / n_targets,
                                 .ref_nll = rows->ref_nll / n_targets};
}

void upg_held_rows_clear(struct upg_held_rows *rows)
{
    free(rows->kld);
    rows->kld = NULL;
}
