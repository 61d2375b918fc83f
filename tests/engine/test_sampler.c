/* test_sampler.c -- what may be drawn, and how often. */
#include "unit.h"

#include "base/random.h"
#include "engine/sampler.h"

#include <math.h>
#include <stdlib.h>

static upg_sampling plain(void)
{
    upg_sampling sampling;

    upg_sampling_defaults(&sampling);
    sampling.temperature = 1;
    sampling.top_p = 1;
    sampling.seed = 12345;
    return sampling;
}

static struct upg_sampler *new_sampler(const upg_sampling *sampling, size_t n_vocab)
{
    struct upg_sampler *sampler = NULL;
    upg_error err = {0};

    assert_ok(upg_sampler_new(&sampler, sampling, n_vocab, &err), err);
    return sampler;
}

static struct upg_draw_space space; /* of all tests */

static int32_t draw_allowed(struct upg_sampler *sampler, const float *logits,
                            const uint32_t *allowed)
{
    int32_t id = -1;
    upg_error err = {0};

    assert_ok(upg_sampler_draw(sampler, logits, allowed, &space, &id, &err), err);
    return id;
}

static int32_t draw(struct upg_sampler *sampler, const float *logits)
{
    return draw_allowed(sampler, logits, NULL);
}

/* counts[n] of n_draws draws. */
static void draw_many(const upg_sampling *sampling, const float *logits, size_t n, size_t n_draws,
                      size_t *counts)
{
    struct upg_sampler *sampler = new_sampler(sampling, n);

    memset(counts, 0, n * sizeof *counts);
    for (size_t i = 0; i < n_draws; i++)
        counts[draw(sampler, logits)]++;
    upg_sampler_free(sampler);
}

static void greedy_takes_the_lowest_of_equal_ids(void **state)
{
    const float logits[] = {1, 3, -2, 3, 3};
    upg_sampling sampling = plain();
    struct upg_sampler *sampler;

    (void)state;
    sampling.temperature = 0;
    sampler = new_sampler(&sampling, 5);
    assert_int_equal(draw(sampler, logits), 1);
    upg_sampler_free(sampler);
}

/* Pearson's chi-squared over 7 degrees of freedom: 24.3 is exceeded once in a thousand seeds. */
static void draws_have_the_probabilities_of_the_softmax(void **state)
{
    const float logits[8] = {0, 1, 2, -1, 0.5f, -0.5f, 1.5f, -2};
    const float temperatures[] = {1, 0.5f, 2};

    (void)state;
    for (size_t t = 0; t < 3; t++) {
        enum { N_DRAWS = 40000 };
        upg_sampling sampling = plain();
        size_t counts[8];
        double p[8], total = 0, chi_squared = 0;

        sampling.temperature = temperatures[t];
        draw_many(&sampling, logits, 8, N_DRAWS, counts);
        for (size_t i = 0; i < 8; i++)
            total += p[i] = exp((double)logits[i] / (double)temperatures[t]);
        for (size_t i = 0; i < 8; i++) {
            const double expected = p[i] / total * N_DRAWS;
            chi_squared +=
                ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
        }
        assert_true(chi_squared < 24.3);
    }
}

static void same_seed_same_draws(void **state)
{
    const float logits[4] = {0};
    upg_sampling sampling = plain();
    struct upg_sampler *a = new_sampler(&sampling, 4), *b = new_sampler(&sampling, 4), *c;
    size_t n_equal = 0;

    (void)state;
    sampling.seed++;
    c = new_sampler(&sampling, 4);
    for (size_t i = 0; i < 200; i++) {
        const int32_t id = draw(a, logits);

        assert_int_equal(id, draw(b, logits));
        n_equal += id == draw(c, logits);
    }
    assert_true(n_equal < 100);
    upg_sampler_free(a);
    upg_sampler_free(b);
    upg_sampler_free(c);
}

/* Probabilities 1/2, 1/4, 1/8, 1/16, 1/16. */
static const float halves[5] = {0, -0.6931472f, -1.3862944f, -2.0794415f, -2.0794415f};

