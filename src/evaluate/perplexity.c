/* perplexity.c -- how well a model predicts a text, and how far it is from another model.
 *
 * The text is one row of tokens.  Windows of `context` input tokens start every `stride` tokens;
 * the last `stride` positions of a window (in the first window, all) predict the token behind them.
 * So every token but the first is predicted once, with at least context - stride tokens before it
 * (from the second window on). */
#include "engine/clock.h"
#include "engine/engine.h"
#include "engine/options.h"
#include "evaluate/distance.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define LOGITS_BYTES ((size_t)32 << 20) /* of one engine's buffer: rows are scored in pieces */

/* Rows of a piece double while one takes less than this, and halve when it takes four times as long:
 * then progress is told, and asked whether to stop, about once a second at the latest. */
static const double piece_seconds = 0.2;

/* One of the two models. */
struct side {
    upg_engine *engine; /* borrowed; NULL: no reference */
    upg_sequence *sequence;
    float *logits; /* [piece_rows, n_vocab] */
};

struct run {
    upg_evaluate_options options;
    struct side model, reference;
    upg_tokens tokens;
    size_t n_vocab, piece_rows; /* most rows of which there can be logits at once */
    size_t paced_rows;          /* of the next piece, at most: as piece_seconds says */
    size_t n_total;             /* predictions to make */
    struct upg_mean nll, ref_nll;
    double *divergences; /* [n_total], with a reference */
    size_t n_agree;
};

void upg_evaluate_options_defaults(upg_evaluate_options *options)
{
    *options = (upg_evaluate_options){.size = sizeof *options};
}

static upg_status complete_options(upg_evaluate_options *o, const upg_engine *engine,
                                   const upg_engine *reference, upg_error *err)
{
    const size_t most =
        reference && reference->context < engine->context ? reference->context : engine->context;

    if (!engine->model->tokenizer)
        return upg_fail(err, UPG_ERR_ARGUMENT, "%s: has no tokenizer, so it cannot read a text",
                        engine->model->path);
    if (o->context == 0)
        o->context = 512;
    if (o->stride == 0)
        o->stride = o->context > 1 ? o->context / 2 : 1;
    if (o->context > most)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "evaluate: windows of %zu tokens do not fit an engine with a context of "
                        "%zu; use a smaller window or a larger context",
                        o->context, most);
    if (o->stride > o->context)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "evaluate: a stride of %zu leaves tokens out between windows of %zu",
                        o->stride, o->context);
    if (reference && reference->model->config.n_vocab != engine->model->config.n_vocab)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "evaluate: %s has a vocabulary of %zu, %s of %zu; only models with the "
                        "same vocabulary can be compared",
                        engine->model->path, engine->model->config.n_vocab, reference->model->path,
                        reference->model->config.n_vocab);
    return UPG_OK;
}

static upg_status open_side(struct side *side, upg_engine *engine, const struct run *run,
                            upg_error *err)
{
    if (!engine)
        return UPG_OK;
    side->engine = engine;
    side->logits = upg_aligned_alloc(run->piece_rows * run->n_vocab, sizeof *side->logits);
    if (!side->logits)
        return upg_fail_memory(err, "logits", run->piece_rows * run->n_vocab * sizeof(float));
    return upg_sequence_new(&side->sequence, engine, err);
}

static void close_side(struct side *side)
{
    upg_sequence_free(side->sequence);
    free(side->logits);
}

static upg_status read_text(struct run *run, const char *text, size_t n_bytes, upg_error *err)
{
    const int flags = run->options.parse_special ? UPG_TEXT_PARSE_SPECIAL : UPG_TEXT_PLAIN;
    const size_t most = run->options.max_tokens;
    const upg_status status =
        upg_tokenize(run->model.engine->model->tokenizer, text, n_bytes, flags, &run->tokens, err);

    if (status != UPG_OK)
        return status;
    if (run->tokens.n < 2)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "evaluate: the text has %zu tokens, a prediction needs 2", run->tokens.n);
    run->n_total = run->tokens.n - 1;
    if (most > 0 && most < run->n_total)
        run->n_total = most;
    if (run->reference.engine) {
        run->divergences = calloc(run->n_total, sizeof *run->divergences);
        if (!run->divergences)
            return upg_fail_memory(err, "divergences", run->n_total * sizeof(double));
    }
    return UPG_OK;
}

/* Start a window of ids[n]. */
static void start_window(const struct side *side, const int32_t *ids, size_t n)
{
    if (!side->engine)
        return;
    upg_sequence_truncate(side->sequence, 0, NULL);
    for (size_t i = 0; i < n; i++)
        upg_sequence_push(side->sequence, ids[i]);
    upg_sequence_choose_rope(side->sequence); /* by the whole window */
}

/* The window's next n_rows tokens; their logits go to side->logits if is_scored. */
static upg_status run_rows(const struct side *side, size_t n_rows, bool is_scored, upg_error *err)
{
    const struct upg_share share = {
        .sequence = side->sequence, .n_rows = n_rows, .n_logits = is_scored ? n_rows : 0};

    return side->engine ? upg_engine_step(side->engine, &share, 1, side->logits, err) : UPG_OK;
}

