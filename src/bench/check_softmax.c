/* check_softmax.c -- a running softmax and its sums against float64. */
#include "bench/check.h"

#include "bench/guarded.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { MOST = 300, N_CASES = 300 };

/* Scores of a block behind a greatest one that may be lower, higher or none. */
static float fill_scores(struct upg_check *check, float *scores, enum upg_check_data data)
{
    const float spread = data == DATA_EXTREME ? 1e4F : 40;

    for (size_t i = 0; i < UPG_CODED_TOKENS; i++)
        scores[i] = data == DATA_ZERO ? 0 : spread * (float)(upg_random_unit(&check->random) - 0.5);
    switch (upg_check_int(check, 0, 2)) {
    case 0: return -INFINITY;
    case 1: return scores[0] - 1;
    default: return scores[0] + 25;
    }
}

static bool is_exp(float got, double power)
{
    const double exact = exp(power), least = (double)UPG_EXP_LEAST;

    return exact < least ? (double)got >= 0 && (double)got <= least
                         : fabs((double)got - exact) <= 2 * (double)FLT_EPSILON * exact;
}

static void compare_softmax(struct upg_check *check, const float *scores, size_t n_visible,
                            float before, const float *got, float decay, float greatest,
                            float total)
{
    const float total_before = isinf(before) ? 0 : 3;
    double sum = 0;
    float most = before;

    for (size_t i = 0; i < n_visible; i++)
        most = scores[i] > most ? scores[i] : most;
    if (greatest != most)
        upg_check_failed(check, "greatest %a instead of %a", (double)greatest, (double)most);
    if (!is_exp(decay, (double)(before - most)))
        upg_check_failed(check, "decay %a for %a", (double)decay, (double)(before - most));
    for (size_t i = 0; i < UPG_CODED_TOKENS; i++) {
        if (i < n_visible ? !is_exp(got[i], (double)(scores[i] - most)) : got[i] != 0)
            upg_check_failed(check, "element %zu of %zu is %a for %a", i, n_visible, (double)got[i],
                             (double)(scores[i] - most));
        sum += (double)got[i];
    }
    sum += (double)total_before * (double)decay;
    if (!(fabs((double)total - sum) <= 34 * (double)FLT_EPSILON * sum))
        upg_check_failed(check, "total %a instead of %a", (double)total, sum);
}

void upg_check_running_softmax(struct upg_check *check)
{
    const size_t n_bytes = UPG_CODED_TOKENS * sizeof(float);
    struct upg_guarded results;

    upg_guarded_init(check, &results, n_bytes);
    for (size_t i = 0; i < upg_check_count(check, N_CASES); i++) {
        const enum upg_check_data data = (enum upg_check_data)(i % N_DATA);
        const size_t n_visible = (size_t)upg_check_int(check, 1, UPG_CODED_TOKENS);
        float *got = upg_guarded_place(&results, UPG_CODED_TOKENS, sizeof *got, 4);
        float scores[UPG_CODED_TOKENS], decay;
        const float before = fill_scores(check, scores, data);
        float greatest = before, total = isinf(before) ? 0 : 3;

        upg_check_case(check, "%zu visible, %s, behind %g", n_visible, upg_check_data_name(data),
                       (double)before);
        memcpy(got, scores, n_bytes);
        for (size_t j = n_visible; j < UPG_CODED_TOKENS; j++)
            got[j] = NAN; /* never looked at */
        decay = check->kernels->running_softmax(got, n_visible, &greatest, &total);
        compare_softmax(check, scores, n_visible, before, got, decay, greatest, total);
        if (!upg_guarded_intact(&results))
            upg_check_failed(check, "wrote outside the result");
    }

    upg_check_case(check, "not finite");
    float scores[UPG_CODED_TOKENS] = {1, NAN, 2}, greatest = 0, total = 1;
    check->kernels->running_softmax(scores, 3, &greatest, &total);
    if (!isnan(total))
        upg_check_failed(check, "the total of a NaN is %g", (double)total);
    upg_guarded_clear(&results);
}

void upg_check_scale_add(struct upg_check *check)
{
    struct upg_guarded in, results;

    upg_guarded_init(check, &in, MOST * sizeof(float));
    upg_guarded_init(check, &results, MOST * sizeof(float));
    for (size_t i = 0; i < upg_check_count(check, N_CASES); i++) {
        const enum upg_check_data data = (enum upg_check_data)(i % N_DATA);
        const size_t n = (size_t)upg_check_int(check, 1, i % 3 ? 70 : MOST);
        const float factor = (float)upg_random_unit(&check->random);
        float *x = upg_guarded_place(&in, n, sizeof *x, 4);
        float *y = upg_guarded_place(&results, n, sizeof *y, 4);
        float before[MOST];

        upg_check_case(check, "n %zu, %s", n, upg_check_data_name(data));
        upg_check_floats(check, x, n, data);
        upg_check_floats(check, y, n, DATA_RANDOM);
        memcpy(before, y, n * sizeof *y);
        check->kernels->scale_add(y, factor, x, n);
        for (size_t c = 0; c < n; c++) {
            const double scaled = (double)before[c] * (double)factor, added = (double)x[c];

            if (!(fabs((double)y[c] - (scaled + added)) <=
                  (double)FLT_EPSILON * (fabs(scaled) + fabs(added)))) {
                upg_check_failed(check, "element %zu is %a instead of %a", c, (double)y[c],
                                 scaled + added);
                break;
            }
        }
        if (!upg_guarded_intact(&results) || !upg_guarded_intact(&in))
            upg_check_failed(check, "wrote outside the result");
    }
    upg_guarded_clear(&in);
    upg_guarded_clear(&results);
}
