/* compress.c -- upg compress: a smaller model, and a report of what was lost. */
#include "cli/commands.h"

#include "cli/json_output.h"
#include "cli/message.h"
#include "cli/open.h"
#include "cli/progress.h"
#include "cli/pulled.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is said along the way; the bar makes room for it. */
struct listener {
    struct progress progress;
    bool quiet;
};

static int on_message(void *context, const char *text, size_t n_bytes)
{
    struct listener *listener = context;

    if (!listener->quiet) {
        progress_end(&listener->progress);
        fwrite(text, 1, n_bytes, stderr);
    }
    return 0;
}

static double number_of(const json_t *report, const char *key)
{
    return json_number_value(json_object_get(report, key));
}

/* The report in two lines. */
static void summarize(const char *path, const json_t *report)
{
    const json_t *quality = json_object_get(report, "quality");

    note("%s: %.0f bytes, %.3f bits a weight, 1/%.2f of float32; %.0f s, %.2f GB of memory", path,
         number_of(report, "file_bytes"), number_of(report, "bits_per_weight"),
         number_of(report, "ratio"), number_of(report, "seconds"),
         1e-9 * number_of(report, "peak_rss_bytes"));
    if (quality)
        note("distance to the original on text kept aside: KL %.4f nats a token, %.1f%% of the "
             "tokens the same",
             number_of(quality, "kld_mean"), 100 * number_of(quality, "top1_agreement"));
}

static upg_status write_report(const char *path, const char *text, const struct settings *settings,
                               upg_error *err)
{
    json_t *report = json_of_library(text);

    if (!report) /* it is JSON: the library made it */
        return fail_memory(err, "the report");
    if (settings->json)
        return json_write(report, JSON_INDENT(2), err);
    summarize(path, report);
    json_decref(report);
    return UPG_OK;
}

upg_status compress_command(const struct settings *settings, upg_error *err)
{
    static const char *const efforts[] = {"fast", "normal", "best"};
    const char *source = settings->operands[0], *destination = settings->operands[1];
    char *pulled = NULL;
    struct listener listener = {.quiet = settings->log_level == LOG_QUIET};
    upg_compress_options options;
    char *report = NULL;
    upg_status status;

    status = pull_source(&pulled, source, settings, err);
    if (status != UPG_OK)
        return status;
    upg_compress_options_defaults(&options);
    options.ratio = settings->ratio;
    options.bits_per_weight = settings->bits_per_weight;
    options.max_bytes = settings->max_bytes;
    options.effort = efforts[settings->effort];
    options.calibration = settings->calibration.texts;
    options.n_calibration = settings->calibration.n;
    options.tune_steps =
        settings->tune_steps == UINT64_MAX ? UPG_TUNE_AUTO : (size_t)settings->tune_steps;
    options.seed = settings->seed;
    options.n_threads = (size_t)settings->n_threads;
    options.on_message = on_message;
    options.message_context = &listener;
    options.progress = progress_update;
    options.progress_context = &listener.progress;
    progress_begin(&listener.progress, NULL, wants_progress(settings));
    status = upg_compress(pulled ? pulled : source, destination, &options, &report, err);
    progress_end(&listener.progress);
    if (status == UPG_OK)
        status = write_report(destination, report, settings, err);
    else if (status == UPG_ERR_CANCELLED)
        note("what is done is kept in %s.work; the same command goes on there", destination);
    upg_free(report);
    free(pulled);
    return status;
}
