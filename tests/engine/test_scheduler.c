/* test_scheduler.c -- who is served when, and what is told. */
#include "unit.h"

#include "engine/byte_tokenizer.h"
#include "engine/golden.h"
#include "engine/outcome.h"

#include "engine/scheduler.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

enum { N_IDS = 1000 };

struct fixture {
    struct golden golden;
    upg_scheduler *scheduler;
    int32_t ids[N_IDS];
    upg_error err;
};

static void open_fixture(struct fixture *f, const upg_scheduler_options *options)
{
    golden_open(&f->golden, "tiny_file");
    f->golden.model.tokenizer = byte_tokenizer();
    formula_prompt(f->ids, N_IDS, 3, 250);
    assert_ok(upg_scheduler_new(&f->scheduler, &f->golden.model, options, &f->err), f->err);
}

static upg_scheduler_options small_options(void)
{
    upg_scheduler_options options;

    upg_scheduler_options_defaults(&options);
    options.engine = golden_options();
    options.engine.context = 1024;
    options.engine.cache_tokens = 4096;
    return options;
}

static void setup(struct fixture *f)
{
    const upg_scheduler_options options = small_options();

    open_fixture(f, &options);
}

static void teardown(struct fixture *f)
{
    upg_scheduler_free(f->scheduler);
    upg_tokens_clear(&f->golden.model.stop_ids);
    upg_tokenizer_free(f->golden.model.tokenizer);
    golden_close(&f->golden);
}

static uint64_t submit(struct fixture *f, const upg_request *request)
{
    uint64_t number = 0;

    assert_ok(upg_scheduler_submit(f->scheduler, request, &number, &f->err), f->err);
    assert_true(number > 0);
    return number;
}

static upg_scheduler_stats stats_of(const struct fixture *f)
{
    upg_scheduler_stats stats = {.size = sizeof stats};

    upg_scheduler_get_stats(f->scheduler, &stats);
    return stats;
}

static void refuse(struct fixture *f, const upg_request *request, upg_status status,
                   const char *part)
{
    assert_fails(upg_scheduler_submit(f->scheduler, request, NULL, &f->err), status, f->err, part);
}

static void requests_that_cannot_be_are_refused_by_name(void **state)
{
    struct fixture f;
    struct outcome outcome = {0};
    const char *empty = "";
    upg_request good, bad;

    (void)state;
    setup(&f);
    good = outcome_request(&outcome, f.ids, 10, 5);
    bad = good, bad.size = 0;
    refuse(&f, &bad, UPG_ERR_ARGUMENT, "upg_request_defaults()");
    bad = good, bad.n_ids = 0;
    refuse(&f, &bad, UPG_ERR_ARGUMENT, "no tokens");
    bad = good, bad.on_event = NULL;
    refuse(&f, &bad, UPG_ERR_ARGUMENT, "on_event");
    bad = good, bad.kind = (upg_request_kind)9;
    refuse(&f, &bad, UPG_ERR_ARGUMENT, "kind");
    bad = good, bad.n_top_logprobs = 3;
    refuse(&f, &bad, UPG_ERR_ARGUMENT, "needs logprobs");
    bad = good, bad.logprobs = 1, bad.n_top_logprobs = 21;
    refuse(&f, &bad, UPG_ERR_ARGUMENT, "n_top_logprobs");
    bad = good, bad.sampling.top_p = 2;
    refuse(&f, &bad, UPG_ERR_ARGUMENT, "top_p");
    bad = good, bad.stop = &empty, bad.n_stop = 1;
    refuse(&f, &bad, UPG_ERR_ARGUMENT, "stop");
    bad = good, bad.max_tokens = 1015;
    refuse(&f, &bad, UPG_ERR_CONTEXT, "10 tokens of the prompt and 1015 of the answer");
    bad = good, bad.max_tokens = SIZE_MAX;
    refuse(&f, &bad, UPG_ERR_CONTEXT, "more than 1024");
    f.ids[3] = 260;
    refuse(&f, &good, UPG_ERR_ARGUMENT, "token 3 is id 260");
    assert_int_equal(upg_scheduler_context(f.scheduler), 1024);
    assert_int_equal(stats_of(&f).n_submitted, 0);
    teardown(&f);
}

