/* test_session.c -- caches in files: used when they are right, and only then. */
#include "unit.h"

#include "base/scratch.h"
#include "engine/golden.h"
#include "engine/outcome.h"
#include "engine/scheduler.h"

#include <stdlib.h>

enum { N_IDS = 200 };

static int32_t ids[N_IDS];

/* Logits of one more token, from a sequence that has n_ids of ids. */
static void assert_goes_on_alike(upg_sequence *a, upg_sequence *b, size_t n_vocab)
{
    upg_error err;
    float *logits = malloc(n_vocab * sizeof *logits);

    assert_ok(upg_sequence_append(a, ids, 1, 1, NULL, NULL, &err), err);
    memcpy(logits, upg_sequence_logits(a, NULL), n_vocab * sizeof *logits);
    assert_ok(upg_sequence_append(b, ids, 1, 1, NULL, NULL, &err), err);
    assert_memory_equal(logits, upg_sequence_logits(b, NULL), n_vocab * sizeof *logits);
    free(logits);
}

static upg_engine_options options_of(upg_kv_type kv_type)
{
    upg_engine_options options = golden_options();

    options.kv_type = kv_type;
    options.context = 512;
    options.cache_tokens = 2048;
    return options;
}

static void save_and_load(const char *path, const char *name, upg_kv_type kv_type, size_t n_ids)
{
    const upg_engine_options options = options_of(kv_type);
    struct golden golden;
    upg_engine *engine, *other;
    upg_sequence *sequence, *loaded;
    upg_error err = {0};

    golden_open(&golden, name);
    formula_prompt(ids, N_IDS, 9, golden.model.config.n_vocab);
    engine = golden_engine(&golden, &options);
    other = golden_engine(&golden, &options);
    assert_ok(upg_sequence_new(&sequence, engine, &err), err);
    if (n_ids > 0)
        assert_ok(upg_sequence_append(sequence, ids, n_ids, 0, NULL, NULL, &err), err);
    assert_ok(upg_sequence_save(sequence, path, &err), err);
    assert_ok(upg_sequence_load(&loaded, other, path, &err), err);
    assert_int_equal(upg_sequence_n_tokens(loaded), n_ids);
    assert_memory_equal(loaded->ids, sequence->ids, n_ids * sizeof *ids);
    assert_int_equal(loaded->list.n_tokens, n_ids / UPG_KV_BLOCK * UPG_KV_BLOCK);
    assert_goes_on_alike(sequence, loaded, golden.model.config.n_vocab);
    upg_sequence_free(loaded);
    upg_sequence_free(sequence);
    upg_engine_free(other);
    upg_engine_free(engine);
    golden_close(&golden);
}

static void saved_session_goes_on_as_if_nothing_had_been(void **state)
{
    const char *path = scratch_path(*state, "cache");
    static const upg_kv_type types[] = {UPG_KV_F32, UPG_KV_F16, UPG_KV_Q8, UPG_KV_Q4};

    for (size_t i = 0; i < 4; i++) {
        save_and_load(path, "partial_tied", types[i], 150);
        save_and_load(path, "partial_tied", types[i], 96);
    }
    save_and_load(path, "partial_tied", UPG_KV_F16, 0);
    save_and_load(path, "partial_tied", UPG_KV_F16, 5);
    save_and_load(path, "longrope_switch", UPG_KV_F32, 32);
    save_and_load(path, "longrope_switch", UPG_KV_F32, 100);
}

static void flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    int byte;

    assert_non_null(file);
    fseek(file, at, at < 0 ? SEEK_END : SEEK_SET);
    byte = getc(file);
    fseek(file, at, at < 0 ? SEEK_END : SEEK_SET);
    putc(byte ^ 1, file);
    fclose(file);
}

/* A flipped bit anywhere is noticed; nothing of the file is used then. */
static void damaged_session_is_refused(void **state)
{
    const char *path = scratch_path(*state, "cache");
    const upg_engine_options options = options_of(UPG_KV_F16);
    const long places[] = {0, 9, 12, 20, 30, 40, 50, 57, 300, 900, 2000, 5000, -1, -3000};
    struct golden golden;
    upg_engine *engine;
    upg_sequence *sequence, *loaded = NULL;
    size_t n_free;
    upg_error err = {0};

    golden_open(&golden, "tiny_file");
    formula_prompt(ids, N_IDS, 9, golden.model.config.n_vocab);
    engine = golden_engine(&golden, &options);
    assert_ok(upg_sequence_new(&sequence, engine, &err), err);
    assert_ok(upg_sequence_append(sequence, ids, 150, 0, NULL, NULL, &err), err);
    assert_ok(upg_sequence_save(sequence, path, &err), err);
    n_free = engine->cache.blocks.n_free;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        flip(path, places[i]);
        assert_fails(upg_sequence_load(&loaded, engine, path, &err), UPG_ERR_FORMAT, err, path);
        flip(path, places[i]);
        assert_int_equal(engine->cache.blocks.n_free, n_free);
    }
    assert_ok(upg_sequence_load(&loaded, engine, path, &err), err);
    upg_sequence_free(loaded);
    assert_int_equal(truncate(path, 3000), 0);
    assert_fails(upg_sequence_load(&loaded, engine, path, &err), UPG_ERR_FORMAT, err,
                 "not as long as it says");
    assert_int_equal(truncate(path, 20), 0);
    assert_fails(upg_sequence_load(&loaded, engine, path, &err), UPG_ERR_FORMAT, err,
                 "no saved cache");
    unlink(path);
    assert_fails(upg_sequence_load(&loaded, engine, path, &err), UPG_ERR_IO, err, path);
    upg_sequence_free(sequence);
    upg_engine_free(engine);
    golden_close(&golden);
}

