/* export.c -- upg export: a model for other programs. */
#include "cli/commands.h"

#include "cli/json_output.h"
#include "cli/message.h"
#include "cli/open.h"
#include "cli/progress.h"

upg_status export_command(const struct settings *settings, upg_error *err)
{
    const char *destination = settings->operands[0];
    const bool is_gguf = settings->format == UPG_EXPORT_GGUF;
    const double start = seconds_now();
    struct progress progress;
    upg_export_options options;
    upg_status status;

    upg_export_options_defaults(&options);
    options.format = (upg_export_format)settings->format;
    options.n_threads = (size_t)settings->n_threads;
    options.progress = progress_update;
    options.progress_context = &progress;
    progress_begin(&progress, NULL, wants_progress(settings));
    status = upg_export(settings->model, destination, &options, err);
    progress_end(&progress);
    if (status == UPG_OK && settings->json)
        return json_write(json_pack("{s:o, s:s, s:o}", "file", json_c_text(destination), "format",
                                    is_gguf ? "gguf" : "hf", "seconds",
                                    json_number(seconds_now() - start)),
                          JSON_INDENT(2), err);
    if (status == UPG_OK)
        note("%s: written in %.1f s", destination, seconds_now() - start);
    return status;
}
