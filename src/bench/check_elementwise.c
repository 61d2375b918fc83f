/* check_elementwise.c -- norm and gate against float64. */
#include "bench/check.h"

#include "bench/guarded.h"

#include <math.h>
#include <string.h>

enum { MOST = 600, N_CASES = 300 };

/* Distance in units of the last place of `exact` as a float32. */
static double ulps(double got, double exact)
{
    int exponent;

    frexp(exact, &exponent);
    return fabs(got - exact) / ldexp(1, exponent < -125 ? -149 : exponent - 24);
}

void upg_check_rms_norm(struct upg_check *check)
{
    struct upg_guarded in, weights, results;

    upg_guarded_init(check, &in, MOST * sizeof(float));
    upg_guarded_init(check, &weights, MOST * sizeof(float));
    upg_guarded_init(check, &results, MOST * sizeof(float));
    for (size_t i = 0; i < upg_check_count(check, N_CASES); i++) {
        const enum upg_check_data data = (enum upg_check_data)(i % N_DATA);
        const size_t n = (size_t)upg_check_int(check, 1, i % 3 ? 70 : MOST);
        const float eps = 1e-5F;
        float *x = upg_guarded_place(&in, n, sizeof *x, 4);
        float *weight = upg_guarded_place(&weights, n, sizeof *weight, 4);
        float *out = upg_guarded_place(&results, n, sizeof *out, 4);
        double sum = 0;

        upg_check_case(check, "n %zu, %s", n, upg_check_data_name(data));
        upg_check_floats(check, x, n, data);
        upg_check_floats(check, weight, n, DATA_RANDOM);
        check->kernels->rms_norm(out, x, weight, n, eps);
        for (size_t c = 0; c < n; c++)
            sum += (double)x[c] * (double)x[c];
        for (size_t c = 0; c < n; c++) {
            const double exact =
                (double)weight[c] * (double)x[c] / sqrt(sum / (double)n + (double)eps);
            if (!(ulps((double)out[c], exact) <= 4)) {
                upg_check_failed(check, "element %zu is %.9g instead of %.9g", c, (double)out[c],
                                 exact);
                break;
            }
        }
        if (!upg_guarded_intact(&results))
            upg_check_failed(check, "wrote outside the result");

        float *in_place = upg_guarded_place(&results, n, sizeof *out, 4);
        float expected[MOST];
        memcpy(in_place, x, n * sizeof *x);
        check->kernels->rms_norm(expected, x, weight, n, eps);
        check->kernels->rms_norm(in_place, in_place, weight, n, eps);
        upg_check_same(check, expected, in_place, n);
    }
    upg_guarded_clear(&in);
    upg_guarded_clear(&weights);
    upg_guarded_clear(&results);
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static void fill_gate(struct upg_check *check, float *gate, size_t n, enum upg_check_data data)
{
    static const float extremes[] = {0, -0.0F, 1e-30F, -1e-30F, 80, -80, 1e30F, -1e30F};

    for (size_t i = 0; i < n; i++)
        gate[i] = data == DATA_ZERO      ? 0
                  : data == DATA_EXTREME ? extremes[upg_check_int(check, 0, 7)]
                                         : (float)(200 * upg_random_unit(&check->random) - 100);
}

static void compare_gate(struct upg_check *check, const float *out, const float *gate,
                         const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double exact = silu((double)gate[i]) * (double)up[i];
        const double got = (double)out[i];
        if (fabs(silu((double)gate[i])) < (double)UPG_SILU_LEAST
                ? fabs(got) <= (double)UPG_SILU_LEAST * fabs((double)up[i]) * 1.0001
                : ulps(got, exact) <= 4)
            continue;
        upg_check_failed(check, "element %zu, gate %a, up %a is %.9g instead of %.9g", i,
                         (double)gate[i], (double)up[i], got, exact);
        return;
    }
}

void upg_check_silu_gate(struct upg_check *check)
{
    struct upg_guarded gates, ups, results;

    upg_guarded_init(check, &gates, MOST * sizeof(float));
    upg_guarded_init(check, &ups, MOST * sizeof(float));
    upg_guarded_init(check, &results, MOST * sizeof(float));
    for (size_t i = 0; i < upg_check_count(check, N_CASES); i++) {
        const enum upg_check_data data = (enum upg_check_data)(i % N_DATA);
        const size_t n = (size_t)upg_check_int(check, 1, i % 3 ? 70 : MOST);
        float *gate = upg_guarded_place(&gates, n, sizeof *gate, 4);
        float *up = upg_guarded_place(&ups, n, sizeof *up, 4);
        float *out = upg_guarded_place(&results, n, sizeof *out, 4);

        upg_check_case(check, "n %zu, %s", n, upg_check_data_name(data));
        fill_gate(check, gate, n, data);
        upg_check_floats(check, up, n, i % 2 ? DATA_RANDOM : DATA_ALTERNATING);
        check->kernels->silu_gate(out, gate, up, n);
        compare_gate(check, out, gate, up, n);
        for (size_t c = 0; c < n; c++) { /* alone, whatever its neighbours */
            float alone;
            check->kernels->silu_gate(&alone, gate + c, up + c, 1);
            if (!upg_check_same(check, &alone, out + c, 1))
                break;
        }

        float expected[MOST];
        memcpy(expected, out, n * sizeof *out);
        check->kernels->silu_gate(gate, gate, up, n); /* in place */
        upg_check_same(check, expected, gate, n);
        if (!upg_guarded_intact(&results) || !upg_guarded_intact(&gates))
            upg_check_failed(check, "wrote outside the result");
    }

    upg_check_case(check, "not finite");
    const float gate[] = {NAN, INFINITY, 1}, up[] = {1, 1, NAN};
    float out[3];
    check->kernels->silu_gate(out, gate, up, 3);
    if (!isnan(out[0]) || !isinf(out[1]) || !isnan(out[2]))
        upg_check_failed(check, "NaN, inf, NaN became %g, %g, %g", (double)out[0], (double)out[1],
                         (double)out[2]);
    upg_guarded_clear(&gates);
    upg_guarded_clear(&ups);
    upg_guarded_clear(&results);
}