static void stop_ids_stop_strings_and_the_context_end_an_answer(void **state)
{
    struct fixture f;
    struct outcome whole = {0}, outcome = {0};
    const char *stop[2] = {"never there", NULL};
    char text[3] = {0};
    upg_request request;

    (void)state;
    setup(&f);
    request = outcome_request(&whole, f.ids, 1000, 0);
    submit(&f, &request);
    outcome_wait(&whole);
    assert_int_equal(whole.ids.n, 24);
    assert_int_equal(whole.finish, UPG_FINISH_LENGTH);

    for (size_t i = 8; text[0] == 0 && i + 1 < whole.text.n; i++) /* two letters from the middle */
        if (isgraph((unsigned char)whole.text.bytes[i]) &&
            isgraph((unsigned char)whole.text.bytes[i + 1]))
            memcpy(text, whole.text.bytes + i, 2);
    assert_true(text[0] != 0);
    stop[1] = text;
    request.on_event_context = &outcome;
    request.stop = stop;
    request.n_stop = 2;
    submit(&f, &request);
    outcome_wait(&outcome);
    assert_int_equal(outcome.finish, UPG_FINISH_STOP);
    assert_string_equal(outcome.stop, text);
    assert_true(outcome.text.n < whole.text.n);
    if (outcome.text.n > 0)
        assert_memory_equal(outcome.text.bytes, whole.text.bytes, outcome.text.n);
    outcome_clear(&outcome);

    assert_ok(upg_tokens_append(&f.golden.model.stop_ids, &whole.ids.ids[0], 1, &f.err), f.err);
    request.n_stop = 0;
    request.ignore_stop_ids = 0;
    submit(&f, &request);
    outcome_wait(&outcome);
    assert_int_equal(outcome.finish, UPG_FINISH_STOP);
    assert_int_equal(outcome.ids.n, 0);
    assert_string_equal(outcome.stop, "");
    outcome_clear(&outcome);
    outcome_clear(&whole);
    teardown(&f);
}

static void cancelled_requests_end_within_a_step_and_give_their_blocks_back(void **state)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct fixture f;
    struct outcome running = {.gate = &gate}, waiting = {0}, by_callback = {.cancel_after = 3};
    upg_scheduler_options options = small_options();
    upg_request request;
    uint64_t first, second;

    (void)state;
    options.max_running = 1;
    open_fixture(&f, &options);
    pthread_mutex_lock(&gate);
    request = outcome_request(&running, f.ids, 100, 0);
    request.no_speculation = 1;
    first = submit(&f, &request);
    request.on_event_context = &waiting;
    second = submit(&f, &request);
    upg_scheduler_cancel(f.scheduler, second);
    upg_scheduler_cancel(f.scheduler, first);
    upg_scheduler_cancel(f.scheduler, 12345); /* not there */
    pthread_mutex_unlock(&gate);
    outcome_wait(&waiting);
    outcome_wait(&running);
    assert_int_equal(waiting.finish, UPG_FINISH_CANCELLED);
    assert_int_equal(waiting.ids.n, 0);
    assert_int_equal(running.finish, UPG_FINISH_CANCELLED);
    assert_true(running.ids.n <= 1);
    assert_int_equal(stats_of(&f).n_blocks_used, 0);

    request.on_event_context = &by_callback;
    submit(&f, &request);
    outcome_wait(&by_callback);
    assert_int_equal(by_callback.finish, UPG_FINISH_CANCELLED);
    assert_int_equal(by_callback.ids.n, 3);
    upg_scheduler_cancel(f.scheduler, first); /* long gone */
    assert_int_equal(stats_of(&f).n_finished[UPG_FINISH_CANCELLED], 3);
    assert_int_equal(stats_of(&f).n_blocks_used, 0);
    outcome_clear(&running);
    outcome_clear(&waiting);
    outcome_clear(&by_callback);
    teardown(&f);
}

/* The order in which outcomes finished. */
static struct {
    size_t n, who[16];
} order;

static void note_finish(void *context)
{
    order.who[order.n++] = (size_t)context;
}

