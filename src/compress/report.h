/* report.h -- what compressing tells: the plan as text, provenance, quality and report as JSON. */
#ifndef UPG_COMPRESS_REPORT_H
#define UPG_COMPRESS_REPORT_H

#include "compress/layers.h"
#include "compress/plan.h"
#include "compress/tune.h"

#include <jansson.h>

/* A few lines to options->on_message: size, bits by kind of matrix, predicted distance. */
void upg_report_plan(const upg_compress_options *options, const struct upg_model *model,
                     const struct upg_plan *plan, uint64_t n_parameters);

/* A line about what a layer and those before it have cost. */
void upg_report_spent(const upg_compress_options *options, size_t n_layers,
                      const struct upg_spent *spent);

/* A line about the finished file's first text, with a word of warning if it lost much. */
void upg_report_trial(const upg_compress_options *options, double original_nll, double trial_nll);

/* JSON objects for the file, NULL when out of memory; the caller owns them. */
json_t *upg_report_provenance(const upg_compress_options *options, json_t *sources,
                              const struct upg_calibration *calibration);
json_t *upg_report_quality(const struct upg_calibration *calibration, size_t n_windows,
                           const struct upg_distance *distance);

struct upg_report_numbers {
    uint64_t n_file_bytes, n_parameters;
    double seconds;
    double original_nll, trial_nll; /* original and finished file on a held window, nats a token */
    const struct upg_distance *before, *after; /* tuning; before is NULL if there was none */
};

/* The whole report as a C string that the caller frees. */
upg_status upg_report_json(char **report, const struct upg_model *model,
                           const struct upg_coded_map *maps,
                           const struct upg_report_numbers *numbers, upg_error *err);

#endif
