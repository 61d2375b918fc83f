/* report.c -- numbers for people and programs. */
#include "compress/report.h"

#include "model/slots.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static void say(const upg_compress_options *options, const char *text)
{
    if (options->on_message)
        options->on_message(options->message_context, text, strlen(text));
}

static const char *kind_name(enum upg_slot_kind kind)
{
    static const char *const names[] = {"embedding", "qkv", "o", "gate, up", "down", "head"};

    return names[kind];
}

void upg_report_plan(const upg_compress_options *options, const struct upg_model *model,
                     const struct upg_plan *plan, uint64_t n_parameters)
{
    double bits[6] = {0}, weights[6] = {0};
    const bool is_large = plan->n_file_bytes >= (uint64_t)1 << 30;
    char line[256];

    snprintf(line, sizeof line, "plan: %.3f %s, %.3f bits a weight, ratio %.2f to float32\n",
             (double)plan->n_file_bytes / (is_large ? 0x1p30 : 0x1p20), is_large ? "GiB" : "MiB",
             8.0 * (double)plan->n_file_bytes / (double)n_parameters,
             4.0 * (double)n_parameters / (double)plan->n_file_bytes);
    say(options, line);
    for (size_t i = 0; i < plan->n_slots; i++) {
        const struct upg_slot slot = upg_slot_of(model, i);
        for (size_t part = 0; part < plan->slots[i].n_parts; part++) {
            const double n =
                (double)plan->slots[i].part[part].n_rows * (double)plan->slots[i].n_cols;
            weights[slot.kind] += n;
            bits[slot.kind] += n * plan->slots[i].part[part].k;
        }
    }
    for (size_t kind = 0; kind < 6; kind++)
        if (weights[kind] > 0.0) {
            snprintf(line, sizeof line, "plan: %-9s %8.1f M weights at %.2f bits\n",
                     kind_name((enum upg_slot_kind)kind), weights[kind] / 1e6,
                     bits[kind] / weights[kind]);
            say(options, line);
        }
    snprintf(line, sizeof line,
             "plan: predicted distance to the original: KL %.4f nats a token, before tuning\n",
             plan->predicted_kl);
    say(options, line);
}

void upg_report_spent(const upg_compress_options *options, size_t n_layers,
                      const struct upg_spent *spent)
{
    char line[128];

    snprintf(line, sizeof line,
             "layer %zu of %zu: %.3f bits a weight so far, %.4f of the weights' energy lost\n",
             spent->n_layers, n_layers, 8.0 * spent->bytes / spent->weights,
             spent->squared_error / spent->weights);
    say(options, line);
}

void upg_report_trial(const upg_compress_options *options, double original_nll, double trial_nll)
{
    const bool lost_much = trial_nll > original_nll + 1.0;
    char line[256];

    snprintf(line, sizeof line,
             "trial: held-out text has %.3f nats a token with the file, %.3f with the original%s\n",
             trial_nll, original_nll, lost_much ? "; that is much: ask for a larger file" : "");
    say(options, line);
}

json_t *upg_report_provenance(const upg_compress_options *options, json_t *sources,
                              const struct upg_calibration *calibration)
{
    char hash[20];

    snprintf(hash, sizeof hash, "%016" PRIx64, calibration->hash);
    return json_pack("{s:s, s:O, s:{s:s, s:s}, s:s, s:I}", "made_by", "upg compress", "sources",
                     sources, "calibration", "text", calibration->source, "xxh3", hash, "effort",
                     options->effort ? options->effort : "normal", "seed",
                     (json_int_t)options->seed);
}

static json_t *distance_to_json(const struct upg_distance *d)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "kld_mean", d->kld_mean, "kld_median",
                     d->kld_median, "kld_p99", d->kld_p99, "top1_agreement", d->top1_agreement,
                     "nll", d->nll, "ref_nll", d->ref_nll, "tokens", (json_int_t)d->n_tokens);
}

json_t *upg_report_quality(const struct upg_calibration *calibration, size_t n_windows,
                           const struct upg_distance *distance)
{
    json_t *quality = distance_to_json(distance);
    char text[128];

    snprintf(text, sizeof text, "%zu held-out windows of %zu tokens of %.80s", n_windows,
             calibration->window, calibration->source);
    if (quality && json_object_set_new(quality, "text", json_string(text)) != 0) {
        json_decref(quality);
        return NULL;
    }
    return quality;
}

static json_t *tensors_to_json(const struct upg_model *model, const struct upg_coded_map *maps)
{
    json_t *list = json_array();

    for (size_t i = 0; i < upg_n_slots(&model->config) && list; i++) {
        const struct upg_slot slot = upg_slot_of(model, i);
        for (size_t part = 0; part < maps[i].n_parts; part++) {
            const struct upg_coded_part *p = &maps[i].part[part];
            json_t *tensor = json_pack("{s:s, s:i, s:i, s:i, s:f, s:f}", "name", slot.name, "part",
                                       (int)part, "rows", (int)p->n_rows, "bits", p->k, "nmse",
                                       p->nmse, "proxy_loss", p->proxy_loss);
            if (json_array_append_new(list, tensor) != 0) {
                json_decref(list);
                return NULL;
            }
        }
    }
    return list;
}

static uint64_t peak_rss_bytes(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
#ifdef __APPLE__
    return (uint64_t)usage.ru_maxrss;
#else
    return (uint64_t)usage.ru_maxrss * 1024;
#endif
}

upg_status upg_report_json(char **report, const struct upg_model *model,
                           const struct upg_coded_map *maps,
                           const struct upg_report_numbers *numbers, upg_error *err)
{
    json_t *json =
        json_pack("{s:f, s:I, s:f, s:f, s:I, s:{s:f, s:f}, s:o}", "ratio",
                  4.0 * (double)numbers->n_parameters / (double)numbers->n_file_bytes, "file_bytes",
                  (json_int_t)numbers->n_file_bytes, "bits_per_weight",
                  8.0 * (double)numbers->n_file_bytes / (double)numbers->n_parameters, "seconds",
                  numbers->seconds, "peak_rss_bytes", (json_int_t)peak_rss_bytes(), "trial", "nll",
                  numbers->trial_nll, "original_nll", numbers->original_nll, "tensors",
                  tensors_to_json(model, maps));

    *report = NULL;
    if (json && json_object_set_new(json, "quality", distance_to_json(numbers->after)) == 0 &&
        (!numbers->before || json_object_set_new(json, "quality_before_tuning",
                                                 distance_to_json(numbers->before)) == 0))
        *report = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)); /* see upg_writer.c */
    json_decref(json);
    return *report ? UPG_OK : upg_fail_memory(err, "the report", 4096);
}