/* One runs at a time, behind one whose event waits until all have been submitted. */
static void finish_in_order(const uint64_t *clients, const int *priorities, size_t n,
                            const size_t *expected)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct outcome first = {.gate = &gate}, outcomes[16] = {{.is_torn = false}};
    upg_scheduler_options options = small_options();
    struct fixture f;
    upg_request request;

    options.max_running = 1;
    open_fixture(&f, &options);
    pthread_mutex_lock(&gate);
    request = outcome_request(&first, f.ids, 5, 1);
    request.client = 99;
    submit(&f, &request);
    order.n = 0;
    for (size_t i = 0; i < n; i++) {
        outcomes[i].on_finish = note_finish;
        outcomes[i].on_finish_context = (void *)i;
        request = outcome_request(&outcomes[i], f.ids + i, 5, 2);
        request.client = clients[i];
        request.priority = priorities[i];
        submit(&f, &request);
    }
    pthread_mutex_unlock(&gate);
    for (size_t i = 0; i < n; i++)
        outcome_wait(&outcomes[i]);
    assert_int_equal(order.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(order.who[i], expected[i]);
    for (size_t i = 0; i < n; i++)
        outcome_clear(&outcomes[i]);
    outcome_clear(&first);
    teardown(&f);
}

static void clients_take_turns(void **state)
{
    const uint64_t clients[] = {1, 1, 1, 1, 2, 2, 3};
    const int priorities[7] = {0};
    const size_t expected[] = {0, 4, 6, 1, 5, 2, 3};

    (void)state;
    finish_in_order(clients, priorities, 7, expected);
}

static void greater_priority_goes_first(void **state)
{
    const uint64_t clients[] = {1, 1, 2, 2};
    const int priorities[] = {0, 5, 0, -1};
    const size_t expected[] = {1, 2, 0, 3};

    (void)state;
    finish_in_order(clients, priorities, 4, expected);
}

/* Prompts have at most chunk_tokens rows a step while an answer is running, so it gets at least so
 * many tokens before the long prompt's first. */
static void long_prompt_delays_an_answer_by_a_chunk_at_most(void **state)
{
    struct fixture f;
    struct outcome stream = {0}, long_prompt = {0};
    upg_scheduler_options options = small_options();
    upg_request request;
    size_t n_before, n_after;

    (void)state;
    options.chunk_tokens = 20;
    open_fixture(&f, &options);
    request = outcome_request(&stream, f.ids, 4, 900);
    request.no_speculation = 1;
    submit(&f, &request);
    outcome_wait_tokens(&stream, 3);
    n_before = atomic_load(&stream.n_seen);
    request = outcome_request(&long_prompt, f.ids, 1000, 1);
    submit(&f, &request);
    outcome_wait(&long_prompt);
    n_after = atomic_load(&stream.n_seen);
    assert_true(n_after - n_before >= 1000 / 20 - 1);
    outcome_wait(&stream);
    outcome_clear(&stream);
    outcome_clear(&long_prompt);
    teardown(&f);
}

static void full_queue_is_refused_and_drain_ends_what_is_there(void **state)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct outcome outcomes[4] = {{.gate = &gate}}, late = {0};
    upg_scheduler_options options = small_options();
    struct fixture f;
    upg_request request;

    (void)state;
    options.max_running = 1;
    options.max_waiting = 3;
    open_fixture(&f, &options);
    pthread_mutex_lock(&gate);
    request = outcome_request(&outcomes[0], f.ids, 5, 2);
    submit(&f, &request);
    while (stats_of(&f).n_waiting > 0) /* until it runs */
        ;
    for (size_t i = 1; i < 4; i++) {
        request = outcome_request(&outcomes[i], f.ids, 5, 0);
        submit(&f, &request);
    }
    request = outcome_request(&late, f.ids, 5, 2);
    refuse(&f, &request, UPG_ERR_BUSY, "3 requests are waiting");
    assert_int_equal(stats_of(&f).n_refused, 1);
    assert_int_equal(stats_of(&f).n_waiting, 3);
    pthread_mutex_unlock(&gate);
    upg_scheduler_drain(f.scheduler, 0); /* answers of 1019 tokens do not end by themselves */
    assert_true(atomic_load(&outcomes[3].is_done));
    assert_int_equal(outcomes[3].finish, UPG_FINISH_CANCELLED);
    refuse(&f, &request, UPG_ERR_BUSY, "shutting down");
    assert_int_equal(stats_of(&f).n_running + stats_of(&f).n_waiting, 0);
    for (size_t i = 0; i < 4; i++)
        outcome_clear(&outcomes[i]);
    teardown(&f);
}

