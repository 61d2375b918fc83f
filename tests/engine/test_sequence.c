/* test_sequence.c -- the same tokens give the same bits, whatever happens around them. */
#include "unit.h"

#include "engine/golden.h"

#include <math.h>
#include <stdlib.h>

enum { N_IDS = 100 };

/* A model, an engine on it, and N_IDS ids for prompts. */
struct fixture {
    struct golden golden;
    upg_engine *engine;
    size_t n_vocab;
    int32_t ids[N_IDS];
};

static void setup(struct fixture *f, const char *name, const upg_engine_options *options)
{
    golden_open(&f->golden, name);
    f->engine = golden_engine(&f->golden, options);
    f->n_vocab = f->golden.model.config.n_vocab;
    formula_prompt(f->ids, N_IDS, 77, f->n_vocab);
}

static void teardown(struct fixture *f)
{
    upg_engine_free(f->engine);
    golden_close(&f->golden);
}

static upg_sequence *new_sequence(upg_engine *engine)
{
    upg_sequence *sequence = NULL;
    upg_error err = {0};

    assert_ok(upg_sequence_new(&sequence, engine, &err), err);
    return sequence;
}

static void append(upg_sequence *sequence, const int32_t *ids, size_t n, size_t n_logits)
{
    upg_error err = {0};

    assert_ok(upg_sequence_append(sequence, ids, n, n_logits, NULL, NULL, &err), err);
}

/* A copy of the sequence's logits; the caller frees it. */
static float *take_logits(const upg_sequence *sequence, size_t n_expected)
{
    const size_t n_vocab = sequence->engine->model->config.n_vocab;
    size_t n_rows;
    const float *logits = upg_sequence_logits(sequence, &n_rows);
    float *copy = malloc(n_expected * n_vocab * sizeof *copy);

    assert_int_equal(n_rows, n_expected);
    assert_non_null(copy);
    memcpy(copy, logits, n_expected * n_vocab * sizeof *copy);
    return copy;
}

/* Logits of the last n_logits of ids[n], computed in one piece by a sequence of its own. */
static float *fresh_logits(upg_engine *engine, const int32_t *ids, size_t n, size_t n_logits)
{
    upg_sequence *sequence = new_sequence(engine);
    float *logits;

    append(sequence, ids, n, n_logits);
    logits = take_logits(sequence, n_logits);
    upg_sequence_free(sequence);
    return logits;
}

static void assert_same(const struct fixture *f, const float *a, const float *b, size_t n_rows)
{
    assert_memory_equal(a, b, n_rows * f->n_vocab * sizeof *a);
}

static upg_engine_options options_of(upg_compute compute, upg_kv_type kv_type, size_t n_threads)
{
    upg_engine_options options = golden_options();

    options.compute = compute;
    options.kv_type = kv_type;
    options.n_threads = n_threads;
    return options;
}

static void chunks_of_any_size_give_the_same_bits(void **state)
{
    const upg_engine_options options[] = {
        options_of(UPG_COMPUTE_FAST, UPG_KV_F32, 2), options_of(UPG_COMPUTE_FAST, UPG_KV_F16, 2),
        options_of(UPG_COMPUTE_FAST, UPG_KV_Q8, 2), options_of(UPG_COMPUTE_FAST, UPG_KV_Q4, 2),
        options_of(UPG_COMPUTE_REFERENCE, UPG_KV_F32, 1)};
    const size_t chunks[] = {99, 7, 1, 16, 33}; /* a slow build tries the first two */
    const size_t n_chunks = SLOW_BUILD ? 2 : sizeof chunks / sizeof *chunks;

    (void)state;
    for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
        struct fixture f;
        float *whole;

        setup(&f, "partial_tied", &options[o]);
        whole = fresh_logits(f.engine, f.ids, N_IDS, N_IDS);
        for (size_t c = 0; c < n_chunks; c++) {
            float *parts;

            f.engine->chunk_rows = chunks[c];
            parts = fresh_logits(f.engine, f.ids, N_IDS, N_IDS);
            assert_same(&f, whole, parts, N_IDS);
            free(parts);
        }
        free(whole);
        teardown(&f);
    }
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    const upg_engine_options single = options_of(UPG_COMPUTE_FAST, UPG_KV_F32, 1);
    struct fixture f;
    float *one;

    (void)state;
    setup(&f, "gqa4", &single);
    one = fresh_logits(f.engine, f.ids, N_IDS, N_IDS);
    for (size_t n_threads = 2; n_threads <= (SLOW_BUILD ? 3 : 5); n_threads++) {
        const upg_engine_options options = options_of(UPG_COMPUTE_FAST, UPG_KV_F32, n_threads);
        float *many;

        upg_engine_free(f.engine);
        f.engine = golden_engine(&f.golden, &options);
        many = fresh_logits(f.engine, f.ids, N_IDS, N_IDS);
        assert_same(&f, one, many, N_IDS);
        free(many);
    }
    free(one);
    teardown(&f);
}

