/* test_trained_model.c -- the default model says what the official implementation says.
 *
 * tests/data/engine/trained/tiny.json: logits of transformers' Phi3ForCausalLM, float32 on the
 * weights as upg_export() writes them, and greedy continuations without the stop tokens
 * (make_golden_trained.py).  The same weights give the same numbers.  The packed file itself differs
 * by the rounding of weights to bf16, which the export does, and of activations to 8 bits. */
#include "unit.h"

#include "base/json.h"
#include "model/exported.h"

#include <math.h>
#include <stdlib.h>

struct fixture {
    upg_model *model;
    upg_engine *engine;
    upg_sequence *sequence;
    json_t *golden;
    upg_error err;
};

static void setup(struct fixture *f, const char *model, upg_compute compute, upg_kv_type kv_type)
{
    upg_engine_options options;

    memset(f, 0, sizeof *f);
    assert_ok(upg_json_read(&f->golden, "tests/data/engine/trained/tiny.json", &f->err), f->err);
    assert_ok(upg_model_open(&f->model, model, NULL, &f->err), f->err);
    upg_engine_options_defaults(&options);
    options.context = 256;
    options.compute = compute;
    options.kv_type = kv_type;
    options.n_threads = 2;
    options.cpu_tier = getenv("UPG_CPU");
    assert_ok(upg_engine_new(&f->engine, f->model, &options, &f->err), f->err);
    assert_ok(upg_sequence_new(&f->sequence, f->engine, &f->err), f->err);
}

static void teardown(struct fixture *f)
{
    upg_sequence_free(f->sequence);
    upg_engine_free(f->engine);
    upg_model_free(f->model);
    json_decref(f->golden);
}

static json_int_t id_at(const json_t *ids, size_t i)
{
    return json_integer_value(json_array_get(ids, i));
}

/* The ids of an entry's prompt, which are also those of the golden file. */
static upg_tokens tokenize(struct fixture *f, const json_t *entry)
{
    const char *text = json_string_value(json_object_get(entry, "prompt"));
    const json_t *ids = json_object_get(entry, "ids");
    upg_tokens tokens = {0};

    assert_ok(upg_tokenize(upg_model_tokenizer(f->model), text, strlen(text),
                           UPG_TEXT_PARSE_SPECIAL, &tokens, &f->err),
              f->err);
    assert_int_equal(tokens.n, json_array_size(ids));
    for (size_t i = 0; i < tokens.n; i++)
        assert_int_equal(tokens.ids[i], id_at(ids, i));
    return tokens;
}

static double difference_at(const float *logits, json_int_t id, const json_t *values, size_t i)
{
    return fabs((double)logits[id] - json_number_value(json_array_get(values, i)));
}

/* The greatest difference of the entry's stored logits, and of the log of the sum over all. */
static double compare(const float *logits, size_t n_vocab, const json_t *entry)
{
    const json_t *top_ids = json_object_get(entry, "top_ids");
    const json_t *top = json_object_get(entry, "top_logits");
    const json_t *every_512th = json_object_get(entry, "every_512th_logit");
    double greatest = 0, total = 0;

    for (size_t i = 0; i < json_array_size(top); i++)
        greatest = fmax(greatest, difference_at(logits, id_at(top_ids, i), top, i));
    for (size_t i = 0; i < json_array_size(every_512th); i++)
        greatest = fmax(greatest, difference_at(logits, (json_int_t)(512 * i), every_512th, i));
    for (size_t i = 0; i < n_vocab; i++)
        total += exp((double)logits[i]);
    return fmax(greatest,
                fabs(log(total) - json_number_value(json_object_get(entry, "logsumexp"))));
}

static void check_logits(const char *model, upg_compute compute, upg_kv_type kv_type,
                         double tolerance)
{
    struct fixture f;
    upg_model_info info;
    const json_t *entry;
    size_t i;

    setup(&f, model, compute, kv_type);
    upg_model_get_info(f.model, &info);
    json_array_foreach(json_object_get(f.golden, "logits"), i, entry)
    {
        if (SLOW_BUILD && compute == UPG_COMPUTE_REFERENCE && i >= 3)
            continue;
        upg_tokens prompt = tokenize(&f, entry);
        double difference;

        assert_ok(upg_sequence_truncate(f.sequence, 0, &f.err), f.err);
        assert_ok(upg_sequence_append(f.sequence, prompt.ids, prompt.n, 1, NULL, NULL, &f.err),
                  f.err);
        difference = compare(upg_sequence_logits(f.sequence, NULL), info.n_vocab, entry);
        print_message("  %zu tokens: %.1e\n", prompt.n, difference);
        assert_true(difference <= tolerance);
        upg_tokens_clear(&prompt);
    }
    assert_int_equal(i, 7);
    teardown(&f);
}

static void logits_are_the_official_ones(void **state)
{
    check_logits(*state, UPG_COMPUTE_FAST, UPG_KV_F32, 5e-4);
}

static void logits_of_the_reference_are_the_official_ones(void **state)
{
    check_logits(*state, UPG_COMPUTE_REFERENCE, UPG_KV_F32, 5e-4);
}

static void logits_with_a_float16_cache_are_close(void **state)
{
    check_logits(*state, UPG_COMPUTE_FAST, UPG_KV_F16, 2e-2);
}

static void logits_of_the_packed_form_are_near(void **state)
{
    (void)state;
    check_logits("models/default.upg", UPG_COMPUTE_FAST, UPG_KV_F16, 0.4);
}

static void greedy_answers_are_the_official_ones(void **state)
{
    const upg_logit_bias no_stop[] = {{8188, -INFINITY}, {8191, -INFINITY}};
    upg_generate_options options;
    struct fixture f;
    const json_t *entry;
    size_t i;

    setup(&f, *state, UPG_COMPUTE_FAST, UPG_KV_F16);
    upg_generate_options_defaults(&options);
    options.max_tokens = 64;
    options.sampling.temperature = 0;
    options.sampling.logit_bias = no_stop;
    options.sampling.n_logit_bias = 2;
    json_array_foreach(json_object_get(f.golden, "greedy"), i, entry)
    {
        if (SLOW_BUILD && i >= 3)
            continue;
        const json_t *expected = json_object_get(entry, "new_ids");
        upg_tokens prompt = tokenize(&f, entry);
        upg_generation answer = {0};

        assert_ok(upg_sequence_truncate(f.sequence, 0, &f.err), f.err);
        assert_ok(upg_generate(f.sequence, prompt.ids, prompt.n, &options, &answer, &f.err), f.err);
        assert_int_equal(answer.ids.n, json_array_size(expected));
        for (size_t j = 0; j < answer.ids.n; j++)
            assert_int_equal(answer.ids.ids[j], id_at(expected, j));
        assert_string_equal(answer.text, json_string_value(json_object_get(entry, "text")));
        upg_generation_clear(&answer);
        upg_tokens_clear(&prompt);
    }
    assert_int_equal(i, 7);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_the_official_ones),
        cmocka_unit_test(logits_of_the_reference_are_the_official_ones),
        cmocka_unit_test(logits_with_a_float16_cache_are_close),
        cmocka_unit_test(logits_of_the_packed_form_are_near),
        cmocka_unit_test(greedy_answers_are_the_official_ones),
    };

    return cmocka_run_group_tests(tests, exported_setup, exported_teardown);
}