static void free_cancels_what_is_left(void **state)
{
    struct fixture f;
    struct outcome outcomes[5] = {{.is_torn = false}};
    upg_request request;

    (void)state;
    setup(&f);
    for (size_t i = 0; i < 5; i++) {
        request = outcome_request(&outcomes[i], f.ids, 50, 0);
        submit(&f, &request);
    }
    teardown(&f);
    for (size_t i = 0; i < 5; i++) {
        assert_true(atomic_load(&outcomes[i].is_done));
        assert_int_equal(outcomes[i].n_finished, 1);
        outcome_clear(&outcomes[i]);
    }
}

static void second_turn_computes_only_what_is_new(void **state)
{
    struct fixture f;
    struct outcome first = {0}, second = {0}, other = {0};
    upg_request request;
    upg_scheduler_stats before, after;
    int32_t turn[400];

    (void)state;
    setup(&f);
    request = outcome_request(&first, f.ids, 200, 40);
    submit(&f, &request);
    outcome_wait(&first);
    assert_int_equal(first.usage.n_cached_tokens, 0);
    memcpy(turn, f.ids, 200 * sizeof *turn);
    memcpy(turn + 200, first.ids.ids, 40 * sizeof *turn);
    memcpy(turn + 240, f.ids + 500, 30 * sizeof *turn);
    before = stats_of(&f);
    request = outcome_request(&second, turn, 270, 1);
    submit(&f, &request);
    outcome_wait(&second);
    upg_scheduler_drain(f.scheduler, 10);
    after = stats_of(&f);
    assert_int_equal(second.usage.n_cached_tokens, 224); /* blocks of 239 computed tokens */
    assert_int_equal(after.n_rows - before.n_rows, 270 - 224);
    assert_int_equal(after.n_cached_tokens - before.n_cached_tokens, 224);
    outcome_clear(&first);
    outcome_clear(&second);
    outcome_clear(&other);
    teardown(&f);
}

static void equal_prompts_at_once_are_computed_once(void **state)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct fixture f;
    struct outcome first = {.gate = &gate}, outcomes[8] = {{.is_torn = false}};
    upg_request request;
    upg_scheduler_stats stats;

    (void)state;
    setup(&f);
    pthread_mutex_lock(&gate);
    request = outcome_request(&first, f.ids + 700, 1, 1);
    submit(&f, &request);
    for (size_t i = 0; i < 8; i++) {
        request = outcome_request(&outcomes[i], f.ids, 650, 4);
        request.sampling.temperature = 1;
        request.sampling.seed = i;
        submit(&f, &request);
    }
    pthread_mutex_unlock(&gate);
    for (size_t i = 0; i < 8; i++)
        outcome_wait(&outcomes[i]);
    stats = stats_of(&f);
    assert_int_equal(stats.n_cached_tokens, 7 * 640);
    for (size_t i = 0; i < 8; i++)
        outcome_clear(&outcomes[i]);
    outcome_clear(&first);
    teardown(&f);
}

static void logprobs_are_those_of_the_model(void **state)
{
    struct fixture f;
    struct outcome outcome = {0};
    upg_request request;
    upg_engine *engine;
    upg_sequence *sequence;
    const float *logits;
    double sum = 0;

    (void)state;
    setup(&f);
    request = outcome_request(&outcome, f.ids, 20, 2);
    request.sampling.temperature = 1.5f; /* changes nothing of them */
    request.logprobs = 1;
    request.n_top_logprobs = 4;
    submit(&f, &request);
    outcome_wait(&outcome);
    engine = golden_engine(&f.golden, NULL);
    assert_ok(upg_sequence_new(&sequence, engine, &f.err), f.err);
    assert_ok(upg_sequence_append(sequence, f.ids, 20, 1, NULL, NULL, &f.err), f.err);
    logits = upg_sequence_logits(sequence, NULL);
    for (size_t i = 0; i < 260; i++)
        sum += exp((double)logits[i]);
    assert_true(
        fabs((double)outcome.logprobs[0] - ((double)logits[outcome.ids.ids[0]] - log(sum))) < 1e-4);
    for (size_t j = 0; j < 4; j++) {
        const upg_logprob top = outcome.top[0][j];
        size_t n_above = 0;

        for (size_t i = 0; i < 260; i++)
            n_above += logits[i] > logits[top.id];
        assert_int_equal(n_above, j);
        assert_true(fabs((double)top.logprob - ((double)logits[top.id] - log(sum))) < 1e-4);
    }
    upg_sequence_free(sequence);
    upg_engine_free(engine);
    outcome_clear(&outcome);
    teardown(&f);
}

