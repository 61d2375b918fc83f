/* synth.c -- upg synth: a model of random weights. */
#include "cli/commands.h"

#include "cli/json_output.h"
#include "cli/message.h"
#include "cli/open.h"
#include "cli/progress.h"

upg_status synth_command(const struct settings *settings, upg_error *err)
{
    const char *destination = settings->operands[0];
    const double start = seconds_now();
    struct progress progress;
    upg_synth_options options;
    upg_status status;

    upg_synth_options_defaults(&options);
    options.shape = settings->shape;
    options.format = (upg_synth_format)settings->format;
    options.n_layers = (size_t)settings->n_layers;
    options.bits_per_weight = settings->bits_per_weight;
    options.seed = settings->seed;
    options.n_threads = (size_t)settings->n_threads;
    options.progress = progress_update;
    options.progress_context = &progress;
    progress_begin(&progress, NULL, wants_progress(settings));
    status = upg_synth(destination, &options, err);
    progress_end(&progress);
    if (status == UPG_OK && settings->json)
        return json_write(json_pack("{s:o, s:o, s:I, s:o}", "file", json_c_text(destination),
                                    "shape", json_c_text(settings->shape), "seed",
                                    (json_int_t)settings->seed, "seconds",
                                    json_number(seconds_now() - start)),
                          JSON_INDENT(2), err);
    if (status == UPG_OK)
        note("%s: written in %.1f s", destination, seconds_now() - start);
    return status;
}
