/* test_perplexity.c -- the window rule, worked out the slow way: every prediction by a sequence of
 * its own that holds the window.  The model has LongRoPE with its switch at 32 tokens, so windows of
 * both kinds occur. */
#include "unit.h"

#include "engine/byte_tokenizer.h"
#include "engine/golden.h"

#include <math.h>
#include <stdlib.h>

static const char text[] = "It was a bright cold day in the garden, and the clocks were striking.";
enum { N_TEXT = sizeof text - 1 }; /* tokens as well: one a byte */

/* Two engines: the model longrope_switch, and the same with one norm weight changed. */
struct fixture {
    struct golden golden, other;
    upg_engine *engine, *reference;
    upg_error err;
};

static void setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    golden_open(&f->golden, "longrope_switch");
    golden_open(&f->other, "longrope_switch");
    f->golden.model.tokenizer = byte_tokenizer();
    f->other.model.tokenizer = byte_tokenizer();
    for (size_t i = 0; i < 40; i++)
        ((float *)(uintptr_t)f->other.model.norm)[i] += 0.5f;
    f->engine = golden_engine(&f->golden, NULL);
    f->reference = golden_engine(&f->other, NULL);
}

static void teardown(struct fixture *f)
{
    upg_engine_free(f->engine);
    upg_engine_free(f->reference);
    upg_tokenizer_free(f->golden.model.tokenizer);
    upg_tokenizer_free(f->other.model.tokenizer);
    golden_close(&f->golden);
    golden_close(&f->other);
}

/* log p[n_vocab] of the token behind position pos, with the inputs text[begin .. end); the caller
 * frees it. */
static double *log_p(upg_engine *engine, size_t begin, size_t end, size_t pos)
{
    const size_t n_vocab = engine->model->config.n_vocab;
    int32_t ids[N_TEXT];
    double *out = malloc(n_vocab * sizeof *out), total = 0;
    upg_sequence *sequence;
    const float *logits;
    upg_error err = {0};

    assert_non_null(out);
    for (size_t i = begin; i < end; i++)
        ids[i - begin] = text[i];
    assert_ok(upg_sequence_new(&sequence, engine, &err), err);
    assert_ok(upg_sequence_append(sequence, ids, end - begin, end - pos, NULL, NULL, &err), err);
    logits = upg_sequence_logits(sequence, NULL);
    for (size_t i = 0; i < n_vocab; i++)
        total += exp((double)logits[i]);
    for (size_t i = 0; i < n_vocab; i++)
        out[i] = (double)logits[i] - log(total);
    upg_sequence_free(sequence);
    return out;
}

/* Begin of the window that predicts from position pos. */
static size_t window_of(size_t pos, size_t context, size_t stride)
{
    size_t begin = 0;

    while (pos >= begin + context)
        begin += stride;
    return begin;
}