static void timings_and_histograms_add_up(void **state)
{
    struct fixture f;
    struct outcome outcome = {0};
    upg_request request;
    upg_scheduler_stats stats;
    uint64_t n = 0;

    (void)state;
    setup(&f);
    request = outcome_request(&outcome, f.ids, 20, 10);
    request.no_speculation = 1;
    submit(&f, &request);
    outcome_wait(&outcome);
    stats = stats_of(&f);
    assert_true(outcome.usage.wait_seconds >= 0 && outcome.usage.prompt_seconds > 0 &&
                outcome.usage.generation_seconds > 0);
    assert_int_equal(outcome.usage.n_prompt_tokens, 20);
    for (size_t i = 0; i < UPG_HISTOGRAM_BUCKETS; i++)
        n += stats.between_tokens.count[i];
    assert_int_equal(n, 9);
    assert_true(stats.between_tokens.sum <= outcome.usage.generation_seconds + 1e-6);
    assert_true(stats.first_token.sum >= outcome.usage.prompt_seconds);
    assert_int_equal(stats.n_steps, 10);
    assert_int_equal(stats.n_rows, 29);
    assert_true(isinf(upg_histogram_bound(UPG_HISTOGRAM_BUCKETS - 1)));
    outcome_clear(&outcome);
    teardown(&f);
}

/* A filter that lets the ids of `allowed` pass, in order, and then nothing. */
struct path {
    const int32_t *allowed; /* [n] */
    size_t n, n_accepted, n_left_at_first, n_frees;
    bool is_broken, takes_wrong;
};

static upg_status path_mask(void *context, size_t n_left, uint32_t *allowed, size_t n_words,
                            upg_error *err)
{
    struct path *path = context;

    if (path->n_accepted == 0)
        path->n_left_at_first = n_left;
    if (path->is_broken) {
        strcpy(err->message, "the path is broken");
        return err->status = UPG_ERR_UNSUPPORTED;
    }
    memset(allowed, 0, n_words * sizeof *allowed);
    if (path->n_accepted < path->n)
        allowed[path->allowed[path->n_accepted] / 32] |= 1u << path->allowed[path->n_accepted] % 32;
    return UPG_OK;
}

static upg_status path_accept(void *context, int32_t id, upg_error *err)
{
    struct path *path = context;

    (void)err;
    path->takes_wrong = path->takes_wrong || path->allowed[path->n_accepted] != id;
    path->n_accepted++;
    return UPG_OK;
}

static void path_free(void *context)
{
    ((struct path *)context)->n_frees++;
}

static void filter_decides_what_comes_next(void **state)
{
    const int32_t steps[] = {65, 66, 67, 65, 66, 67, 65, 66, 67, 65, 66, 67};
    struct path path = {.allowed = steps, .n = 12}, broken = {.is_broken = true};
    struct outcome outcome = {0}, failed = {0};
    upg_scheduler_options options = small_options();
    struct fixture f;
    upg_request request;

    (void)state;
    options.always_speculate = 1; /* drafts go through the filter in order, too */
    open_fixture(&f, &options);
    request = outcome_request(&outcome, f.ids, 30, 100);
    request.filter = (upg_token_filter){&path, path_mask, path_accept, path_free};
    submit(&f, &request);
    outcome_wait(&outcome);
    assert_int_equal(outcome.finish, UPG_FINISH_STOP);
    assert_int_equal(outcome.ids.n, 12);
    assert_memory_equal(outcome.ids.ids, steps, sizeof steps);
    assert_int_equal(path.n_left_at_first, 100);
    assert_false(path.takes_wrong);
    assert_true(outcome.usage.n_accepted > 0);

    request.filter.context = &broken;
    request.on_event_context = &failed;
    submit(&f, &request);
    outcome_wait(&failed);
    assert_int_equal(failed.finish, UPG_FINISH_FAILED);
    assert_int_equal(failed.status, UPG_ERR_UNSUPPORTED);
    assert_string_equal(failed.message, "the path is broken");
    request.max_tokens = 5000;
    refuse(&f, &request, UPG_ERR_CONTEXT, "5000");
    upg_scheduler_drain(f.scheduler, 10);
    assert_int_equal(path.n_frees, 1);
    assert_int_equal(broken.n_frees, 1); /* not for the refused request */
    outcome_clear(&outcome);
    outcome_clear(&failed);
    teardown(&f);
}