static void assert_drawn(const upg_sampling *sampling, const float *logits, size_t n,
                         size_t n_expected)
{
    size_t counts[8];

    draw_many(sampling, logits, n, 2000, counts);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(counts[i] > 0, i < n_expected);
}

static void top_p_keeps_the_shortest_run_that_has_the_mass(void **state)
{
    const struct {
        float p;
        size_t n;
    } cases[] = {{0.01f, 1}, {0.49f, 1}, {0.51f, 2}, {0.74f, 2}, {0.76f, 3}, {0.93f, 4}, {1, 5}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        upg_sampling sampling = plain();

        sampling.top_p = cases[i].p;
        assert_drawn(&sampling, halves, 5, cases[i].n);
    }
}

static void min_p_is_relative_to_the_most_probable(void **state)
{
    const struct {
        float p;
        size_t n;
    } cases[] = {{0, 5}, {0.12f, 5}, {0.13f, 3}, {0.3f, 2}, {0.6f, 1}, {1, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        upg_sampling sampling = plain();

        sampling.min_p = cases[i].p;
        assert_drawn(&sampling, halves, 5, cases[i].n);
    }
}

static void top_k_keeps_k_and_of_equal_ones_the_lowest_ids(void **state)
{
    const float equal[6] = {1, 1, 1, 1, 1, 1};

    (void)state;
    for (int32_t k = 1; k <= 7; k++) {
        upg_sampling sampling = plain();

        sampling.top_k = k;
        assert_drawn(&sampling, equal, 6, k < 6 ? (size_t)k : 6);
        assert_drawn(&sampling, halves, 5, k < 5 ? (size_t)k : 5);
    }
}

static void top_k_of_one_is_greedy_even_when_hot(void **state)
{
    const float logits[3] = {1, 1.0001f, 1};
    upg_sampling sampling = plain();
    size_t counts[3];

    (void)state;
    sampling.top_k = 1;
    sampling.temperature = 1e9f;
    draw_many(&sampling, logits, 3, 100, counts);
    assert_int_equal(counts[1], 100);
}

/* top-p sees what top-k left: 2/3 and 1/3 of the first two. */
static void filters_apply_one_after_the_other(void **state)
{
    upg_sampling sampling = plain();

    (void)state;
    sampling.top_k = 2;
    sampling.top_p = 0.6f;
    assert_drawn(&sampling, halves, 5, 1);
    sampling.top_p = 0.7f;
    assert_drawn(&sampling, halves, 5, 2);
}

static const float *sorted_logits; /* for qsort, which passes nothing along */

static int compare_ids(const void *a, const void *b)
{
    const size_t i = *(const size_t *)a, j = *(const size_t *)b;

    if (sorted_logits[i] != sorted_logits[j])
        return sorted_logits[i] > sorted_logits[j] ? -1 : 1;
    return i < j ? -1 : 1;
}

/* How many of the ids in order[n], most probable first, survive; by sorting. */
static size_t expected_kept(const float *logits, const size_t *order, size_t n, int32_t k, float p)
{
    double total = 0, sum = 0;
    size_t kept = 0;

    n = k > 0 && (size_t)k < n ? (size_t)k : n;
    for (size_t i = 0; i < n; i++)
        total += exp((double)logits[order[i]]);
    while (kept < n && sum < (double)p * total)
        sum += exp((double)logits[order[kept++]]);
    return kept;
}

static void selection_agrees_with_sorting(void **state)
{
    enum { N = 40 };
    struct upg_random random = {99};

    (void)state;
    for (size_t round = 0; round < 200; round++) {
        upg_sampling sampling = plain();
        float logits[N];
        size_t order[N], counts[N], kept;

        for (size_t i = 0; i < N; i++) {
            logits[i] = (float)(upg_random_u64(&random) % 8) * 0.25f; /* many are equal */
            order[i] = i;
        }
        sorted_logits = logits;
        qsort(order, N, sizeof *order, compare_ids);
        sampling.seed = round;
        sampling.top_k = (int32_t)(upg_random_u64(&random) % (N + 5));
        sampling.top_p = (float)(0.05 + 0.9 * upg_random_unit(&random));
        kept = expected_kept(logits, order, N, sampling.top_k, sampling.top_p);
        draw_many(&sampling, logits, N, 3000, counts);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(counts[order[i]] > 0, i < kept);
    }
}

static void penalties_lower_what_was_said(void **state)
{
    const float logits[3] = {2, 1.9f, -1};
    upg_sampling sampling = plain();
    struct upg_sampler *sampler;

    (void)state;
    sampling.temperature = 0;
    sampling.repetition_penalty = 1.2f; /* 2 / 1.2 < 1.9 */
    sampler = new_sampler(&sampling, 3);
    assert_int_equal(draw(sampler, logits), 0);
    upg_sampler_see_prompt(sampler, 0);
    assert_int_equal(draw(sampler, logits), 1);
    upg_sampler_free(sampler);

    sampling.repetition_penalty = 1;
    sampling.presence_penalty = 0.2f; /* over the answer only, once */
    sampler = new_sampler(&sampling, 3);
    upg_sampler_see_prompt(sampler, 0);
    assert_int_equal(draw(sampler, logits), 0);
    upg_sampler_see_answer(sampler, 0);
    assert_int_equal(draw(sampler, logits), 1);
    upg_sampler_see_answer(sampler, 1);
    assert_int_equal(draw(sampler, logits), 0);
    upg_sampler_free(sampler);

    sampling.presence_penalty = 0;
    sampling.frequency_penalty = 0.06f; /* each time */
    sampler = new_sampler(&sampling, 3);
    upg_sampler_see_answer(sampler, 0);
    assert_int_equal(draw(sampler, logits), 0);
    upg_sampler_see_answer(sampler, 0);
    assert_int_equal(draw(sampler, logits), 1);
    upg_sampler_free(sampler);
}

/* Keskar et al. divide; a negative logit is multiplied, so that it falls as well. */
static void repetition_penalty_lowers_negative_logits(void **state)
{
    const float logits[2] = {-1, -1.1f};
    upg_sampling sampling = plain();
    struct upg_sampler *sampler;

    (void)state;
    sampling.temperature = 0;
    sampling.repetition_penalty = 1.5f;
    sampler = new_sampler(&sampling, 2);
    upg_sampler_see_prompt(sampler, 0);
    assert_int_equal(draw(sampler, logits), 1);
    upg_sampler_free(sampler);
}

static void bias_moves_and_bans(void **state)
{
    const float logits[3] = {2, 1, 0};
    const upg_logit_bias bias[3] = {{0, -INFINITY}, {2, 0.75f}, {2, 0.75f}};
    upg_sampling sampling = plain();
    size_t counts[3];
    struct upg_sampler *sampler;

    (void)state;
    sampling.logit_bias = bias;
    sampling.n_logit_bias = 1;
    draw_many(&sampling, logits, 3, 500, counts);
    assert_int_equal(counts[0], 0);
    assert_true(counts[1] > counts[2] && counts[2] > 0);
    sampling.n_logit_bias = 3; /* entries of one id add up: 1.5 > 1 */
    sampling.temperature = 0;
    sampler = new_sampler(&sampling, 3);
    assert_int_equal(draw(sampler, logits), 2);
    upg_sampler_free(sampler);
}

static void only_allowed_tokens_are_drawn(void **state)
{
    const float logits[40] = {[0] = 9, [3] = 5, [31] = 6, [32] = 7, [39] = 8};
    const uint32_t allowed[2] = {1u << 3 | 1u << 31, 1u}, last[2] = {0, 1u << 7};
    upg_sampling sampling = plain();
    struct upg_sampler *sampler;

    (void)state;
    sampling.temperature = 100; /* nearly uniform */
    sampler = new_sampler(&sampling, 40);
    for (size_t i = 0; i < 200; i++) {
        const int32_t id = draw_allowed(sampler, logits, allowed);

        assert_true(id == 3 || id == 31 || id == 32);
    }
    assert_int_equal(draw_allowed(sampler, logits, last), 39);
    upg_sampler_free(sampler);
    sampling.temperature = 0;
    sampler = new_sampler(&sampling, 40);
    assert_int_equal(draw_allowed(sampler, logits, allowed), 32);
    assert_int_equal(draw(sampler, logits), 0);
    upg_sampler_free(sampler);
}

static void logits_at_the_edges_of_float(void **state)
{
    const float only_one[4] = {-INFINITY, -INFINITY, 3, -INFINITY};
    const float extreme[2] = {3e38f, -3e38f};
    upg_sampling sampling = plain();
    size_t counts[4];

    (void)state;
    draw_many(&sampling, only_one, 4, 50, counts);
    assert_int_equal(counts[2], 50);
    sampling.temperature = 1e-30f;
    draw_many(&sampling, halves, 4, 50, counts);
    assert_int_equal(counts[0], 50);
    sampling.repetition_penalty = 1e-30f;
    draw_many(&sampling, extreme, 2, 50, counts);
    assert_int_equal(counts[0], 50);
}

static void logits_that_are_no_numbers_are_an_error(void **state)
{
    const float bad[] = {NAN, INFINITY};
    const uint32_t none = 0;
    upg_sampling sampling = plain();

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct upg_sampler *sampler = new_sampler(&sampling, 3);
        float logits[3] = {0, 1, 2};
        int32_t id;
        upg_error err = {0};

        logits[1] = bad[i];
        assert_fails(upg_sampler_draw(sampler, logits, NULL, &space, &id, &err), UPG_ERR_FORMAT,
                     err, "token 1");
        logits[1] = 0;
        assert_fails(upg_sampler_draw(sampler, logits, &none, &space, &id, &err), UPG_ERR_ARGUMENT,
                     err, "every token is banned");
        upg_sampler_free(sampler);
    }
}