/* Three sequences in one step: a decode row, a prompt chunk, and the end of a prompt. */
static void batch_with_others_gives_the_same_bits(void **state)
{
    const size_t n_before[3] = {40, 0, 13}, n_now[3] = {1, 50, 21}, n_logits[3] = {1, 50, 3};
    struct fixture f;
    struct upg_share shares[3];
    float *logits, *row;

    (void)state;
    setup(&f, "gqa4", NULL);
    logits = malloc(54 * f.n_vocab * sizeof *logits);
    assert_non_null(logits);
    for (size_t i = 0; i < 3; i++) {
        upg_sequence *s = new_sequence(f.engine);

        if (n_before[i] > 0)
            append(s, f.ids + i, n_before[i], 0);
        for (size_t j = 0; j < n_now[i]; j++)
            upg_sequence_push(s, f.ids[i + n_before[i] + j]);
        upg_sequence_choose_rope(s);
        shares[i] = (struct upg_share){.sequence = s, .n_rows = n_now[i], .n_logits = n_logits[i]};
    }
    assert_int_equal(upg_engine_step(f.engine, shares, 3, logits, NULL), UPG_OK);
    row = logits;
    for (size_t i = 0; i < 3; i++) {
        float *alone = fresh_logits(f.engine, f.ids + i, n_before[i] + n_now[i], n_logits[i]);

        assert_same(&f, row, alone, n_logits[i]);
        row += n_logits[i] * f.n_vocab;
        free(alone);
        upg_sequence_free(shares[i].sequence);
    }
    free(logits);
    teardown(&f);
}

static void assert_cache_is_consistent(const struct fixture *f, upg_sequence *const *sequences,
                                       size_t n)
{
    const struct upg_kv_list *lists[8];

    assert_true(n <= 8);
    for (size_t i = 0; i < n; i++)
        lists[i] = &sequences[i]->list;
    assert_true(upg_kv_blocks_check(&f->engine->cache.blocks, lists, n));
}

static void fork_and_write(upg_kv_type kv_type)
{
    const upg_engine_options options = options_of(UPG_COMPUTE_FAST, kv_type, 2);
    struct fixture f;
    upg_sequence *s[3];
    int32_t row[3][60]; /* what the three should hold */
    size_t n_free;

    setup(&f, "gqa4", &options);
    s[0] = new_sequence(f.engine);
    append(s[0], f.ids, 45, 0); /* a whole block and a part of one */
    n_free = f.engine->cache.blocks.n_free;
    for (size_t i = 1; i < 3; i++)
        assert_int_equal(upg_sequence_fork(&s[i], s[0], NULL), UPG_OK);
    assert_int_equal(f.engine->cache.blocks.n_free, n_free);
    assert_cache_is_consistent(&f, s, 3);
    for (size_t i = 0; i < 3; i++) {
        memcpy(row[i], f.ids, 45 * sizeof **row);
        memcpy(row[i] + 45, f.ids + 50 + 10 * i, 10 * sizeof **row);
    }
    for (size_t step = 0; step < 10; step++) /* in turns, so that blocks change hands */
        for (size_t i = 0; i < 3; i++) {
            float *shared, *alone;

            append(s[i], &row[i][45 + step], 1, 1);
            assert_cache_is_consistent(&f, s, 3);
            shared = take_logits(s[i], 1);
            alone = fresh_logits(f.engine, row[i], 46 + step, 1);
            assert_same(&f, shared, alone, 1);
            free(shared);
            free(alone);
        }
    for (size_t i = 0; i < 3; i++)
        upg_sequence_free(s[i]);
    assert_int_equal(f.engine->cache.blocks.n_free, f.engine->cache.blocks.n_blocks);
    teardown(&f);
}