static upg_token_filter pattern_filter(struct fixture *f, const char *pattern)
{
    const int32_t end = BYTE_TOKENIZER_END;
    upg_vocabulary *vocabulary;
    upg_grammar *grammar;
    upg_constraint *constraint;

    if (f->golden.model.stop_ids.n == 0)
        assert_ok(upg_tokens_append(&f->golden.model.stop_ids, &end, 1, &f->err), f->err);
    assert_ok(upg_vocabulary_new(&vocabulary, f->golden.model.tokenizer, &end, 1, &f->err), f->err);
    assert_ok(upg_grammar_new(&grammar, vocabulary, UPG_GRAMMAR_REGEX, pattern, strlen(pattern),
                              NULL, &f->err),
              f->err);
    assert_ok(upg_constraint_new(&constraint, grammar, &f->err), f->err);
    upg_grammar_free(grammar);
    upg_vocabulary_free(vocabulary);
    return upg_constraint_filter(constraint);
}

static void constraint_binds_an_answer(void **state)
{
    struct fixture f;
    struct outcome outcome = {0};
    upg_request request;

    (void)state;
    setup(&f);
    request = outcome_request(&outcome, f.ids, 20, 50);
    request.ignore_stop_ids = 0;
    request.sampling.temperature = 2;
    request.filter = pattern_filter(&f, "[xyz]{5}!");
    submit(&f, &request);
    outcome_wait(&outcome);
    assert_int_equal(outcome.finish, UPG_FINISH_STOP);
    assert_int_equal(outcome.text.n, 6);
    assert_int_equal(strspn(outcome.text.bytes, "xyz"), 5);
    assert_int_equal(outcome.text.bytes[5], '!');
    outcome_clear(&outcome);
    teardown(&f);
}

/* Where the tokens or the context come to their end, the form is closed. */
static void constraint_ends_in_time(void **state)
{
    static const struct {
        const char *pattern;
        size_t n_prompt, max_tokens, n_tokens;
        upg_finish finish;
    } cases[] = {{"[xyz]{6,}!", 20, 7, 7, UPG_FINISH_STOP},
                 {"[xyz]{9,}!", N_IDS, 0, 1024 - N_IDS, UPG_FINISH_STOP},
                 {"[xyz]{6,}!", 20, 6, 6, UPG_FINISH_LENGTH}, /* not enough */
                 {"[xyz]{8,}", 20, 8, 8, UPG_FINISH_LENGTH}}; /* more could have come */
    struct fixture f;

    (void)state;
    setup(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome outcome = {0};
        upg_request request =
            outcome_request(&outcome, f.ids, cases[i].n_prompt, cases[i].max_tokens);

        request.ignore_stop_ids = 0;
        request.filter = pattern_filter(&f, cases[i].pattern);
        submit(&f, &request);
        outcome_wait(&outcome);
        assert_int_equal(outcome.finish, cases[i].finish);
        assert_true(outcome.ids.n <= cases[i].n_tokens);
        assert_int_equal(outcome.text.bytes[outcome.text.n - 1] == '!',
                         cases[i].finish == UPG_FINISH_STOP);
        outcome_clear(&outcome);
    }
    teardown(&f);
}

/* Last hidden states after the final norm, from the head's input. */
struct hidden {
    size_t n_layers, n;
    float *rows; /* [64, 64] */
};

