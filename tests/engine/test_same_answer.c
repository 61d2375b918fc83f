/* test_same_answer.c -- a request gives the same tokens whatever happens around it.
 *
 * Expected answers come from upg_generate(), one after the other on an engine of their own.  The
 * scheduler gets the same requests all at once, with few and with many cache blocks, rows, threads,
 * with and without drafts and prefix cache. */
#include "unit.h"

#include "engine/byte_tokenizer.h"
#include "engine/golden.h"
#include "engine/outcome.h"

#include <stdlib.h>

enum { N_REQUESTS = 9, N_IDS = 160, N_SHARED = 70 };

static int32_t ids[N_REQUESTS][N_IDS];

/* Of three requests, one has a short prompt and a long answer, so that a few of them outgrow a small
 * cache; one begins with the same N_SHARED ids as others; one ends near the end of a block.  The
 * prompt of one block begins like the shared ones: with other rotary factors, in one of the models. */
static size_t n_prompt(size_t i)
{
    static const size_t lengths[] = {1, 31, 32, 33, 64, 65, 97, 128, 150};

    return i % 3 == 0 ? 3 + i : i % 3 == 1 ? N_SHARED + i : lengths[i % 9];
}

static size_t max_tokens(size_t i)
{
    return i % 3 == 0 ? 180 : 30 - i % 7;
}

static void make_prompts(size_t n_vocab)
{
    for (size_t i = 0; i < N_REQUESTS; i++) {
        formula_prompt(ids[i], N_IDS, 1000 + i, n_vocab);
        if (i % 3 == 1 || n_prompt(i) == UPG_KV_BLOCK)
            memcpy(ids[i], ids[0], N_SHARED * sizeof(int32_t));
    }
}

/* Greedy, seeded, and seeded with penalties.  Long answers are of few tokens, so that they repeat
 * themselves soon: drafts want that. */
static upg_sampling sampling_of(size_t i)
{
    static const upg_logit_bias few[] = {{40, 30}, {50, 30}, {60, 30}, {70, 30}, {80, 30}};
    upg_sampling sampling;

    upg_sampling_defaults(&sampling);
    sampling.seed = i;
    if (i % 3 == 0) {
        sampling.temperature = 0;
        sampling.logit_bias = few;
        sampling.n_logit_bias = 5;
    }
    if (i % 3 == 2) {
        sampling.repetition_penalty = 1.1f;
        sampling.frequency_penalty = 0.3f;
    }
    return sampling;
}

/* The answer to prompt i on its own; the caller frees it. */
static upg_generation expected_answer(upg_engine *engine, size_t i)
{
    upg_generate_options options;
    upg_generation generation = {0};
    upg_sequence *sequence;
    upg_error err = {0};

    upg_generate_options_defaults(&options);
    options.sampling = sampling_of(i);
    options.max_tokens = max_tokens(i);
    options.ignore_stop_ids = 1;
    assert_ok(upg_sequence_new(&sequence, engine, &err), err);
    assert_ok(upg_generate(sequence, ids[i], n_prompt(i), &options, &generation, &err), err);
    upg_sequence_free(sequence);
    return generation;
}

static void submit(upg_scheduler *scheduler, struct outcome *outcome, size_t i)
{
    upg_request request = outcome_request(outcome, ids[i], n_prompt(i), max_tokens(i));
    upg_error err = {0};

    request.sampling = sampling_of(i);
    request.client = i % 4;
    assert_ok(upg_scheduler_submit(scheduler, &request, NULL, &err), err);
}

static void assert_same_answer(const struct outcome *outcome, const upg_generation *expected)
{
    assert_int_equal(outcome->status, UPG_OK);
    assert_int_equal(outcome->finish, expected->finish);
    assert_int_equal(outcome->ids.n, expected->ids.n);
    assert_memory_equal(outcome->ids.ids, expected->ids.ids, expected->ids.n * sizeof(int32_t));
    assert_int_equal(outcome->text.n, expected->n_text_bytes);
    if (expected->n_text_bytes > 0)
        assert_memory_equal(outcome->text.bytes, expected->text, expected->n_text_bytes);
    assert_false(outcome->is_torn);
    assert_int_equal(outcome->n_finished, 1);
    assert_int_equal(outcome->usage.n_tokens, expected->ids.n);
}

