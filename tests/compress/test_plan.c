/* test_plan.c -- the memory that is planned is the memory that is taken. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const upg_synth_options tiny = {
    .size = sizeof tiny, .shape = "tiny", .n_layers = 2, .seed = 1, .n_threads = 1};

struct fixture {
    char folder[64], path[96];
    upg_model *model, *outline;
    upg_error err;
};

static void setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    strcpy(f->folder, "/tmp/upg-test-plan-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/tiny.upg", f->folder);
    assert_ok(upg_synth(f->path, &tiny, &f->err), f->err);
    assert_ok(upg_model_open(&f->model, f->path, NULL, &f->err), f->err);
    assert_ok(upg_model_outline(&f->outline, &tiny, &f->err), f->err);
}

static void teardown(struct fixture *f)
{
    upg_model_free(f->model);
    upg_model_free(f->outline);
    unlink(f->path);
    rmdir(f->folder);
}

static void assert_same_plan(const upg_memory_plan *a, const upg_memory_plan *b)
{
    assert_int_equal(a->weight_bytes, b->weight_bytes);
    assert_int_equal(a->cache_bytes, b->cache_bytes);
    assert_int_equal(a->scratch_bytes, b->scratch_bytes);
    assert_int_equal(a->total_bytes, b->total_bytes);
    assert_int_equal(a->token_bytes, b->token_bytes);
    assert_int_equal(a->context, b->context);
    assert_int_equal(a->n_threads, b->n_threads);
}

static void an_engine_takes_what_was_planned(void **state)
{
    const upg_kv_type types[] = {UPG_KV_F32, UPG_KV_F16, UPG_KV_Q8, UPG_KV_Q4};
    const size_t contexts[] = {1, 64, 1000, 2048};
    const int32_t prompt[] = {1, 2, 3};
    struct fixture f;

    (void)state;
    setup(&f);
    for (size_t i = 0; i < 64; i++) {
        upg_engine_options options;
        upg_memory_plan plan, of_outline;
        upg_engine *engine;
        upg_sequence *sequence;

        upg_engine_options_defaults(&options);
        options.kv_type = types[i % 4];
        options.context = contexts[i / 4 % 4];
        options.cache_tokens = i < 32 ? 0 : 3000;
        options.n_threads = i % 3 + 1;
        options.compute = i % 16 == 15 ? UPG_COMPUTE_REFERENCE : UPG_COMPUTE_FAST;
        assert_ok(upg_engine_plan(f.model, &options, &plan, &f.err), f.err);
        assert_ok(upg_engine_plan(f.outline, &options, &of_outline, &f.err), f.err);
        assert_same_plan(&plan, &of_outline);

        assert_ok(upg_engine_new(&engine, f.model, &options, &f.err), f.err);
        assert_ok(upg_sequence_new(&sequence, engine, &f.err), f.err);
        assert_ok(upg_sequence_append(sequence, prompt, options.context == 1 ? 1 : 3, 1, NULL, NULL,
                                      &f.err),
                  f.err);
        assert_int_equal(upg_engine_n_bytes(engine), plan.cache_bytes + plan.scratch_bytes);
        upg_sequence_free(sequence);
        upg_engine_free(engine);
    }
    teardown(&f);
}

static void a_plan_counts_bytes(void **state)
{
    struct fixture f;
    upg_engine_options options;
    upg_memory_plan plan;
    struct stat info;

    (void)state;
    setup(&f);
    upg_engine_options_defaults(&options);
    options.context = 2048;
    assert_ok(upg_engine_plan(f.outline, &options, &plan, &f.err), f.err);
    assert_int_equal(stat(f.path, &info), 0);
    assert_int_equal(plan.weight_bytes, info.st_size);
    assert_int_equal(plan.cache_bytes, 2048 * 2 * 2 * 2 * 64 * 2); /* tokens layers heads k, v */
    assert_int_equal(plan.total_bytes, plan.weight_bytes + plan.cache_bytes + plan.scratch_bytes);
    assert_true(plan.token_bytes < plan.weight_bytes);
    teardown(&f);
}

/* More than any machine has: 128 TiB of addresses suffice for 3 TiB of cache. */
static void a_plan_takes_no_memory(void **state)
{
    upg_synth_options shape = {.size = sizeof shape, .seed = 1};
    upg_engine_options options;
    upg_memory_plan plan;
    upg_model *outline;
    upg_error err;

    (void)state;
    assert_ok(upg_model_outline(&outline, &shape, &err), err);
    upg_engine_options_defaults(&options);
    options.context = 16384;
    options.n_threads = 1;
    assert_ok(upg_engine_plan(outline, &options, &plan, &err), err);
    assert_int_equal(plan.cache_bytes, (uint64_t)16384 * 40 * 10 * 128 * 2 * 2);
    assert_true(plan.weight_bytes <= 5864000000); /* a tenth of float32 */
    assert_true(plan.scratch_bytes < (uint64_t)200 << 20);
    options.cache_tokens = (size_t)16 << 20;
    assert_ok(upg_engine_plan(outline, &options, &plan, &err), err);
    assert_int_equal(plan.cache_bytes, (uint64_t)(16 << 20) * 40 * 10 * 128 * 2 * 2);
    upg_model_free(outline);
}

static void an_outline_cannot_run(void **state)
{
    struct fixture f;
    upg_engine *engine;

    (void)state;
    setup(&f);
    assert_int_equal(upg_engine_new(&engine, f.outline, NULL, &f.err), UPG_ERR_ARGUMENT);
    assert_non_null(strstr(f.err.message, "outline"));
    teardown(&f);
}

static void impossible_options_are_refused_as_by_the_engine(void **state)
{
    struct fixture f;
    upg_engine_options options;
    upg_memory_plan plan;

    (void)state;
    setup(&f);
    upg_engine_options_defaults(&options);
    options.context = 2049;
    assert_int_equal(upg_engine_plan(f.outline, &options, &plan, &f.err), UPG_ERR_ARGUMENT);
    options.context = 0;
    options.cpu_tier = "abacus";
    assert_int_equal(upg_engine_plan(f.outline, &options, &plan, &f.err), UPG_ERR_ARGUMENT);
    teardown(&f);
}

static void the_tier_is_told_without_an_engine(void **state)
{
    char text[128];
    upg_error err;

    (void)state;
    assert_ok(upg_cpu_tier("scalar", text, sizeof text, &err), err);
    assert_true(strncmp(text, "scalar (", 8) == 0);
    assert_ok(upg_cpu_tier(NULL, text, 4, &err), err);
    assert_int_equal(strlen(text), 3);
    assert_int_equal(upg_cpu_tier("abacus", text, sizeof text, &err), UPG_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_engine_takes_what_was_planned),
        cmocka_unit_test(a_plan_counts_bytes),
        cmocka_unit_test(a_plan_takes_no_memory),
        cmocka_unit_test(an_outline_cannot_run),
        cmocka_unit_test(impossible_options_are_refused_as_by_the_engine),
        cmocka_unit_test(the_tier_is_told_without_an_engine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
