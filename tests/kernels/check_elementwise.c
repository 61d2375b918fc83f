/* check_elementwise.c -- norm and gate against float64. */
#include "check.h"

#include "guarded.h"

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

void check_rms_norm(struct check *check)
{
    struct guarded in, weights, results;

    guarded_init(&in, MOST * sizeof(float));
    guarded_init(&weights, MOST * sizeof(float));
    guarded_init(&results, MOST * sizeof(float));
    for (size_t i = 0; i < n_cases(check, N_CASES); i++) {
        const enum data data = (enum data)(i % N_DATA);
        const size_t n = (size_t)random_int(check, 1, i % 3 ? 70 : MOST);
        const float eps = 1e-5F;
        float *x = guarded_place(&in, n, sizeof *x, 4);
        float *weight = guarded_place(&weights, n, sizeof *weight, 4);
        float *out = guarded_place(&results, n, sizeof *out, 4);
        double sum = 0;

        check_case(check, "n %zu, %s", n, data_name(data));
        fill_floats(check, x, n, data);
        fill_floats(check, weight, n, DATA_RANDOM);
        check->kernels->rms_norm(out, x, weight, n, eps);
        for (size_t c = 0; c < n; c++)
            sum += (double)x[c] * (double)x[c];
        for (size_t c = 0; c < n; c++) {
            const double exact =
                (double)weight[c] * (double)x[c] / sqrt(sum / (double)n + (double)eps);
            if (!(ulps((double)out[c], exact) <= 4)) {
                check_failed(check, "element %zu is %.9g instead of %.9g", c, (double)out[c],
                             exact);
                break;
            }
        }
        if (!guarded_intact(&results))
            check_failed(check, "wrote outside the result");

        float *in_place = guarded_place(&results, n, sizeof *out, 4);
        float expected[MOST];
        memcpy(in_place, x, n * sizeof *x);
        check->kernels->rms_norm(expected, x, weight, n, eps);
        check->kernels->rms_norm(in_place, in_place, weight, n, eps);
        same_floats(check, expected, in_place, n);
    }
    guarded_clear(&in);
    guarded_clear(&weights);
    guarded_clear(&results);
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static void fill_gate(struct check *check, float *gate, size_t n, enum data data)
{
    static const float extremes[] = {0, -0.0F, 1e-30F, -1e-30F, 80, -80, 1e30F, -1e30F};

    for (size_t i = 0; i < n; i++)
        gate[i] = data == DATA_ZERO      ? 0
                  : data == DATA_EXTREME ? extremes[random_int(check, 0, 7)]
                                         : (float)(200 * upg_random_unit(&check->random) - 100);
}

static void compare_gate(struct check *check, const float *out, const float *gate, const float *up,
                         size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double exact = silu((double)gate[i]) * (double)up[i];
        const double got = (double)out[i];
        if (fabs(silu((double)gate[i])) < (double)UPG_SILU_LEAST
                ? fabs(got) <= (double)UPG_SILU_LEAST * fabs((double)up[i]) * 1.0001
                : ulps(got, exact) <= 4)
            continue;
        check_failed(check, "element %zu, gate %a, up %a is %.9g instead of %.9g", i,
                     (double)gate[i], (double)up[i], got, exact);
        return;
    }
}

void check_silu_gate(struct check *check)
{
    struct guarded gates, ups, results;

    guarded_init(&gates, MOST * sizeof(float));
    guarded_init(&ups, MOST * sizeof(float));
    guarded_init(&results, MOST * sizeof(float));
    for (size_t i = 0; i < n_cases(check, N_CASES); i++) {
        const enum data data = (enum data)(i % N_DATA);
        const size_t n = (size_t)random_int(check, 1, i % 3 ? 70 : MOST);
        float *gate = guarded_place(&gates, n, sizeof *gate, 4);
        float *up = guarded_place(&ups, n, sizeof *up, 4);
        float *out = guarded_place(&results, n, sizeof *out, 4);

        check_case(check, "n %zu, %s", n, data_name(data));
        fill_gate(check, gate, n, data);
        fill_floats(check, up, n, i % 2 ? DATA_RANDOM : DATA_ALTERNATING);
        check->kernels->silu_gate(out, gate, up, n);
        compare_gate(check, out, gate, up, n);
        for (size_t c = 0; c < n; c++) { /* alone, whatever its neighbours */
            float alone;
            check->kernels->silu_gate(&alone, gate + c, up + c, 1);
            if (!same_floats(check, &alone, out + c, 1))
                break;
        }

        float expected[MOST];
        memcpy(expected, out, n * sizeof *out);
        check->kernels->silu_gate(gate, gate, up, n); /* in place */
        same_floats(check, expected, gate, n);
        if (!guarded_intact(&results) || !guarded_intact(&gates))
            check_failed(check, "wrote outside the result");
    }

    check_case(check, "not finite");
    const float gate[] = {NAN, INFINITY, 1}, up[] = {1, 1, NAN};
    float out[3];
    check->kernels->silu_gate(out, gate, up, 3);
    if (!isnan(out[0]) || !isinf(out[1]) || !isnan(out[2]))
        check_failed(check, "NaN, inf, NaN became %g, %g, %g", (double)out[0], (double)out[1],
                     (double)out[2]);
    guarded_clear(&gates);
    guarded_clear(&ups);
    guarded_clear(&results);
}
