/* open.c -- opening models and engines. */
#include "cli/open.h"

#include "cli/message.h"
#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_CONTEXT = 4096 }; /* a cache for more is large, and few need it */

bool wants_progress(const struct settings *settings)
{
    return !settings->json && settings->log_level != LOG_QUIET;
}

upg_status open_model(struct opened *opened, const char *path, const struct settings *settings,
                      upg_error *err)
{
    const double start = seconds_now();
    struct progress progress;
    upg_model_options options;
    upg_status status;

    progress_begin(&progress, NULL, wants_progress(settings));
    upg_model_options_defaults(&options);
    options.progress = progress_update;
    options.progress_context = &progress;
    status = upg_model_open(&opened->model, path, &options, err);
    progress_end(&progress);
    if (status != UPG_OK)
        return status;
    upg_model_get_info(opened->model, &opened->info);
    opened->load_seconds += seconds_now() - start;
    return UPG_OK;
}

upg_engine_options engine_options(const upg_model_info *info, size_t context,
                                  const struct settings *settings)
{
    upg_engine_options options;

    if (context == 0)
        context = info->context < DEFAULT_CONTEXT ? info->context : DEFAULT_CONTEXT;
    upg_engine_options_defaults(&options);
    options.n_threads = (size_t)settings->n_threads;
    options.context = context;
    options.kv_type = (upg_kv_type)settings->kv_type;
    options.compute = (upg_compute)settings->compute;
    options.cpu_tier = getenv("UPG_CPU");
    options.device = settings->device;
    options.gpu_layers = (size_t)settings->gpu_layers;
    return options;
}

upg_status open_engine(struct opened *opened, size_t context, const struct settings *settings,
                       upg_error *err)
{
    const double start = seconds_now();
    upg_engine_options options = engine_options(&opened->info, context, settings);
    struct progress progress;
    upg_status status;

    progress_begin(&progress, NULL, wants_progress(settings));
    options.progress = progress_update;
    options.progress_context = &progress;
    status = upg_engine_new(&opened->engine, opened->model, &options, err);
    progress_end(&progress);
    if (status != UPG_OK)
        return status;
    opened->context = options.context;
    opened->load_seconds += seconds_now() - start;
    if (settings->log_level == LOG_VERBOSE)
        note("%s, %.1f million weights; instructions: %s; context: %zu tokens, %.1f MB of memory",
             opened->info.path, 1e-6 * (double)opened->info.n_parameters,
             upg_engine_tier(opened->engine), options.context,
             1e-6 * (double)upg_engine_n_bytes(opened->engine));
    return UPG_OK;
}

upg_status require_tokenizer(const struct opened *opened, const upg_tokenizer **tokenizer,
                             upg_error *err)
{
    *tokenizer = upg_model_tokenizer(opened->model);
    if (!*tokenizer)
        return fail(err, UPG_ERR_FORMAT,
                    "%s: has no tokenizer; put its tokenizer.json into the directory",
                    opened->info.path);
    return UPG_OK;
}

void opened_close(struct opened *opened)
{
    upg_engine_free(opened->engine);
    upg_model_free(opened->model);
    memset(opened, 0, sizeof *opened);
}