static void see_head(void *context, size_t layer, enum upg_linear_kind kind, const float *rows,
                     size_t n_rows, size_t n_cols, size_t stride)
{
    struct hidden *hidden = context;

    for (size_t i = 0; kind == UPG_LINEAR_HEAD && layer == hidden->n_layers && i < n_rows; i++)
        memcpy(hidden->rows + 64 * hidden->n++, rows + i * stride, n_cols * sizeof *rows);
}

static void assert_points_alike(const float *a, const double *b, size_t n)
{
    double aa = 0, bb = 0, ab = 0;

    for (size_t i = 0; i < n; i++) {
        aa += (double)a[i] * (double)a[i];
        bb += b[i] * b[i];
        ab += (double)a[i] * b[i];
    }
    assert_true(fabs(aa - 1) < 1e-5);
    assert_true(ab / sqrt(aa * bb) > 1 - 1e-5);
}

static void embeddings_are_the_pooled_last_hidden_states(void **state)
{
    struct fixture f;
    struct outcome mean = {0}, last = {0}, again = {0};
    struct hidden hidden = {.rows = calloc(64 * 64, sizeof(float))};
    double sum[64] = {0}, final[64];
    upg_scheduler_options options = small_options();
    upg_request request;
    upg_engine *engine;
    upg_sequence *sequence;

    (void)state;
    open_fixture(&f, &options);
    engine = golden_engine(&f.golden, NULL);
    hidden.n_layers = f.golden.model.config.n_layers;
    engine->forward.observer = (struct upg_observer){.context = &hidden, .linear_input = see_head};
    assert_ok(upg_sequence_new(&sequence, engine, &f.err), f.err);
    assert_ok(upg_sequence_append(sequence, f.ids, 50, 50, NULL, NULL, &f.err), f.err);
    assert_int_equal(hidden.n, 50);
    for (size_t i = 0; i < 64; i++) {
        for (size_t j = 0; j < 50; j++)
            sum[i] += (double)hidden.rows[j * 64 + i];
        final[i] = (double)hidden.rows[49 * 64 + i];
    }
    request = outcome_request(&mean, f.ids, 50, 0);
    request.kind = UPG_REQUEST_EMBED_MEAN;
    submit(&f, &request);
    request.on_event_context = &last;
    request.kind = UPG_REQUEST_EMBED_LAST;
    submit(&f, &request);
    outcome_wait(&mean);
    outcome_wait(&last);
    assert_int_equal(mean.n_embedding, 64);
    assert_points_alike(mean.embedding, sum, 64);
    assert_points_alike(last.embedding, final, 64);
    request.on_event_context = &again; /* uses the cache */
    submit(&f, &request);
    outcome_wait(&again);
    assert_int_equal(again.usage.n_cached_tokens, 32);
    assert_memory_equal(again.embedding, last.embedding, 64 * sizeof(float));
    upg_sequence_free(sequence);
    upg_engine_free(engine);
    free(hidden.rows);
    outcome_clear(&mean);
    outcome_clear(&last);
    outcome_clear(&again);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_that_cannot_be_are_refused_by_name),
        cmocka_unit_test(stop_ids_stop_strings_and_the_context_end_an_answer),
        cmocka_unit_test(cancelled_requests_end_within_a_step_and_give_their_blocks_back),
        cmocka_unit_test(clients_take_turns),
        cmocka_unit_test(greater_priority_goes_first),
        cmocka_unit_test(long_prompt_delays_an_answer_by_a_chunk_at_most),
        cmocka_unit_test(full_queue_is_refused_and_drain_ends_what_is_there),
        cmocka_unit_test(free_cancels_what_is_left),
        cmocka_unit_test(second_turn_computes_only_what_is_new),
        cmocka_unit_test(equal_prompts_at_once_are_computed_once),
        cmocka_unit_test(filter_decides_what_comes_next),
        cmocka_unit_test(constraint_binds_an_answer),
        cmocka_unit_test(constraint_ends_in_time),
        cmocka_unit_test(embeddings_are_the_pooled_last_hidden_states),
        cmocka_unit_test(logprobs_are_those_of_the_model),
        cmocka_unit_test(timings_and_histograms_add_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
