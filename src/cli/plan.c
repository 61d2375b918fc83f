/* plan.c -- upg plan: what a model will take in memory, before anything is loaded. */
#include "cli/commands.h"

#include "cli/json_output.h"
#include "cli/message.h"
#include "cli/open.h"

#include <stdio.h>

static json_int_t json_bytes(uint64_t n)
{
    return (json_int_t)n;
}

static upg_status write_document(const char *name, const upg_memory_plan *plan, upg_error *err)
{
    return json_write(
        json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "model", json_c_text(name), "context",
                  json_bytes(plan->context), "threads", json_bytes(plan->n_threads), "weight_bytes",
                  json_bytes(plan->weight_bytes), "cache_bytes", json_bytes(plan->cache_bytes),
                  "scratch_bytes", json_bytes(plan->scratch_bytes), "total_bytes",
                  json_bytes(plan->total_bytes), "weight_bytes_per_token",
                  json_bytes(plan->token_bytes)),
        JSON_INDENT(2), err);
}

/* meaning NULL: there is nothing to explain. */
static void write_row(const char *what, uint64_t n_bytes, const char *meaning)
{
    printf("%-10s %15llu %9.2f GiB%s%s\n", what, (unsigned long long)n_bytes,
           (double)n_bytes / 1073741824.0, meaning ? "  " : "", meaning ? meaning : "");
}

static void write_table(const char *name, const upg_memory_plan *plan)
{
    printf("%s, %zu tokens of context, %zu threads\n\n", name, plan->context, plan->n_threads);
    printf("%-10s %15s\n", "", "bytes");
    write_row("weights", plan->weight_bytes, "the file, mapped: programs share it");
    write_row("cache", plan->cache_bytes, "keys and values of earlier tokens");
    write_row("scratch", plan->scratch_bytes, NULL);
    write_row("total", plan->total_bytes, NULL);
    write_row("a token", plan->token_bytes, "of weights that each new token reads");
}

/* The outline of a shape, or the model itself. */
static upg_status open_planned(struct opened *opened, const struct settings *settings,
                               upg_error *err)
{
    upg_synth_options shape;
    upg_status status;

    if (!settings->shape)
        return open_model(opened, settings->model, settings, err);
    if (settings->model)
        return fail(err, UPG_ERR_ARGUMENT, "--shape: %s is given already; give one of them",
                    settings->model);
    upg_synth_options_defaults(&shape);
    shape.shape = settings->shape;
    shape.n_layers = (size_t)settings->n_layers;
    shape.bits_per_weight = settings->bits_per_weight;
    status = upg_model_outline(&opened->model, &shape, err);
    if (status == UPG_OK)
        upg_model_get_info(opened->model, &opened->info);
    return status;
}

upg_status plan_command(const struct settings *settings, upg_error *err)
{
    struct opened opened = {0};
    upg_memory_plan plan;
    upg_status status = open_planned(&opened, settings, err);

    if (status == UPG_OK) {
        const upg_engine_options options =
            engine_options(&opened.info, (size_t)settings->context, settings);
        status = upg_engine_plan(opened.model, &options, &plan, err);
    }
    if (status == UPG_OK) {
        const char *name = settings->shape ? settings->shape : opened.info.path;
        if (settings->json)
            status = write_document(name, &plan, err);
        else
            write_table(name, &plan);
    }
    opened_close(&opened);
    return status;
}
