/* test_scheduler_soak.c -- a thousand requests from several threads, a third of them cancelled at
 * random: every answer is right as far as it goes, and nothing is left behind. */
#include "unit.h"

#include "base/random.h"
#include "engine/golden.h"
#include "engine/outcome.h"
#include "engine/scheduler.h"

#include <sched.h>
#include <stdlib.h>

enum { N_THREADS = 4, N_EACH = 250, N_PROMPTS = 24, N_IDS = 120, N_SHARED = 70, MAX_TOKENS = 12 };

static int32_t prompts[N_PROMPTS][N_IDS];
static int32_t expected[N_PROMPTS][MAX_TOKENS];

static size_t n_prompt(size_t i)
{
    return N_SHARED + 2 * i % (N_IDS - N_SHARED);
}

/* Prompts of three families that begin alike, and their answers. */
static void make_prompts(const struct golden *golden)
{
    upg_engine *engine = golden_engine(golden, NULL);
    upg_generate_options options;
    upg_error err;

    upg_generate_options_defaults(&options);
    options.sampling.temperature = 0;
    options.max_tokens = MAX_TOKENS;
    options.ignore_stop_ids = 1;
    for (size_t i = 0; i < N_PROMPTS; i++) {
        upg_generation generation = {0};
        upg_sequence *sequence;

        formula_prompt(prompts[i], N_IDS, 500 + i, golden->model.config.n_vocab);
        memcpy(prompts[i], prompts[i % 3], N_SHARED * sizeof(int32_t));
        assert_ok(upg_sequence_new(&sequence, engine, &err), err);
        assert_ok(upg_generate(sequence, prompts[i], n_prompt(i), &options, &generation, &err),
                  err);
        memcpy(expected[i], generation.ids.ids, sizeof expected[i]);
        upg_generation_clear(&generation);
        upg_sequence_free(sequence);
    }
    upg_engine_free(engine);
}

struct client {
    pthread_t thread;
    upg_scheduler *scheduler;
    size_t index;
    struct outcome outcomes[N_EACH];
    uint8_t prompt[N_EACH], n_tokens[N_EACH];
    size_t n_failed;
};

/* cmocka's asserts work in the main thread alone: failures are counted. */
static void *submit_all(void *context)
{
    struct client *c = context;
    struct upg_random random = {c->index};

    for (size_t i = 0; i < N_EACH; i++) {
        const uint64_t r = upg_random_u64(&random);
        upg_request request;
        uint64_t number;
        upg_status status;

        c->prompt[i] = (uint8_t)(r % N_PROMPTS);
        c->n_tokens[i] = (uint8_t)(1 + r / 64 % MAX_TOKENS);
        request = outcome_request(&c->outcomes[i], prompts[c->prompt[i]], n_prompt(c->prompt[i]),
                                  c->n_tokens[i]);
        request.client = c->index;
        request.priority = (int)(r / 1024 % 2);
        if (r / 2048 % 6 == 0)
            c->outcomes[i].cancel_after = 1 + r / 32768 % 5;
        while ((status = upg_scheduler_submit(c->scheduler, &request, &number, NULL)) ==
               UPG_ERR_BUSY)
            sched_yield();
        if (status != UPG_OK) {
            c->n_failed++;
            continue;
        }
        if (r / 2048 % 6 == 1)
            upg_scheduler_cancel(c->scheduler, number - r / 32768 % 3);
        if (r / 2048 % 6 == 2)
            outcome_wait(&c->outcomes[i]);
    }
    return NULL;
}

static void check_outcome(const struct client *c, size_t i, size_t *n_cancelled)
{
    const struct outcome *o = &c->outcomes[i];

    assert_int_equal(o->n_finished, 1);
    assert_int_equal(o->status, UPG_OK);
    assert_false(o->is_torn);
    assert_true(o->ids.n <= c->n_tokens[i]);
    if (o->ids.n > 0)
        assert_memory_equal(o->ids.ids, expected[c->prompt[i]], o->ids.n * sizeof(int32_t));
    if (o->finish == UPG_FINISH_CANCELLED)
        ++*n_cancelled;
    else
        assert_int_equal(o->ids.n, c->n_tokens[i]);
}

static void thousand_requests_leave_nothing_behind(void **state)
{
    upg_scheduler_options options;
    upg_scheduler_stats stats = {.size = sizeof stats};
    struct client *clients = calloc(N_THREADS, sizeof *clients);
    struct golden golden;
    size_t n_cancelled = 0;
    upg_error err;

    (void)state;
    golden_open(&golden, "tiny_file");
    make_prompts(&golden);
    upg_scheduler_options_defaults(&options);
    options.engine = golden_options();
    options.engine.context = 256;
    options.engine.cache_tokens = 1200;
    options.max_running = 24;
    options.max_waiting = 100;
    options.chunk_tokens = 30;
    options.always_speculate = 1;
    upg_scheduler *scheduler;
    assert_ok(upg_scheduler_new(&scheduler, &golden.model, &options, &err), err);
    for (size_t t = 0; t < N_THREADS; t++) {
        clients[t].scheduler = scheduler;
        clients[t].index = t;
        assert_int_equal(pthread_create(&clients[t].thread, NULL, submit_all, &clients[t]), 0);
    }
    for (size_t t = 0; t < N_THREADS; t++)
        pthread_join(clients[t].thread, NULL);
    upg_scheduler_drain(scheduler, 300);
    for (size_t t = 0; t < N_THREADS; t++) {
        assert_int_equal(clients[t].n_failed, 0);
        for (size_t i = 0; i < N_EACH; i++) {
            check_outcome(&clients[t], i, &n_cancelled);
            outcome_clear(&clients[t].outcomes[i]);
        }
    }
    upg_scheduler_get_stats(scheduler, &stats);
    assert_int_equal(stats.n_finished[UPG_FINISH_CANCELLED], n_cancelled);
    assert_int_equal(stats.n_finished[UPG_FINISH_LENGTH], N_THREADS * N_EACH - n_cancelled);
    assert_true(n_cancelled > N_THREADS * N_EACH / 20);
    assert_true(stats.n_cached_tokens > stats.n_prompt_tokens / 2);
    assert_int_equal(stats.n_blocks_used, 0);
    assert_true(upg_kv_blocks_check(&scheduler->engine->cache.blocks, NULL, 0));
    assert_null(scheduler->live);
    assert_null(scheduler->clients);
    upg_scheduler_free(scheduler);
    golden_close(&golden);
    free(clients);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousand_requests_leave_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