static void forks_share_until_they_write(void **state)
{
    (void)state;
    fork_and_write(UPG_KV_F32);
    fork_and_write(UPG_KV_Q8);
    fork_and_write(UPG_KV_Q4);
}

static void truncate_and_go_on(upg_kv_type kv_type)
{
    const upg_engine_options options = options_of(UPG_COMPUTE_FAST, kv_type, 2);
    const size_t kept[] = {0, 1, 31, 32, 33, 64, 66, 70};
    struct fixture f;

    setup(&f, "partial_tied", &options);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        upg_sequence *s = new_sequence(f.engine), *fork;
        float *again, *alone;

        append(s, f.ids, 70, 0);
        assert_int_equal(upg_sequence_fork(&fork, s, NULL), UPG_OK);
        assert_int_equal(upg_sequence_truncate(s, kept[i], NULL), UPG_OK);
        assert_int_equal(upg_sequence_n_tokens(s), kept[i]);
        append(s, f.ids + kept[i], 80 - kept[i], 5);
        again = take_logits(s, 5);
        alone = fresh_logits(f.engine, f.ids, 80, 5);
        assert_same(&f, again, alone, 5);
        free(again);
        append(fork, f.ids + 70, 10, 5); /* its blocks were not written by the other */
        again = take_logits(fork, 5);
        assert_same(&f, again, alone, 5);
        free(again);
        free(alone);
        upg_sequence_free(s);
        upg_sequence_free(fork);
    }
    teardown(&f);
}

static void truncated_sequence_goes_on_as_if_nothing_had_been(void **state)
{
    (void)state;
    truncate_and_go_on(UPG_KV_F32);
    truncate_and_go_on(UPG_KV_Q8);
    truncate_and_go_on(UPG_KV_Q4);
}

/* Stops at the call that its context counts down to. */
static int stop_later(void *context, const char *stage, uint64_t done, uint64_t total)
{
    size_t *left = context;

    assert_string_equal(stage, "prefill");
    assert_true(done > 0 && done <= total);
    return (*left)-- == 0;
}

static void cancel_and_go_on(upg_kv_type kv_type)
{
    const upg_engine_options options = options_of(UPG_COMPUTE_FAST, kv_type, 2);
    struct fixture f;

    setup(&f, "gqa4", &options);
    f.engine->chunk_rows = 20;
    for (size_t n_chunks = 0; n_chunks < 4; n_chunks++) {
        upg_sequence *s = new_sequence(f.engine);
        size_t left = n_chunks;
        float *after, *alone;
        upg_error err = {0};

        append(s, f.ids, 40, 0);
        assert_fails(upg_sequence_append(s, f.ids, 80, 3, stop_later, &left, &err),
                     UPG_ERR_CANCELLED, err, "of 80 tokens");
        assert_int_equal(upg_sequence_n_tokens(s), 40);
        assert_null(upg_sequence_logits(s, NULL));
        append(s, f.ids + 40, 30, 2);
        after = take_logits(s, 2);
        alone = fresh_logits(f.engine, f.ids, 70, 2);
        assert_same(&f, after, alone, 2);
        free(after);
        free(alone);
        upg_sequence_free(s);
    }
    teardown(&f);
}

static void cancelled_append_leaves_the_sequence_as_it_was(void **state)
{
    (void)state;
    cancel_and_go_on(UPG_KV_F32);
    cancel_and_go_on(UPG_KV_Q8);
    cancel_and_go_on(UPG_KV_Q4);
}

