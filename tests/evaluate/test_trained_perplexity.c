/* test_trained_perplexity.c -- the default model's perplexity on a chapter of a book, against the
 * official implementation (make_golden.py), which has the weights as upg_export() writes them. */
#include "unit.h"

#include "base/buffer.h"
#include "base/json.h"
#include "model/exported.h"

#include <math.h>
#include <stdlib.h>

#define FOLDER "tests/data/engine/trained/"

static upg_engine *open_engine(const upg_model *model, upg_kv_type kv_type)
{
    upg_engine_options options;
    upg_engine *engine = NULL;
    upg_error err = {0};

    upg_engine_options_defaults(&options);
    options.context = 512;
    options.kv_type = kv_type;
    options.n_threads = 2;
    options.cpu_tier = getenv("UPG_CPU");
    assert_ok(upg_engine_new(&engine, model, &options, &err), err);
    return engine;
}

static void assert_within(double value, double expected, double relative)
{
    print_message("  %.6f against %.6f\n", value, expected);
    assert_true(fabs(value - expected) <= relative * expected);
}

/* The first n_cases of the golden file. */
static void check_perplexity(const char *path, size_t n_cases, double tolerance)
{
    struct upg_buffer text = {0};
    upg_model *model;
    upg_engine *engine;
    json_t *golden;
    const json_t *entry;
    size_t i;
    upg_error err = {0};

    assert_ok(upg_json_read(&golden, FOLDER "willows.json", &err), err);
    assert_ok(upg_buffer_read_file(&text, FOLDER "willows.txt", 1 << 20, &err), err);
    assert_ok(upg_model_open(&model, path, NULL, &err), err);
    engine = open_engine(model, UPG_KV_F16);
    json_array_foreach(json_object_get(golden, "cases"), i, entry)
    {
        if (i >= (SLOW_BUILD ? 1 : n_cases))
            continue;
        const double nll = json_number_value(json_object_get(entry, "nll"));
        upg_evaluate_options options;
        upg_evaluation e;

        upg_evaluate_options_defaults(&options);
        options.context = (size_t)json_integer_value(json_object_get(entry, "context"));
        options.stride = (size_t)json_integer_value(json_object_get(entry, "stride"));
        options.max_tokens = (size_t)json_integer_value(json_object_get(entry, "n_tokens"));
        assert_ok(upg_evaluate(engine, NULL, text.bytes, text.n, &options, &e, &err), err);
        assert_int_equal(e.n_tokens, options.max_tokens);
        assert_within(e.nll, nll, tolerance);
        assert_within(e.ppl_stderr / e.ppl, json_number_value(json_object_get(entry, "nll_stderr")),
                      10 * tolerance);
    }
    assert_int_equal(i, 3);
    upg_engine_free(engine);
    upg_model_free(model);
    upg_buffer_clear(&text);
    json_decref(golden);
}

static void perplexity_is_the_official_one(void **state)
{
    check_perplexity(*state, 3, 1e-4);
}

static void perplexity_of_the_packed_form_is_near(void **state)
{
    (void)state;
    check_perplexity("models/default.upg", 1, 2e-3);
}

/* Of the weights in bf16: in the packed form the rounding of activations would hide the caches. */
static void smaller_cache_types_change_little(void **state)
{
    const struct {
        upg_kv_type type;
        double divergence, agreement; /* at most, at least */
    } cases[] = {{UPG_KV_F16, 2e-6, 0.997}, {UPG_KV_Q8, 2e-4, 0.985}, {UPG_KV_Q4, 3e-2, 0.9}};
    struct upg_buffer text = {0};
    upg_model *model;
    upg_engine *reference;
    upg_error err = {0};

    assert_ok(upg_buffer_read_file(&text, FOLDER "willows.txt", 1 << 20, &err), err);
    assert_ok(upg_model_open(&model, *state, NULL, &err), err);
    reference = open_engine(model, UPG_KV_F32);
    for (size_t i = 0; i < 3; i++) {
        upg_engine *engine = open_engine(model, cases[i].type);
        upg_evaluate_options options;
        upg_evaluation e;

        upg_evaluate_options_defaults(&options);
        options.max_tokens = SLOW_BUILD ? 200 : 1000;
        assert_ok(upg_evaluate(engine, reference, text.bytes, text.n, &options, &e, &err), err);
        print_message("  type %d: divergence %.1e, agreement %.4f, retention %.4f\n",
                      (int)cases[i].type, e.kld_mean, e.top1_agreement, e.retention);
        assert_true(e.kld_mean > 0 && e.kld_mean < cases[i].divergence);
        assert_true(e.top1_agreement > cases[i].agreement);
        upg_engine_free(engine);
    }
    upg_engine_free(reference);
    upg_model_free(model);
    upg_buffer_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perplexity_is_the_official_one),
        cmocka_unit_test(perplexity_of_the_packed_form_is_near),
        cmocka_unit_test(smaller_cache_types_change_little),
    };

    return cmocka_run_group_tests(tests, exported_setup, exported_teardown);
}
