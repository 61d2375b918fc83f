/* bench.c -- upg bench: the speed of a model beside the machine's limits, measured in the same run.
 *
 * Generation reads all weights, and the cache, for every token: memory is its limit.  A prompt reads
 * them once for all of its tokens: with packed weights, which are multiplied as int8, the limit is
 * arithmetic.  Limits are measured right before and after each repetition, because a machine that
 * others use as well changes its mind.
 *
 * The memory whose reading is measured is this process's too; it is taken off what is reported. */
#include "cli/commands.h"

#include "cli/bench_kernels.h"
#include "cli/bench_results.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/open.h"
#include "cli/progress.h"
#include "cli/system.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_PROMPT = 32, MOST_REPETITIONS = 100, BARE_TOKENS = 4 };

struct bench {
    const struct settings *settings;
    struct opened opened;
    upg_machine *machine;
    upg_sequence *sequence;
    upg_memory_plan plan;
    int is_packed;
    int32_t *ids;         /* [context] random tokens */
    uint64_t random;      /* state of their generator */
    double *read, *peaks; /* [n_read], [n_peaks] all measurements of the limits */
    size_t n_read, n_peaks;
    struct bench_report report;
    struct progress progress;
};

/* ---- Numbers ---- */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* NAN of none.  Sorts the values. */
static double median(double *values, size_t n)
{
    if (n == 0)
        return NAN;
    qsort(values, n, sizeof *values, compare_doubles);
    return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

static void mean_and_deviation(const double *values, size_t n, double *mean, double *deviation)
{
    double sum = 0, squares = 0;

    for (size_t i = 0; i < n; i++)
        sum += values[i];
    *mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (values[i] - *mean) * (values[i] - *mean);
    *deviation = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
}

/* New tokens each time, so that nothing is found in a cache: Knuth's 64-bit generator (MMIX). */
static void draw_ids(struct bench *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        b->random = b->random * 6364136223846793005u + 1442695040888963407u;
        b->ids[i] = (int32_t)((b->random >> 33) % b->opened.info.n_vocab);
    }
}

/* ---- Limits ---- */

/* Measurements of a limit are kept for the report; NAN when there is no room for more. */
static double measure_read(struct bench *b)
{
    return b->read[b->n_read++] = upg_machine_read_gb_per_s(b->machine);
}

static double measure_peak(struct bench *b)
{
    return b->peaks[b->n_peaks++] = upg_machine_int8_tops(b->machine);
}

/* Bytes that the token at a position reads: weights, and what the cache holds of those before it. */
static double bytes_of_token(const struct bench *b, double position)
{
    return (double)b->plan.token_bytes +
           (double)b->plan.cache_bytes * position / (double)b->plan.context;
}

/* Int8 operations of a prompt: two a weight and token, but none in the embedding, and the head is
 * multiplied with the last token alone. */
static double prompt_ops(const struct bench *b, size_t n_tokens)
{
    const upg_model_info *info = &b->opened.info;
    const double table = (double)info->n_vocab * (double)info->d_model;
    const double inner = (double)info->n_parameters - (info->tied_embeddings ? 1 : 2) * table;

    return 2 * (inner * (double)n_tokens + table);
}

/* ---- Tests ---- */

static upg_status append(struct bench *b, size_t n_tokens, size_t n_logits, double *seconds,
                         upg_error *err)
{
    const double start = seconds_now();
    upg_status status;

    draw_ids(b, n_tokens);
    status = upg_sequence_append(b->sequence, b->ids, n_tokens, n_logits, progress_update,
                                 &b->progress, err);
    *seconds = seconds_now() - start;
    return status;
}

/* A prompt of n tokens behind what is there. */
static upg_status run_prompt(struct bench *b, size_t n, double *tokens_per_s, double *fraction,
                             double *ms_per_layer, upg_error *err)
{
    const double before = b->is_packed ? measure_peak(b) : NAN;
    double seconds, after;
    const upg_status status = append(b, n, 1, &seconds, err);

    if (status != UPG_OK)
        return status;
    after = b->is_packed ? measure_peak(b) : NAN;
    *tokens_per_s = (double)n / seconds;
    *fraction = 1e-12 * prompt_ops(b, n) / seconds / (0.5 * (before + after));
    *ms_per_layer = 1e3 * seconds / (double)n / (double)b->opened.info.n_layers;
    return UPG_OK;
}

/* n tokens one after the other; then a few without logits, for the time of the layers alone. */
static upg_status run_generation(struct bench *b, size_t n, double *tokens_per_s, double *fraction,
                                 double *ms_per_layer, upg_error *err)
{
    const size_t depth = upg_sequence_n_tokens(b->sequence);
    const double before = measure_read(b);
    double total = 0, bare = 0, seconds, after;
    upg_status status = UPG_OK;

    for (size_t i = 0; i < n && status == UPG_OK; i++, total += seconds)
        status = append(b, 1, 1, &seconds, err);
    if (status != UPG_OK)
        return status;
    after = measure_read(b);
    for (size_t i = 0; i < BARE_TOKENS && status == UPG_OK; i++, bare += seconds)
        status = append(b, 1, 0, &seconds, err);
    *tokens_per_s = (double)n / total;
    *fraction = 1e-9 * bytes_of_token(b, (double)depth + 0.5 * (double)n) * *tokens_per_s /
                (0.5 * (before + after));
    *ms_per_layer = 1e3 * bare / BARE_TOKENS / (double)b->opened.info.n_layers;
    return status;
}

