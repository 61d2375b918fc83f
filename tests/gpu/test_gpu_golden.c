/* test_gpu_golden.c -- logits and greedy texts of the official implementation, from a GPU. */
#include "unit.h"

#include "engine/golden.h"
#include "gpu/gpu_device.h"

#include <math.h>
#include <stdlib.h>

static upg_engine *new_engine(const struct golden *golden, upg_kv_type kv_type)
{
    upg_engine_options options = golden_options();

    options.device = test_gpu();
    options.kv_type = kv_type;
    return golden_engine(golden, &options);
}

static void check_prompt(upg_engine *engine, const struct golden *golden,
                         const struct golden_prompt *prompt, double tolerance)
{
    const size_t n = prompt->n_logits * golden->model.config.n_vocab;
    upg_sequence *sequence;
    upg_error err = {0};
    double greatest = 0;
    const float *logits;

    assert_ok(upg_sequence_new(&sequence, engine, &err), err);
    assert_ok(upg_sequence_append(sequence, prompt->ids, prompt->n_ids, prompt->n_logits, NULL,
                                  NULL, &err),
              err);
    logits = upg_sequence_logits(sequence, NULL);
    for (size_t i = 0; i < n; i++) {
        const double difference = fabs((double)logits[i] - (double)prompt->logits[i]);

        greatest = difference > greatest || isnan(difference) ? difference : greatest;
    }
    print_message("  %zu tokens: %.1e\n", prompt->n_ids, greatest);
    assert_true(greatest <= tolerance);
    upg_sequence_free(sequence);
}

static void check_greedy(upg_engine *engine, const struct golden *golden)
{
    const json_t *greedy = json_object_get(golden->json, "greedy");
    const size_t n_vocab = golden->model.config.n_vocab;
    upg_sequence *sequence;
    size_t n_ids, n_new;
    int32_t *ids, *expected;
    upg_error err = {0};

    if (!greedy)
        return;
    ids = golden_ids(json_object_get(greedy, "ids"), &n_ids);
    expected = golden_ids(json_object_get(greedy, "new_ids"), &n_new);
    assert_ok(upg_sequence_new(&sequence, engine, &err), err);
    assert_ok(upg_sequence_append(sequence, ids, n_ids, 1, NULL, NULL, &err), err);
    for (size_t i = 0; i < n_new; i++) {
        const float *logits = upg_sequence_logits(sequence, NULL);
        int32_t best = 0;

        for (size_t j = 1; j < n_vocab; j++)
            best = logits[j] > logits[best] ? (int32_t)j : best;
        assert_int_equal(best, expected[i]);
        assert_ok(upg_sequence_append(sequence, &best, 1, 1, NULL, NULL, &err), err);
    }
    upg_sequence_free(sequence);
    free(expected);
    free(ids);
}

/* Prompts of thousands of tokens take a processor that plays GPU minutes. */
static void check(const char *name, upg_kv_type kv_type, double tolerance)
{
    struct golden golden;
    upg_engine *engine;

    golden_open(&golden, name);
    engine = new_engine(&golden, kv_type);
    print_message("%s on %s\n", name, upg_engine_tier(engine));
    for (size_t p = golden_n_prompts(&golden); p-- > 0;) {
        struct golden_prompt prompt = golden_prompt(&golden, p);

        if (prompt.n_ids < 1000)
            check_prompt(engine, &golden, &prompt, tolerance);
        free(prompt.ids);
    }
    check_greedy(engine, &golden);
    upg_engine_free(engine);
    golden_close(&golden);
}

static void exact_cache_gives_the_official_logits(void **state)
{
    (void)state;
    check("gqa4", UPG_KV_F32, 5e-4);
    check("partial_tied", UPG_KV_F32, 5e-4);
    check("longrope_switch", UPG_KV_F32, 5e-4);
    check("tiny_file", UPG_KV_F32, 5e-4);
}

static void half_cache_stays_close(void **state)
{
    (void)state;
    check("gqa4", UPG_KV_F16, 2e-2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_cache_gives_the_official_logits),
        cmocka_unit_test(half_cache_stays_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
