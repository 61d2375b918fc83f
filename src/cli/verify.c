/* verify.c -- upg verify: is every byte of a model file as it was written? */
#include "cli/commands.h"

#include "cli/json_output.h"
#include "cli/open.h"
#include "cli/progress.h"

#include <stdio.h>

/* {"file": ..., "ok": ..., "error": ...} also when there is damage; the exit status says it too. */
static upg_status write_document(const char *name, upg_status status, upg_error *err)
{
    const char *message = status == UPG_OK ? NULL : err->message;
    upg_error write_error;
    const upg_status written =
        json_write(json_pack("{s:o, s:b, s:o}", "file", json_c_text(name), "ok", status == UPG_OK,
                             "error", json_c_text(message)),
                   JSON_INDENT(2), &write_error);

    if (status == UPG_OK && written != UPG_OK)
        *err = write_error;
    return status == UPG_OK ? written : status;
}

upg_status verify_command(const struct settings *settings, upg_error *err)
{
    const char *name = settings->model ? settings->model : "(embedded)";
    struct progress progress;
    upg_model_options options;
    upg_status status;

    progress_begin(&progress, NULL, wants_progress(settings));
    upg_model_options_defaults(&options);
    options.progress = progress_update;
    options.progress_context = &progress;
    status = upg_verify(settings->model, &options, err);
    progress_end(&progress);
    if (settings->json && status != UPG_ERR_CANCELLED)
        return write_document(name, status, err);
    if (status == UPG_OK)
        printf("%s: intact\n", name);
    return status;
}