static size_t best_of(const double *p, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        best = p[i] > p[best] ? i : best;
    return best;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static upg_evaluation expected(const struct fixture *f, size_t context, size_t stride, size_t n)
{
    const size_t n_vocab = f->golden.model.config.n_vocab;
    upg_evaluation e = {.n_tokens = n, .context = context, .stride = stride};
    double nll[N_TEXT], divergence[N_TEXT], variance = 0;

    for (size_t pos = 0; pos < n; pos++) {
        const size_t begin = window_of(pos, context, stride);
        const size_t end = begin + context < n ? begin + context : n;
        double *q = log_p(f->engine, begin, end, pos), *p = log_p(f->reference, begin, end, pos);

        nll[pos] = -q[(int)text[pos + 1]];
        e.nll += nll[pos] / (double)n;
        e.ref_nll -= p[(int)text[pos + 1]] / (double)n;
        divergence[pos] = 0;
        for (size_t i = 0; i < n_vocab; i++)
            divergence[pos] += exp(p[i]) * (p[i] - q[i]);
        e.kld_mean += divergence[pos] / (double)n;
        e.top1_agreement += (double)(best_of(p, n_vocab) == best_of(q, n_vocab)) / (double)n;
        free(q);
        free(p);
    }
    for (size_t pos = 0; pos < n; pos++)
        variance += (nll[pos] - e.nll) * (nll[pos] - e.nll) / (double)(n - 1);
    e.ppl = exp(e.nll);
    e.ppl_stderr = e.ppl * sqrt(variance / (double)n);
    e.ref_ppl = exp(e.ref_nll);
    e.retention = e.ref_ppl / e.ppl;
    qsort(divergence, n, sizeof *divergence, compare);
    e.kld_median = n % 2 ? divergence[n / 2] : (divergence[n / 2 - 1] + divergence[n / 2]) / 2;
    return e;
}

static void assert_close(double a, double b)
{
    if (!(fabs(a - b) <= 1e-4 * fmax(1, fabs(b))))
        fail_msg("%.9g is not %.9g", a, b);
}

static void every_token_is_predicted_once_from_its_window(void **state)
{
    const struct {
        size_t context, stride, max_tokens;
    } cases[] = {{16, 16, 0}, {16, 8, 0},  {16, 5, 0}, {1, 1, 0},     {16, 1, 25},
                 {16, 8, 16}, {16, 8, 17}, {16, 8, 3}, {512, 256, 0}, {N_TEXT - 1, 3, 0}};
    struct fixture f;

    (void)state;
    setup(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t n = cases[i].max_tokens ? cases[i].max_tokens : N_TEXT - 1;
        upg_evaluate_options options;
        upg_evaluation got, want = expected(&f, cases[i].context, cases[i].stride, n);

        upg_evaluate_options_defaults(&options);
        options.context = cases[i].context;
        options.stride = cases[i].stride;
        options.max_tokens = cases[i].max_tokens;
        assert_ok(upg_evaluate(f.engine, f.reference, text, N_TEXT, &options, &got, &f.err), f.err);
        assert_int_equal(got.n_tokens, want.n_tokens);
        assert_int_equal(got.context, want.context);
        assert_int_equal(got.stride, want.stride);
        assert_close(got.nll, want.nll);
        assert_close(got.ppl, want.ppl);
        assert_close(got.ppl_stderr, want.ppl_stderr);
        assert_close(got.ref_nll, want.ref_nll);
        assert_close(got.ref_ppl, want.ref_ppl);
        assert_close(got.kld_mean, want.kld_mean);
        assert_close(got.kld_median, want.kld_median);
        assert_close(got.top1_agreement, want.top1_agreement);
        assert_close(got.retention, want.retention);
        assert_true(got.kld_p99 > got.kld_median);
    }
    teardown(&f);
}

static void without_a_reference_its_fields_are_zero(void **state)
{
    struct fixture f;
    upg_evaluation alone, both;

    (void)state;
    setup(&f);
    assert_ok(upg_evaluate(f.engine, NULL, text, N_TEXT, NULL, &alone, &f.err), f.err);
    assert_ok(upg_evaluate(f.engine, f.engine, text, N_TEXT, NULL, &both, &f.err), f.err);
    assert_true(alone.nll == both.nll && alone.context == 512 && alone.stride == 256);
    assert_true(alone.ref_nll == 0 && alone.kld_mean == 0 && alone.retention == 0);
    assert_true(both.kld_mean == 0 && both.kld_p99 == 0 && both.top1_agreement == 1);
    assert_true(both.retention == 1);
    teardown(&f);
}

static int stop_at_the_second_window(void *context, const char *stage, uint64_t done,
                                     uint64_t total)
{
    (void)context;
    assert_string_equal(stage, "evaluate");
    assert_int_equal(total, N_TEXT - 1);
    return done > 16;
}

static void what_cannot_be_is_refused(void **state)
{
    struct fixture f;
    struct golden small;
    upg_engine *other_vocabulary;
    upg_evaluate_options options;
    upg_evaluation e = {.nll = 77};

    (void)state;
    setup(&f);
    golden_open(&small, "tiny_file");
    other_vocabulary = golden_engine(&small, NULL);
    upg_evaluate_options_defaults(&options);
    options.context = 5000;
    assert_fails(upg_evaluate(f.engine, NULL, text, N_TEXT, &options, &e, &f.err), UPG_ERR_ARGUMENT,
                 f.err, "5000 tokens do not fit an engine with a context of 1024");
    options.context = 16;
    options.stride = 17;
    assert_fails(upg_evaluate(f.engine, NULL, text, N_TEXT, &options, &e, &f.err), UPG_ERR_ARGUMENT,
                 f.err, "stride of 17");
    options.stride = 16;
    assert_fails(upg_evaluate(f.engine, NULL, text, 1, &options, &e, &f.err), UPG_ERR_ARGUMENT,
                 f.err, "1 tokens");
    assert_fails(upg_evaluate(f.engine, other_vocabulary, text, N_TEXT, &options, &e, &f.err),
                 UPG_ERR_ARGUMENT, f.err, "of 300");
    assert_fails(upg_evaluate(other_vocabulary, NULL, text, N_TEXT, &options, &e, &f.err),
                 UPG_ERR_ARGUMENT, f.err, "no tokenizer");
    options.progress = stop_at_the_second_window;
    assert_fails(upg_evaluate(f.engine, NULL, text, N_TEXT, &options, &e, &f.err),
                 UPG_ERR_CANCELLED, f.err, "32 of 68");
    ((float *)(uintptr_t)f.golden.model.norm)[3] = NAN;
    options.progress = NULL;
    assert_fails(upg_evaluate(f.engine, NULL, text, N_TEXT, &options, &e, &f.err), UPG_ERR_FORMAT,
                 f.err, "weights are damaged");
    assert_true(e.nll == 77);
    upg_engine_free(other_vocabulary);
    golden_close(&small);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_token_is_predicted_once_from_its_window),
        cmocka_unit_test(without_a_reference_its_fields_are_zero),
        cmocka_unit_test(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
