/* test_golden_logits.c -- logits, layer outputs and greedy texts of the official implementation. */
#include "unit.h"

#include "engine/golden.h"

#include <math.h>
#include <stdlib.h>

static const char *const names[] = {"gqa4", "partial_tied", "longrope_switch", "mini_rope",
                                    "tiny_file"};

/* float32 arithmetic against float32 arithmetic: the order of sums differs.  At 4096 tokens
 * rounding of the angles counts as well. */
static double tolerance(size_t n_tokens)
{
    return n_tokens > 1000 ? 1e-2 : 5e-4;
}

static upg_engine *new_engine(const struct golden *golden, upg_compute compute, size_t context)
{
    upg_engine_options options = golden_options();

    options.compute = compute;
    options.context = context;
    return golden_engine(golden, &options);
}

static double greatest_difference(const float *a, const float *b, size_t n)
{
    double greatest = 0;

    for (size_t i = 0; i < n; i++) {
        const double difference = fabs((double)a[i] - (double)b[i]);
        greatest = difference > greatest || isnan(difference) ? difference : greatest;
    }
    return greatest;
}

static void check_prompt(upg_engine *engine, const struct golden *golden,
                         const struct golden_prompt *prompt)
{
    const size_t n_vocab = golden->model.config.n_vocab;
    upg_sequence *sequence;
    upg_error err = {0};
    size_t n_rows;
    const float *logits;

    assert_ok(upg_sequence_new(&sequence, engine, &err), err);
    assert_ok(upg_sequence_append(sequence, prompt->ids, prompt->n_ids, prompt->n_logits, NULL,
                                  NULL, &err),
              err);
    logits = upg_sequence_logits(sequence, &n_rows);
    assert_int_equal(n_rows, prompt->n_logits);
    const double difference = greatest_difference(logits, prompt->logits, n_rows * n_vocab);
    print_message("  %zu tokens: %.1e\n", prompt->n_ids, difference);
    assert_true(difference <= tolerance(prompt->n_ids));
    upg_sequence_free(sequence);
}

static void check_greedy(upg_engine *engine, const struct golden *golden)
{
    const json_t *greedy = json_object_get(golden->json, "greedy");
    const size_t n_vocab = golden->model.config.n_vocab;
    upg_sequence *sequence;
    size_t n_ids, n_new;
    int32_t *ids, *expected;

    if (!greedy)
        return;
    ids = golden_ids(json_object_get(greedy, "ids"), &n_ids);
    expected = golden_ids(json_object_get(greedy, "new_ids"), &n_new);
    assert_int_equal(upg_sequence_new(&sequence, engine, NULL), UPG_OK);
    assert_int_equal(upg_sequence_append(sequence, ids, n_ids, 1, NULL, NULL, NULL), UPG_OK);
    for (size_t i = 0; i < n_new; i++) {
        const float *logits = upg_sequence_logits(sequence, NULL);
        int32_t best = 0;

        for (size_t j = 1; j < n_vocab; j++)
            best = logits[j] > logits[best] ? (int32_t)j : best;
        assert_int_equal(best, expected[i]);
        assert_int_equal(upg_sequence_append(sequence, &best, 1, 1, NULL, NULL, NULL), UPG_OK);
    }
    upg_sequence_free(sequence);
    free(expected);
    free(ids);
}

/* Prompts of 4096 tokens take the reference ten seconds each; one is enough for it.  A slow build
 * checks the longest alone, with the fast engine. */
static void check_all(upg_compute compute, size_t max_long_prompts)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct golden golden;
        upg_engine *engine;
        size_t n_long = 0;

        golden_open(&golden, names[i]);
        print_message("%s\n", names[i]);
        engine = new_engine(&golden, compute, !strcmp(names[i], "mini_rope") ? 4097 : 0);
        for (size_t p = golden_n_prompts(&golden); p-- > 0;) {
            struct golden_prompt prompt = golden_prompt(&golden, p);

            if (prompt.n_ids < 1000 || n_long++ < max_long_prompts)
                check_prompt(engine, &golden, &prompt);
            free(prompt.ids);
        }
        check_greedy(engine, &golden);
        upg_engine_free(engine);
        golden_close(&golden);
    }
}

static void fast_engine_gives_the_official_logits(void **state)
{
    (void)state;
    check_all(UPG_COMPUTE_FAST, SLOW_BUILD ? 1 : 2);
}

static void reference_engine_gives_the_official_logits(void **state)
{
    (void)state;
    check_all(UPG_COMPUTE_REFERENCE, SLOW_BUILD ? 0 : 1);
}

/* Compares what the observer sees with the golden states. */
struct states {
    const struct golden *golden;
    const json_t *list; /* after the embedding, every layer, the final norm */
    size_t n_seen;
};

static void compare(struct states *states, const float *rows, size_t n_rows, size_t n_cols,
                    size_t stride)
{
    const float *expected =
        golden_values(states->golden, json_array_get(states->list, states->n_seen++));

    for (size_t i = 0; i < n_rows; i++)
        assert_true(greatest_difference(rows + i * stride, expected + i * n_cols, n_cols) <= 1e-3);
}

static void see_hidden(void *context, size_t n_layers, const float *rows, size_t n_rows,
                       size_t n_cols, size_t stride)
{
    struct states *states = context;

    assert_int_equal(n_layers, states->n_seen);
    compare(states, rows, n_rows, n_cols, stride);
}

static void see_input(void *context, size_t layer, enum upg_linear_kind kind, const float *rows,
                      size_t n_rows, size_t n_cols, size_t stride)
{
    (void)layer;
    if (kind == UPG_LINEAR_HEAD)
        compare(context, rows, n_rows, n_cols, stride);
}

static void layer_outputs_are_the_official_ones(void **state)
{
    const upg_compute computes[] = {UPG_COMPUTE_FAST, UPG_COMPUTE_REFERENCE};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct golden golden;
        struct golden_prompt prompt;
        struct states states = {.golden = &golden};
        upg_engine *engine;

        golden_open(&golden, i < 2 ? "gqa4" : "tiny_file");
        prompt = golden_prompt(&golden, i < 2 ? 1 : 0);
        states.list = json_object_get(prompt.json, "hidden_states");
        engine = new_engine(&golden, computes[i % 2], 0);
        engine->forward.observer = (struct upg_observer){
            .context = &states, .linear_input = see_input, .hidden = see_hidden};
        check_prompt(engine, &golden, &prompt);
        assert_int_equal(states.n_seen, golden.model.config.n_layers + 2);
        assert_int_equal(states.n_seen, json_array_size(states.list));
        free(prompt.ids);
        upg_engine_free(engine);
        golden_close(&golden);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_engine_gives_the_official_logits),
        cmocka_unit_test(layer_outputs_are_the_official_ones),
        cmocka_unit_test(reference_engine_gives_the_official_logits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