static void appending_what_cannot_be_changes_nothing(void **state)
{
    upg_engine_options options = golden_options();
    struct fixture f;
    upg_sequence *s;
    float *after, *alone;
    int32_t bad[3] = {1, 2, 0};
    upg_error err = {0};

    (void)state;
    options.context = 50;
    options.cache_tokens = 128;
    setup(&f, "gqa4", &options);
    bad[2] = (int32_t)f.n_vocab;
    s = new_sequence(f.engine);
    append(s, f.ids, 45, 0);
    assert_fails(upg_sequence_append(s, f.ids, 6, 0, NULL, NULL, &err), UPG_ERR_CONTEXT, err,
                 "45 tokens and 6 new ones are more than 50");
    assert_fails(upg_sequence_append(s, bad, 3, 0, NULL, NULL, &err), UPG_ERR_ARGUMENT, err,
                 "token 2 is id 320, the vocabulary has 0 .. 319");
    bad[0] = -1;
    assert_fails(upg_sequence_append(s, bad, 2, 0, NULL, NULL, &err), UPG_ERR_ARGUMENT, err,
                 "token 0 is id -1");
    assert_fails(upg_sequence_append(s, f.ids, 0, 0, NULL, NULL, &err), UPG_ERR_ARGUMENT, err,
                 "no tokens");
    assert_fails(upg_sequence_append(s, f.ids, 2, 3, NULL, NULL, &err), UPG_ERR_ARGUMENT, err,
                 "logits of 3 tokens");
    assert_fails(upg_sequence_truncate(s, 46, &err), UPG_ERR_ARGUMENT, err, "45");
    append(s, f.ids + 45, 5, 1);
    after = take_logits(s, 1);
    alone = fresh_logits(f.engine, f.ids, 50, 1);
    assert_same(&f, after, alone, 1);
    free(after);
    free(alone);
    upg_sequence_free(s);
    teardown(&f);
}

static void full_cache_is_an_error_until_another_sequence_goes(void **state)
{
    upg_engine_options options = golden_options();
    struct fixture f;
    upg_sequence *a, *b;
    upg_error err = {0};

    (void)state;
    options.context = 90;
    options.cache_tokens = 128; /* 4 blocks */
    setup(&f, "gqa4", &options);
    a = new_sequence(f.engine);
    b = new_sequence(f.engine);
    append(a, f.ids, 65, 0); /* 3 blocks */
    append(b, f.ids, 30, 0); /* the last one */
    assert_fails(upg_sequence_append(b, f.ids, 3, 0, NULL, NULL, &err), UPG_ERR_MEMORY, err,
                 "0 of 4 are free");
    assert_int_equal(upg_sequence_n_tokens(b), 30);
    append(b, f.ids + 30, 2, 0);
    upg_sequence_free(a);
    append(b, f.ids + 32, 58, 0);
    upg_sequence_free(b);
    teardown(&f);
}

/* The switch of longrope_switch is at 32 tokens. */
static void sequence_that_crosses_the_switch_is_computed_again(void **state)
{
    struct fixture f;
    upg_sequence *s;

    (void)state;
    setup(&f, "longrope_switch", NULL);
    s = new_sequence(f.engine);
    append(s, f.ids, 30, 0);
    for (size_t n = 31; n <= 40; n++) {
        float *grown, *alone;

        append(s, f.ids + n - 1, 1, 1);
        grown = take_logits(s, 1);
        alone = fresh_logits(f.engine, f.ids, n, 1);
        assert_same(&f, grown, alone, 1);
        free(grown);
        free(alone);
    }
    upg_sequence_free(s);
    teardown(&f);
}

static void sequence_that_shrinks_below_the_switch_is_computed_again(void **state)
{
    struct fixture f;
    upg_sequence *s;
    float *shrunk, *alone;

    (void)state;
    setup(&f, "longrope_switch", NULL);
    s = new_sequence(f.engine);
    append(s, f.ids, 40, 0);
    assert_int_equal(upg_sequence_truncate(s, 20, NULL), UPG_OK);
    append(s, f.ids + 20, 5, 5);
    shrunk = take_logits(s, 5);
    alone = fresh_logits(f.engine, f.ids, 25, 5);
    assert_same(&f, shrunk, alone, 5);
    free(shrunk);
    free(alone);
    upg_sequence_free(s);
    teardown(&f);
}

static void cancelled_crossing_leaves_the_sequence_as_it_was(void **state)
{
    struct fixture f;
    upg_sequence *s;
    float *after, *alone;
    size_t left = 1;

    (void)state;
    setup(&f, "longrope_switch", NULL);
    f.engine->chunk_rows = 10;
    s = new_sequence(f.engine);
    append(s, f.ids, 30, 0);
    assert_int_equal(upg_sequence_append(s, f.ids + 30, 5, 1, stop_later, &left, NULL),
                     UPG_ERR_CANCELLED);
    assert_int_equal(upg_sequence_n_tokens(s), 30);
    append(s, f.ids + 30, 1, 1);
    after = take_logits(s, 1);
    alone = fresh_logits(f.engine, f.ids, 31, 1);
    assert_same(&f, after, alone, 1);
    free(after);
    free(alone);
    upg_sequence_free(s);
    teardown(&f);
}

