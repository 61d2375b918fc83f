/* eval.c -- upg eval: perplexity of texts, and the distance to another model. */
#include "cli/commands.h"

#include "cli/input.h"
#include "cli/json_output.h"
#include "cli/message.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"

#include <stdbool.h>
#include <string.h>

enum { DEFAULT_WINDOW = 512 };

/* The window's tokens: as asked for, else 512 or what the model was made for. */
static size_t window_of(const struct opened *opened, const struct settings *settings)
{
    const size_t of_model = opened->info.context;

    if (settings->context > 0)
        return (size_t)settings->context;
    return of_model < DEFAULT_WINDOW ? of_model : DEFAULT_WINDOW;
}

static upg_status evaluate_file(upg_evaluation *result, const char *path,
                                const struct opened *opened, const struct opened *reference,
                                const struct settings *settings, upg_error *err)
{
    const char *slash = strrchr(path, '/');
    struct text text = {0};
    struct progress progress;
    upg_evaluate_options options;
    upg_status status = text_read(&text, path, err);

    if (status != UPG_OK)
        return status;
    progress_begin(&progress, slash ? slash + 1 : path, wants_progress(settings));
    upg_evaluate_options_defaults(&options);
    options.context = window_of(opened, settings);
    options.stride = (size_t)settings->stride;
    options.max_tokens = (size_t)settings->max_tokens;
    options.parse_special = settings->parse_special;
    options.progress = progress_update;
    options.progress_context = &progress;
    status =
        upg_evaluate(opened->engine, reference->engine, text.bytes, text.n, &options, result, err);
    progress_end(&progress);
    if (status != UPG_OK && status != UPG_ERR_CANCELLED)
        add_context(err, path);
    text_clear(&text);
    return status;
}

static json_t *json_evaluation(const char *path, const upg_evaluation *result, bool has_reference)
{
    json_t *object =
        json_pack("{s:o, s:I, s:I, s:I, s:o, s:o, s:o}", "file", json_c_text(path), "tokens",
                  (json_int_t)result->n_tokens, "context", (json_int_t)result->context, "stride",
                  (json_int_t)result->stride, "nll", json_number(result->nll), "ppl",
                  json_number(result->ppl), "ppl_stderr", json_number(result->ppl_stderr));
    json_t *distance;

    if (!object || !has_reference)
        return object;
    distance = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "ref_nll", json_number(result->ref_nll), "ref_ppl",
        json_number(result->ref_ppl), "kld_mean", json_number(result->kld_mean), "kld_median",
        json_number(result->kld_median), "kld_p99", json_number(result->kld_p99), "top1_agreement",
        json_number(result->top1_agreement), "retention", json_number(result->retention));
    if (json_object_update_new(object, distance) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static void print_heading(int width, bool has_reference)
{
    printf("%-*s %9s %9s %10s %9s", width, "file", "tokens", "nll", "ppl", "+-");
    if (has_reference)
        printf(" %10s %9s %9s %9s %8s %9s", "ref ppl", "kld mean", "median", "99 %", "top-1",
               "retention");
    putchar('\n');
}

static void print_evaluation(int width, const char *path, const upg_evaluation *r,
                             bool has_reference)
{
    printf("%-*s %9zu %9.5f %10.4f %9.4f", width, path, r->n_tokens, r->nll, r->ppl, r->ppl_stderr);
    if (has_reference)
        printf(" %10.4f %9.5f %9.5f %9.5f %7.2f%% %9.4f", r->ref_ppl, r->kld_mean, r->kld_median,
               r->kld_p99, 100 * r->top1_agreement, r->retention);
    putchar('\n');
}

static int file_column_width(const struct settings *settings)
{
    size_t width = strlen("file");

    for (size_t i = 0; i < settings->n_operands; i++)
        if (strlen(settings->operands[i]) > width)
            width = strlen(settings->operands[i]);
    return width < 60 ? (int)width : 60;
}

/* One row, or one JSON object, a file. */
static upg_status evaluate_files(const struct opened *opened, const struct opened *reference,
                                 const struct settings *settings, upg_error *err)
{
    const int width = file_column_width(settings);
    const bool has_reference = reference->engine != NULL;
    json_t *array = json_array();
    upg_status status = UPG_OK;

    for (size_t i = 0; status == UPG_OK && i < settings->n_operands; i++) {
        const char *path = settings->operands[i];
        upg_evaluation result = {0};

        status = evaluate_file(&result, path, opened, reference, settings, err);
        if (status != UPG_OK)
            break;
        if (!settings->json) {
            if (i == 0)
                print_heading(width, has_reference);
            print_evaluation(width, path, &result, has_reference);
            if (!output_now("", 0)) /* main() reports it */
                break;
        } else if (json_array_append_new(array, json_evaluation(path, &result, has_reference)) !=
                   0) {
            status = fail_memory(err, "the JSON document");
        }
    }
    if (status == UPG_OK && settings->json)
        return json_write(array, JSON_INDENT(2), err);
    json_decref(array);
    return status;
}

upg_status eval_command(const struct settings *settings, upg_error *err)
{
    struct opened opened = {0}, reference = {0};
    upg_status status = open_model(&opened, settings->model, settings, err);

    if (status == UPG_OK)
        status = open_engine(&opened, window_of(&opened, settings), settings, err);
    if (status == UPG_OK && settings->reference_model)
        status = open_model(&reference, settings->reference_model, settings, err);
    if (status == UPG_OK && settings->reference_model)
        status = open_engine(&reference, window_of(&opened, settings), settings, err);
    if (status == UPG_OK)
        status = evaluate_files(&opened, &reference, settings, err);
    opened_close(&reference);
    opened_close(&opened);
    return status;
}