/* All repetitions of one test at a depth, which the sequence has before and afterwards. */
static upg_status run_test(struct bench *b, int is_prompt, size_t n, size_t depth, upg_error *err)
{
    struct bench_result *result = &b->report.results[b->report.n_results++];
    const size_t n_reps = (size_t)b->settings->n_reps;
    double speeds[MOST_REPETITIONS], fractions[MOST_REPETITIONS], layers[MOST_REPETITIONS];
    upg_status status = UPG_OK;

    if (is_prompt && depth == 0)
        snprintf(result->test, sizeof result->test, "pp%zu", n);
    else
        snprintf(result->test, sizeof result->test, "%s%zu@d%zu", is_prompt ? "pp" : "tg", n,
                 depth);
    b->progress.label = result->test;
    for (size_t i = 0; i < n_reps && status == UPG_OK; i++) {
        status = is_prompt ? run_prompt(b, n, &speeds[i], &fractions[i], &layers[i], err)
                           : run_generation(b, n, &speeds[i], &fractions[i], &layers[i], err);
        if (status == UPG_OK)
            status = upg_sequence_truncate(b->sequence, depth, err);
        if (status == UPG_OK && interrupt_seen())
            status = fail(err, UPG_ERR_CANCELLED, "interrupted");
    }
    if (status != UPG_OK)
        return status;
    mean_and_deviation(speeds, n_reps, &result->tokens_per_s, &result->stddev);
    result->ms_per_layer = median(layers, n_reps);
    result->fraction = median(fractions, n_reps);
    result->limit = !is_prompt ? "bandwidth" : b->is_packed ? "int8" : "none";
    return UPG_OK;
}

static upg_status run_depth(struct bench *b, size_t depth, upg_error *err)
{
    const struct settings *s = b->settings;
    upg_status status = UPG_OK;
    double seconds;

    b->progress.label = "context";
    if (depth > upg_sequence_n_tokens(b->sequence))
        status = append(b, depth - upg_sequence_n_tokens(b->sequence), 0, &seconds, err);
    else
        status = upg_sequence_truncate(b->sequence, depth, err);
    for (size_t i = 0; i < s->prompts.n && status == UPG_OK; i++)
        if (s->prompts.counts[i] > 0)
            status = run_test(b, 1, s->prompts.counts[i], depth, err);
    for (size_t i = 0; i < s->generations.n && status == UPG_OK; i++)
        if (s->generations.counts[i] > 0)
            status = run_test(b, 0, s->generations.counts[i], depth, err);
    return status;
}

/* ---- The model ---- */

/* A model of random weights in a file that has no name any more once it is opened. */
static upg_status open_shape(struct bench *b, upg_error *err)
{
    const struct settings *s = b->settings;
    const char *place = getenv("TMPDIR");
    char folder[512], path[544];
    upg_synth_options options;
    upg_status status;

    if (s->model)
        return fail(err, UPG_ERR_ARGUMENT, "--shape: %s is given already; give one of them",
                    s->model);
    if (snprintf(folder, sizeof folder, "%s/upg-bench-XXXXXX", place && *place ? place : "/tmp") >=
            (int)sizeof folder ||
        !mkdtemp(folder))
        return fail_errno(err, folder, "create a folder");
    snprintf(path, sizeof path, "%s/model.upg", folder);
    upg_synth_options_defaults(&options);
    options.shape = s->shape;
    options.n_layers = (size_t)s->n_layers;
    options.bits_per_weight = s->bits_per_weight;
    options.n_threads = (size_t)s->n_threads;
    options.progress = progress_update;
    options.progress_context = &b->progress;
    status = upg_synth(path, &options, err);
    if (status == UPG_OK)
        status = open_model(&b->opened, path, s, err);
    unlink(path);
    rmdir(folder);
    return status;
}

static int is_packed(const upg_model *model)
{
    for (size_t i = 0; i < upg_model_n_tensors(model); i++) {
        upg_tensor_info tensor;

        if (upg_model_get_tensor(model, i, &tensor, NULL) == UPG_OK &&
            strncmp(tensor.type, "UPG", 3) == 0)
            return 1;
    }
    return 0;
}

static size_t largest(const struct count_list *list)
{
    size_t most = 0;

    for (size_t i = 0; i < list->n; i++)
        most = list->counts[i] > most ? list->counts[i] : most;
    return most;
}