static void logits_belong_to_the_last_call(void **state)
{
    struct fixture f;
    upg_sequence *a, *b;
    size_t n_rows = 9;

    (void)state;
    setup(&f, "gqa4", NULL);
    a = new_sequence(f.engine);
    b = new_sequence(f.engine);
    append(a, f.ids, 5, 2);
    assert_non_null(upg_sequence_logits(a, &n_rows));
    assert_int_equal(n_rows, 2);
    append(b, f.ids, 5, 1);
    assert_null(upg_sequence_logits(a, &n_rows));
    assert_int_equal(n_rows, 0);
    assert_non_null(upg_sequence_logits(b, NULL));
    append(b, f.ids, 5, 0);
    assert_null(upg_sequence_logits(b, NULL));
    upg_sequence_free(a);
    upg_sequence_free(b);
    teardown(&f);
}

/* Attention reads whole blocks, also behind the last token. */
static void what_a_block_held_before_does_not_matter(void **state)
{
    const upg_kv_type types[] = {UPG_KV_F32, UPG_KV_F16, UPG_KV_Q8, UPG_KV_Q4};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const upg_engine_options options = options_of(UPG_COMPUTE_FAST, types[i], 2);
        struct fixture f;
        float *clean, *after;

        setup(&f, "gqa4", &options);
        clean = fresh_logits(f.engine, f.ids, 37, 37);
        memset(f.engine->cache.memory, 0xFF, upg_kv_cache_n_bytes(&f.engine->cache)); /* NaN */
        after = fresh_logits(f.engine, f.ids, 37, 37);
        assert_same(&f, clean, after, 37);
        free(clean);
        free(after);
        teardown(&f);
    }
}

/* Differences of the logits, whose standard deviation is 1.6. */
static void smaller_cache_types_stay_close_to_float32(void **state)
{
    const struct {
        upg_kv_type type;
        double most; /* root of the mean square */
    } cases[] = {{UPG_KV_F16, 3e-3}, {UPG_KV_Q8, 6e-2}, {UPG_KV_Q4, 1}};

    (void)state;
    for (size_t c = 0; c < 3; c++) {
        const upg_engine_options options = options_of(UPG_COMPUTE_FAST, cases[c].type, 2);
        struct fixture f, g;
        float *a, *b;
        double sum = 0;

        setup(&f, "gqa4", NULL);
        setup(&g, "gqa4", &options);
        a = fresh_logits(f.engine, f.ids, N_IDS, N_IDS);
        b = fresh_logits(g.engine, g.ids, N_IDS, N_IDS);
        for (size_t i = 0; i < N_IDS * f.n_vocab; i++)
            sum += pow((double)a[i] - (double)b[i], 2) / (double)(N_IDS * f.n_vocab);
        print_message("  type %d: %.1e\n", (int)cases[c].type, sqrt(sum));
        assert_true(sum > 0 && sqrt(sum) <= cases[c].most);
        free(a);
        free(b);
        teardown(&f);
        teardown(&g);
    }
}

