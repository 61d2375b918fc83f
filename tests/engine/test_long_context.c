/* test_long_context.c -- where attention is split over positions, nothing depends on how.
 *
 * The default model has 2 key/value heads: one row is fewer tasks than threads from 1 thread on, so
 * single tokens take the way by spans, and prompts the other one. */
#include "unit.h"

#include "engine/attention.h"

#include <stdlib.h>

enum { N_PROMPT = UPG_SPAN + 70, N_SINGLE = 3, N_ALL = N_PROMPT + N_SINGLE };

static void make_ids(int32_t ids[N_ALL], size_t n_vocab)
{
    uint64_t random = 1;

    for (size_t i = 0; i < N_ALL; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (int32_t)((random >> 33) % n_vocab);
    }
}

/* Logits [N_SINGLE, n_vocab] of the last tokens, which come one by one, or in one step. */
static float *last_logits(const upg_model *model, size_t n_vocab, upg_kv_type type,
                          size_t n_threads, bool one_by_one)
{
    const size_t n_first = one_by_one ? N_PROMPT : N_ALL, n_logits = one_by_one ? 1 : N_SINGLE;
    upg_engine_options options;
    upg_engine *engine;
    upg_sequence *sequence;
    int32_t ids[N_ALL];
    float *logits = malloc(N_SINGLE * n_vocab * sizeof *logits);
    upg_error err;

    assert_non_null(logits);
    make_ids(ids, n_vocab);
    upg_engine_options_defaults(&options);
    options.context = N_ALL;
    options.kv_type = type;
    options.n_threads = n_threads;
    assert_ok(upg_engine_new(&engine, model, &options, &err), err);
    assert_ok(upg_sequence_new(&sequence, engine, &err), err);
    assert_ok(upg_sequence_append(sequence, ids, n_first, n_logits, NULL, NULL, &err), err);
    if (!one_by_one)
        memcpy(logits, upg_sequence_logits(sequence, NULL), N_SINGLE * n_vocab * sizeof *logits);
    for (size_t i = 0; i < N_SINGLE && one_by_one; i++) {
        assert_ok(upg_sequence_append(sequence, ids + N_PROMPT + i, 1, 1, NULL, NULL, &err), err);
        memcpy(logits + i * n_vocab, upg_sequence_logits(sequence, NULL), n_vocab * sizeof *logits);
    }
    upg_sequence_free(sequence);
    upg_engine_free(engine);
    return logits;
}

static void threads_and_steps_do_not_change_a_long_sequence(void **state)
{
#if defined(UPG_SLOW_BUILD)
    const upg_kv_type types[] = {UPG_KV_Q8};
#else
    const upg_kv_type types[] = {UPG_KV_Q8, UPG_KV_F16, UPG_KV_Q4};
#endif
    upg_model *model;
    upg_model_info info;
    upg_error err;

    (void)state;
    assert_ok(upg_model_open(&model, "models/default.upg", NULL, &err), err);
    upg_model_get_info(model, &info);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        float *expected = last_logits(model, info.n_vocab, types[i], 1, false);

        for (size_t n_threads = SLOW_BUILD ? 3 : 1; n_threads <= 3; n_threads += 2) {
            float *got = last_logits(model, info.n_vocab, types[i], n_threads, true);
            assert_memory_equal(got, expected, N_SINGLE * info.n_vocab * sizeof *got);
            free(got);
        }
        free(expected);
    }
    upg_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_steps_do_not_change_a_long_sequence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