/* Tokens that a test needs behind its depth. */
static size_t tokens_of_tests(const struct settings *s)
{
    const size_t prompt = largest(&s->prompts), generation = largest(&s->generations) + BARE_TOKENS;
    const size_t most = prompt > generation ? prompt : generation;

    return most > FIRST_PROMPT ? most : FIRST_PROMPT;
}

/* The engine, for the deepest test that the model's context allows. */
static upg_status open_bench(struct bench *b, upg_error *err)
{
    const struct settings *s = b->settings;
    const size_t needed = tokens_of_tests(s);
    const size_t n_tests = s->depths.n * (s->prompts.n + s->generations.n);
    const size_t n_limits = 2 * n_tests * (size_t)s->n_reps + 2;
    upg_engine_options options;
    size_t deepest = 0;
    upg_status status = s->shape ? open_shape(b, err) : open_model(&b->opened, s->model, s, err);

    if (status != UPG_OK)
        return status;
    for (size_t i = 0; i < s->depths.n; i++)
        if (s->depths.counts[i] + needed <= b->opened.info.context && s->depths.counts[i] > deepest)
            deepest = s->depths.counts[i];
    options = engine_options(&b->opened.info, deepest + needed, s);
    status = upg_engine_plan(b->opened.model, &options, &b->plan, err);
    if (status == UPG_OK)
        status = open_engine(&b->opened, options.context, s, err);
    if (status == UPG_OK)
        status = upg_sequence_new(&b->sequence, b->opened.engine, err);
    if (status != UPG_OK)
        return status;
    b->is_packed = is_packed(b->opened.model);
    b->ids = calloc(options.context, sizeof *b->ids);
    b->read = calloc(n_limits, sizeof *b->read);
    b->peaks = calloc(n_limits, sizeof *b->peaks);
    b->report.results = calloc(n_tests + 1, sizeof *b->report.results);
    if (!b->ids || !b->read || !b->peaks || !b->report.results)
        return fail_memory(err, "the measurements");
    return UPG_OK;
}

static upg_status run_tests(struct bench *b, upg_error *err)
{
    const struct settings *s = b->settings;
    double seconds;
    upg_status status = append(b, FIRST_PROMPT, 1, &seconds, err);

    b->report.load_seconds = b->opened.load_seconds;
    b->report.first_token_seconds = b->opened.load_seconds + seconds;
    if (status == UPG_OK) { /* once at least, whatever the tests are */
        measure_read(b);
        measure_peak(b);
        status = upg_sequence_truncate(b->sequence, 0, err);
    }
    for (size_t i = 0; i < s->depths.n && status == UPG_OK; i++) {
        const size_t depth = s->depths.counts[i];

        if (depth + tokens_of_tests(s) > b->plan.context)
            note("depth %zu is left out: with the tests it is more than the model's context of %zu "
                 "tokens",
                 depth, b->opened.info.context);
        else
            status = run_depth(b, depth, err);
    }
    return status;
}

static upg_status write_report(struct bench *b, upg_error *err)
{
    struct bench_report *r = &b->report;
    const uint64_t ring = upg_machine_n_bytes(b->machine);
    const uint64_t now = resident_bytes(), counted = most_resident_bytes();
    const uint64_t most = counted > now ? counted : now; /* the kernel counts with a delay */

    cpu_name(r->cpu, sizeof r->cpu);
    r->tier = upg_engine_tier(b->opened.engine);
    r->model = b->settings->shape ? b->settings->shape : b->opened.info.path;
    r->n_threads = b->plan.n_threads;
    r->read_gb_per_s = median(b->read, b->n_read);
    r->int8_tops = median(b->peaks, b->n_peaks);
    r->n_first_prompt = FIRST_PROMPT;
    r->weight_bytes = b->plan.weight_bytes;
    r->token_bytes = b->plan.token_bytes;
    r->rss_bytes = now > ring ? now - ring : 0;
    r->peak_rss_bytes = most > ring ? most - ring : 0;
    if (b->settings->json)
        return write_bench_json(r, err);
    if (b->settings->csv)
        write_bench_csv(r);
    else
        write_bench_table(r);
    return UPG_OK;
}

upg_status bench_command(const struct settings *settings, upg_error *err)
{
    struct bench b = {.settings = settings, .random = settings->seed};
    upg_status status;

    if (settings->kernels)
        return bench_kernels(settings, err);
    progress_begin(&b.progress, NULL, wants_progress(settings));
    status = upg_machine_new(&b.machine, (size_t)settings->n_threads, getenv("UPG_CPU"), err);
    if (status == UPG_OK)
        status = open_bench(&b, err);
    if (status == UPG_OK)
        status = run_tests(&b, err);
    progress_end(&b.progress);
    if (status == UPG_OK)
        status = write_report(&b, err);
    free(b.ids);
    free(b.read);
    free(b.peaks);
    free(b.report.results);
    upg_sequence_free(b.sequence);
    upg_machine_free(b.machine);
    opened_close(&b.opened);
    return status;
}