static void engine_refuses_options_that_cannot_be(void **state)
{
    struct golden golden;
    upg_engine_options options = golden_options();
    upg_engine *engine = NULL;
    upg_error err = {0};

    (void)state;
    golden_open(&golden, "gqa4");
    options.context = 4097;
    assert_fails(upg_engine_new(&engine, &golden.model, &options, &err), UPG_ERR_ARGUMENT, err,
                 "4097 tokens asked for, (formula) was made for at most 4096");
    options = golden_options();
    options.cache_tokens = SIZE_MAX / 2;
    assert_fails(upg_engine_new(&engine, &golden.model, &options, &err), UPG_ERR_ARGUMENT, err,
                 "address space");
    options = golden_options();
    options.cpu_tier = "z80";
    assert_fails(upg_engine_new(&engine, &golden.model, &options, &err), UPG_ERR_ARGUMENT, err,
                 "z80");
    options = golden_options();
    options.kv_type = (upg_kv_type)77;
    assert_fails(upg_engine_new(&engine, &golden.model, &options, &err), UPG_ERR_ARGUMENT, err,
                 "kv_type: 77");
    options = (upg_engine_options){0};
    assert_fails(upg_engine_new(&engine, &golden.model, &options, &err), UPG_ERR_ARGUMENT, err,
                 "upg_engine_options_defaults");
    golden_close(&golden);
    golden_open(&golden, "tiny_file");
    options = golden_options();
    options.kv_type = UPG_KV_Q8;
    assert_fails(upg_engine_new(&engine, &golden.model, &options, &err), UPG_ERR_UNSUPPORTED, err,
                 "64, 128 or 256 values, this model's have 16");
    assert_null(engine);
    golden_close(&golden);
}

/* Each fork copies the one block that it writes; the rest is shared, and all of it comes back. */
static void thousand_forks_share_their_origin(void **state)
{
    enum { N_FORKS = 1000, N_ORIGIN = 90 };
    static upg_sequence *forks[N_FORKS];
    upg_engine_options options = options_of(UPG_COMPUTE_FAST, UPG_KV_F16, 2);
    const struct upg_kv_cache *cache;
    struct fixture f;
    upg_sequence *origin;
    upg_error err = {0};

    (void)state;
    options.context = 256;
    options.cache_tokens = (N_FORKS + 10) * UPG_KV_BLOCK;
    setup(&f, "tiny_file", &options);
    origin = new_sequence(f.engine);
    append(origin, f.ids, N_ORIGIN, 1);
    cache = &f.engine->cache;
    for (size_t i = 0; i < N_FORKS; i++) {
        assert_ok(upg_sequence_fork(&forks[i], origin, &err), err);
        append(forks[i], &f.ids[i % 7], 1, 1);
    }
    assert_int_equal(cache->blocks.n_blocks - cache->blocks.n_free, 3 + N_FORKS);
    for (size_t i = 0; i < N_FORKS; i += 37) { /* once more, and it is as if it were alone */
        int32_t ids[N_ORIGIN + 2];
        float *shared, *alone;

        memcpy(ids, f.ids, N_ORIGIN * sizeof *ids);
        ids[N_ORIGIN] = f.ids[i % 7];
        ids[N_ORIGIN + 1] = f.ids[50];
        append(forks[i], &f.ids[50], 1, 1);
        shared = take_logits(forks[i], 1);
        upg_sequence_free(forks[(i + 1) % N_FORKS]);
        forks[(i + 1) % N_FORKS] = NULL;
        alone = fresh_logits(f.engine, ids, N_ORIGIN + 2, 1);
        assert_same(&f, shared, alone, 1);
        free(shared);
        free(alone);
    }
    upg_sequence_free(origin);
    for (size_t i = 0; i < N_FORKS; i++)
        upg_sequence_free(forks[i]);
    assert_int_equal(cache->blocks.n_free, cache->blocks.n_blocks);
    assert_true(upg_kv_blocks_check(&cache->blocks, NULL, 0));
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_of_any_size_give_the_same_bits),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(batch_with_others_gives_the_same_bits),
        cmocka_unit_test(forks_share_until_they_write),
        cmocka_unit_test(truncated_sequence_goes_on_as_if_nothing_had_been),
        cmocka_unit_test(cancelled_append_leaves_the_sequence_as_it_was),
        cmocka_unit_test(appending_what_cannot_be_changes_nothing),
        cmocka_unit_test(full_cache_is_an_error_until_another_sequence_goes),
        cmocka_unit_test(sequence_that_crosses_the_switch_is_computed_again),
        cmocka_unit_test(sequence_that_shrinks_below_the_switch_is_computed_again),
        cmocka_unit_test(cancelled_crossing_leaves_the_sequence_as_it_was),
        cmocka_unit_test(logits_belong_to_the_last_call),
        cmocka_unit_test(what_a_block_held_before_does_not_matter),
        cmocka_unit_test(smaller_cache_types_stay_close_to_float32),
        cmocka_unit_test(engine_refuses_options_that_cannot_be),
        cmocka_unit_test(thousand_forks_share_their_origin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