/* Score n rows of logits, which predict ids[0 .. n). */
static upg_status score_rows(struct run *run, const int32_t *ids, size_t n, upg_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct upg_distribution p =
            upg_distribution_of(run->model.logits + i * run->n_vocab, run->n_vocab);
        const double surprise = upg_surprise(&p, (size_t)ids[i]);

        if (!isfinite(surprise))
            return upg_fail(err, UPG_ERR_FORMAT,
                            "%s: logits of prediction %zu are not finite; its weights are damaged",
                            run->model.engine->model->path, run->nll.n);
        if (run->reference.engine) {
            const struct upg_distribution r =
                upg_distribution_of(run->reference.logits + i * run->n_vocab, run->n_vocab);

            run->divergences[run->nll.n] = upg_divergence(&r, &p);
            run->n_agree += r.best == p.best;
            upg_mean_add(&run->ref_nll, upg_surprise(&r, (size_t)ids[i]));
        }
        upg_mean_add(&run->nll, surprise);
    }
    return UPG_OK;
}

/* Both models on the window's next n_rows tokens; sets the pace. */
static upg_status run_piece(struct run *run, size_t n_rows, bool is_scored, upg_error *err)
{
    const double start = upg_now_seconds();
    upg_status status = run_rows(&run->model, n_rows, is_scored, err);

    if (status == UPG_OK)
        status = run_rows(&run->reference, n_rows, is_scored, err);
    const double seconds = upg_now_seconds() - start;
    if (n_rows == run->paced_rows && seconds < piece_seconds && n_rows < UPG_MAX_ROWS)
        run->paced_rows *= 2;
    else if (seconds > 4 * piece_seconds && run->paced_rows > 1)
        run->paced_rows /= 2;
    return status;
}

/* Run the inputs [begin, end) of a window and score the predictions from position first on. */
static upg_status run_window(struct run *run, size_t begin, size_t first, size_t end,
                             upg_error *err)
{
    const int32_t *ids = run->tokens.ids;
    const upg_evaluate_options *o = &run->options;

    start_window(&run->model, ids + begin, end - begin);
    start_window(&run->reference, ids + begin, end - begin);
    for (size_t pos = begin, n; pos < end; pos += n) {
        const bool is_scored = pos >= first;
        const size_t left = (is_scored ? end : first) - pos;
        const size_t paced = run->paced_rows;
        const size_t most = is_scored && run->piece_rows < paced ? run->piece_rows : paced;
        upg_status status;

        n = left < most ? left : most;
        status = run_piece(run, n, is_scored, err);
        if (status == UPG_OK && is_scored)
            status = score_rows(run, ids + pos + 1, n, err);
        if (status != UPG_OK)
            return status;
        if (o->progress && o->progress(o->progress_context, "evaluate", run->nll.n, run->n_total))
            return upg_fail(err, UPG_ERR_CANCELLED, "cancelled after %zu of %zu predictions",
                            run->nll.n, run->n_total);
    }
    return UPG_OK;
}

static upg_status run_all(struct run *run, upg_error *err)
{
    const size_t context = run->options.context, stride = run->options.stride;

    for (size_t begin = 0; run->nll.n < run->n_total; begin += stride) {
        const size_t first = begin == 0 ? 0 : begin + context - stride;
        const size_t left = run->n_total - run->nll.n;
        const size_t window_end = begin + context;
        const size_t end = first + left < window_end ? first + left : window_end;
        const upg_status status = run_window(run, begin, first, end, err);

        if (status != UPG_OK)
            return status;
    }
    return UPG_OK;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void summarize(const struct run *run, upg_evaluation *result)
{
    const size_t n = run->nll.n;
    const double ppl = exp(run->nll.mean);
    struct upg_mean divergence = {0};

    *result = (upg_evaluation){.n_tokens = n,
                               .context = run->options.context,
                               .stride = run->options.stride,
                               .nll = run->nll.mean,
                               .ppl = ppl,
                               .ppl_stderr = ppl * upg_mean_stderr(&run->nll)};
    if (!run->reference.engine)
        return;
    for (size_t i = 0; i < n; i++)
        upg_mean_add(&divergence, run->divergences[i]);
    qsort(run->divergences, n, sizeof *run->divergences, compare_doubles);
    result->ref_nll = run->ref_nll.mean;
    result->ref_ppl = exp(run->ref_nll.mean);
    result->kld_mean = divergence.mean;
    result->kld_median = upg_quantile(run->divergences, n, 0.5);
    result->kld_p99 = upg_quantile(run->divergences, n, 0.99);
    result->top1_agreement = (double)run->n_agree / (double)n;
    result->retention = exp(run->ref_nll.mean - run->nll.mean);
}

upg_status upg_evaluate(upg_engine *engine, upg_engine *reference, const char *text, size_t n_bytes,
                        const upg_evaluate_options *options, upg_evaluation *result, upg_error *err)
{
    struct run run = {.model.engine = engine, .reference.engine = reference, .paced_rows = 32};
    upg_status status;

    upg_evaluate_options_defaults(&run.options);
    status = upg_options_read(&run.options, sizeof run.options, options,
                              "upg_evaluate_options_defaults", err);
    if (status == UPG_OK)
        status = complete_options(&run.options, engine, reference, err);
    if (status != UPG_OK)
        return status;
    run.n_vocab = engine->model->config.n_vocab;
    run.piece_rows = LOGITS_BYTES / (run.n_vocab * sizeof(float)) + 1;
    if (run.piece_rows > UPG_MAX_ROWS)
        run.piece_rows = UPG_MAX_ROWS;

    status = read_text(&run, text, n_bytes, err);
    if (status == UPG_OK)
        status = open_side(&run.model, engine, &run, err);
    if (status == UPG_OK)
        status = open_side(&run.reference, reference, &run, err);
    if (status == UPG_OK)
        status = run_all(&run, err);
    if (status == UPG_OK)
        summarize(&run, result);
    close_side(&run.model);
    close_side(&run.reference);
    upg_tokens_clear(&run.tokens);
    free(run.divergences);
    return status;
}