static void session_of_another_model_or_type_is_refused(void **state)
{
    const char *path = scratch_path(*state, "cache");
    upg_engine_options options = options_of(UPG_KV_F16);
    struct golden golden, small;
    upg_engine *engine, *other;
    upg_sequence *sequence, *loaded = NULL;
    upg_error err = {0};

    golden_open(&golden, "tiny_file");
    golden_open(&small, "tiny_file");
    formula_prompt(ids, N_IDS, 9, golden.model.config.n_vocab);
    engine = golden_engine(&golden, &options);
    assert_ok(upg_sequence_new(&sequence, engine, &err), err);
    assert_ok(upg_sequence_append(sequence, ids, 70, 0, NULL, NULL, &err), err);
    assert_ok(upg_sequence_save(sequence, path, &err), err);

    small.model.config.norm_eps *= 2; /* nothing else is different */
    other = golden_engine(&small, &options);
    assert_fails(upg_sequence_load(&loaded, other, path, &err), UPG_ERR_ARGUMENT, err,
                 "another model");
    upg_engine_free(other);
    options.kv_type = UPG_KV_F32;
    other = golden_engine(&golden, &options);
    assert_fails(upg_sequence_load(&loaded, other, path, &err), UPG_ERR_ARGUMENT, err,
                 "another model");
    upg_engine_free(other);
    options.kv_type = UPG_KV_F16;
    options.context = 69;
    other = golden_engine(&golden, &options);
    assert_fails(upg_sequence_load(&loaded, other, path, &err), UPG_ERR_CONTEXT, err, "70 tokens");
    upg_engine_free(other);
    options.context = 512;
    options.cache_tokens = 32;
    other = golden_engine(&golden, &options);
    assert_fails(upg_sequence_load(&loaded, other, path, &err), UPG_ERR_MEMORY, err, "KV cache");
    upg_engine_free(other);
    upg_sequence_free(sequence);
    upg_engine_free(engine);
    golden_close(&small);
    golden_close(&golden);
}

/* Tokens of the answer to the first n ids, and how many of the prompt were found. */
static size_t ask(upg_scheduler *scheduler, size_t n, int32_t *answer)
{
    struct outcome outcome = {.is_torn = false};
    const upg_request request = outcome_request(&outcome, ids, n, 8);
    upg_error err;
    size_t n_cached;

    assert_ok(upg_scheduler_submit(scheduler, &request, NULL, &err), err);
    outcome_wait(&outcome);
    assert_int_equal(outcome.ids.n, 8);
    memcpy(answer, outcome.ids.ids, 8 * sizeof *answer);
    n_cached = outcome.usage.n_cached_tokens;
    outcome_clear(&outcome);
    return n_cached;
}

static void prefix_cache_survives_and_damage_is_a_miss(void **state)
{
    const char *path = scratch_path(*state, "cache");
    upg_scheduler_options options;
    struct golden golden;
    upg_scheduler *scheduler;
    int32_t first[8], second[8];
    size_t n_cached;
    upg_error err = {0};

    golden_open(&golden, "longrope_switch");
    formula_prompt(ids, N_IDS, 9, golden.model.config.n_vocab);
    upg_scheduler_options_defaults(&options);
    options.engine = options_of(UPG_KV_F16);
    assert_ok(upg_scheduler_new(&scheduler, &golden.model, &options, &err), err);
    assert_int_equal(ask(scheduler, 200, first), 0);
    ask(scheduler, 20, second); /* with the other factors */
    upg_scheduler_drain(scheduler, 60);
    assert_ok(upg_scheduler_save_cache(scheduler, path, &err), err);
    upg_scheduler_free(scheduler);

    for (size_t round = 0; round < 3; round++) {
        assert_ok(upg_scheduler_new(&scheduler, &golden.model, &options, &err), err);
        if (round == 1)
            flip(path, -1); /* the last block in the file */
        if (round == 2)
            flip(path, 100); /* the first, on which all others follow */
        assert_ok(upg_scheduler_load_cache(scheduler, path, &err), err);
        n_cached = ask(scheduler, 200, second);
        assert_memory_equal(first, second, sizeof first);
        if (round == 0)
            assert_int_equal(n_cached, 192);
        else
            assert_true(n_cached <= 192);
        if (round == 2)
            assert_int_equal(n_cached, 0);
        upg_scheduler_free(scheduler);
    }
    golden_close(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(saved_session_goes_on_as_if_nothing_had_been),
        scratch_test(damaged_session_is_refused),
        scratch_test(session_of_another_model_or_type_is_refused),
        scratch_test(prefix_cache_survives_and_damage_is_a_miss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