static void values_out_of_range_are_refused_by_name(void **state)
{
    const upg_logit_bias bad_id = {5, 1}, bad_bias = {0, NAN};
    struct upg_sampler *sampler = NULL;
    upg_sampling s[16];
    const char *names[16];
    size_t n = 0;
    upg_error err = {0};

    (void)state;
#define BAD(field, value) (s[n] = plain(), s[n].field = (value), names[n++] = #field)
    BAD(temperature, -0.1f);
    BAD(temperature, NAN);
    BAD(temperature, INFINITY);
    BAD(top_k, -1);
    BAD(top_p, 0);
    BAD(top_p, 1.01f);
    BAD(min_p, -0.1f);
    BAD(min_p, 1.1f);
    BAD(repetition_penalty, 0);
    BAD(repetition_penalty, NAN);
    BAD(presence_penalty, 2.1f);
    BAD(presence_penalty, NAN);
    BAD(frequency_penalty, -2.1f);
    BAD(logit_bias, &bad_id);
    BAD(logit_bias, &bad_bias);
#undef BAD
    s[n - 1].n_logit_bias = s[n - 2].n_logit_bias = 1;
    for (size_t i = 0; i < n; i++)
        assert_fails(upg_sampler_new(&sampler, &s[i], 5, &err), UPG_ERR_ARGUMENT, err, names[i]);
    assert_null(sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_lowest_of_equal_ids),
        cmocka_unit_test(draws_have_the_probabilities_of_the_softmax),
        cmocka_unit_test(same_seed_same_draws),
        cmocka_unit_test(top_p_keeps_the_shortest_run_that_has_the_mass),
        cmocka_unit_test(min_p_is_relative_to_the_most_probable),
        cmocka_unit_test(top_k_keeps_k_and_of_equal_ones_the_lowest_ids),
        cmocka_unit_test(top_k_of_one_is_greedy_even_when_hot),
        cmocka_unit_test(filters_apply_one_after_the_other),
        cmocka_unit_test(selection_agrees_with_sorting),
        cmocka_unit_test(penalties_lower_what_was_said),
        cmocka_unit_test(repetition_penalty_lowers_negative_logits),
        cmocka_unit_test(bias_moves_and_bans),
        cmocka_unit_test(only_allowed_tokens_are_drawn),
        cmocka_unit_test(logits_at_the_edges_of_float),
        cmocka_unit_test(logits_that_are_no_numbers_are_an_error),
        cmocka_unit_test(values_out_of_range_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
