/* pull.c -- upg pull: download a model from a hub. */
#include "cli/pulled.h"

#include "pull/pull.h"

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/message.h"
#include "cli/open.h"
#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static upg_status pull_named(const char *name, const struct pull_options *options,
                             const struct settings *settings, struct pull_result *result,
                             upg_error *err)
{
    struct pull_options shown = *options;
    struct progress progress;
    upg_status status;

    shown.progress = progress_update;
    shown.progress_context = &progress;
    progress_begin(&progress, name, wants_progress(settings));
    status = pull_repository(name, &shown, result, err);
    progress_end(&progress);
    if (status == UPG_OK)
        note("%s: %zu files, %.3f GB, of which %.3f GB were downloaded", name, result->n_files,
             1e-9 * (double)result->n_bytes, 1e-9 * (double)result->n_downloaded);
    return status;
}

upg_status pull_source(char **folder, const char *source, const struct settings *settings,
                       upg_error *err)
{
    struct pull_options options = {0};
    struct pull_result result = {0};
    upg_status status;

    *folder = NULL;
    if (access(source, F_OK) == 0 || !pull_is_name(source))
        return UPG_OK;
    status = pull_named(source, &options, settings, &result, err);
    *folder = result.folder;
    return status;
}

upg_status pull_command(const struct settings *settings, upg_error *err)
{
    const double start = seconds_now();
    struct pull_options options = {.revision = settings->revision,
                                   .files = settings->operands + 1,
                                   .n_files = settings->n_operands - 1};
    struct pull_result result = {0};
    upg_status status = pull_named(settings->operands[0], &options, settings, &result, err);

    if (status != UPG_OK)
        return status;
    if (settings->json)
        status = json_write(
            json_pack("{s:o, s:I, s:I, s:I, s:o}", "folder", json_c_text(result.folder), "files",
                      (json_int_t)result.n_files, "bytes", (json_int_t)result.n_bytes,
                      "downloaded_bytes", (json_int_t)result.n_downloaded, "seconds",
                      json_number(seconds_now() - start)),
            JSON_INDENT(2), err);
    else
        puts(result.folder);
    free(result.folder);
    return status;
}