/* Answers to all prompts; a second time what the first has left in the cache is used. */
static upg_scheduler_stats run(const struct golden *golden, const upg_scheduler_options *options,
                               const upg_generation *expected, size_t n_rounds)
{
    upg_scheduler_stats stats = {.size = sizeof stats};
    upg_scheduler *scheduler;
    upg_error err = {0};

    assert_ok(upg_scheduler_new(&scheduler, &golden->model, options, &err), err);
    for (size_t round = 0; round < n_rounds; round++) {
        static struct outcome outcomes[N_REQUESTS];
        pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* until all are there */

        pthread_mutex_lock(&gate);
        outcomes[0].gate = &gate;
        for (size_t i = 0; i < N_REQUESTS; i++)
            submit(scheduler, &outcomes[i], i);
        pthread_mutex_unlock(&gate);
        for (size_t i = 0; i < N_REQUESTS; i++) {
            outcome_wait(&outcomes[i]);
            assert_same_answer(&outcomes[i], &expected[i]);
            outcome_clear(&outcomes[i]);
        }
    }
    upg_scheduler_drain(scheduler, 60);
    upg_scheduler_get_stats(scheduler, &stats);
    assert_int_equal(stats.n_blocks_used, 0);
    assert_int_equal(stats.n_running + stats.n_waiting, 0);
    assert_int_equal(stats.n_finished[UPG_FINISH_LENGTH], n_rounds * N_REQUESTS);
    upg_scheduler_free(scheduler);
    return stats;
}

static upg_scheduler_options scheduler_options(upg_kv_type kv_type)
{
    upg_scheduler_options options;

    upg_scheduler_options_defaults(&options);
    options.engine = golden_options();
    options.engine.kv_type = kv_type;
    options.engine.context = 256;
    options.engine.cache_tokens = 8192;
    return options;
}

static void test_model(const char *name, upg_kv_type kv_type)
{
    upg_scheduler_options options = scheduler_options(kv_type);
    upg_generation expected[N_REQUESTS];
    upg_scheduler_stats stats;
    struct golden golden;
    upg_engine *engine;

    golden_open(&golden, name);
    golden.model.tokenizer = golden.model.config.n_vocab > 257 ? byte_tokenizer() : NULL;
    make_prompts(golden.model.config.n_vocab);
    engine = golden_engine(&golden, &options.engine);
    for (size_t i = 0; i < N_REQUESTS; i++)
        expected[i] = expected_answer(engine, i);
    upg_engine_free(engine);

    stats = run(&golden, &options, expected, 2);
    assert_true(stats.n_batch > stats.n_steps); /* there was a batch */
    assert_true(stats.n_cached_tokens > 0);

    options.always_speculate = 1;
    options.engine.n_threads = 1;
    options.chunk_tokens = 5;
    stats = run(&golden, &options, expected, 1);
    assert_true(stats.n_drafted > stats.n_accepted && stats.n_accepted > 0);

    /* For a few requests, which push each other out; coded keys take open blocks besides. */
    options.engine.cache_tokens = kv_type == UPG_KV_F16 || kv_type == UPG_KV_F32 ? 256 : 384;
    options.engine.n_threads = 3;
    options.chunk_tokens = 256;
    stats = run(&golden, &options, expected, 1);
    assert_true(stats.n_preemptions > 0 && stats.n_blocks_evicted > 0);

    options.no_speculation = options.no_prefix_cache = 1;
    options.max_running = 7;
    stats = run(&golden, &options, expected, 1);
    assert_int_equal(stats.n_drafted + stats.n_cached_tokens + stats.n_blocks_cached, 0);

    for (size_t i = 0; i < N_REQUESTS; i++)
        upg_generation_clear(&expected[i]);
    upg_tokenizer_free(golden.model.tokenizer);
    golden_close(&golden);
}

static void same_answer_with_float16_keys(void **state)
{
    (void)state;
    test_model("partial_tied", UPG_KV_F16);
}

static void same_answer_with_coded_keys(void **state)
{
    (void)state;
    test_model("partial_tied", UPG_KV_Q8);
    test_model("partial_tied", UPG_KV_Q4);
}

/* Factors change at 32 tokens, where all that was computed is dropped. */
static void same_answer_where_rotary_factors_change(void **state)
{
    (void)state;
    test_model("longrope_switch", UPG_KV_F32);
}

static void same_answer_with_plain_weights(void **state)
{
    (void)state;
    test_model("tiny_file", UPG_KV_F32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_answer_with_float16_keys),
        cmocka_unit_test(same_answer_with_coded_keys),
        cmocka_unit_test(same_answer_where_rotary_factors_change),
        cmocka_unit_test(same_answer_with_plain_weights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
