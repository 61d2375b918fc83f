/* bench_results.h -- what upg bench has measured, and its three forms. */
#ifndef UPG_CLI_BENCH_RESULTS_H
#define UPG_CLI_BENCH_RESULTS_H

#include "upg/upg.h"

/* One test: the mean over its repetitions. */
struct bench_result {
    char test[48]; /* "pp512", "pp512@d4096", "tg32@d0" */
    double tokens_per_s, stddev;
    double ms_per_layer; /* of a token, without the head */
    const char *limit;   /* "bandwidth", "int8", or "none" where none is known */
    double fraction;     /* of the limit, the median; measured beside each repetition */
};

struct bench_report {
    char cpu[256]; /* what it calls itself */
    const char *tier, *model;
    size_t n_threads;
    double read_gb_per_s, int8_tops; /* medians */
    double load_seconds;
    double first_token_seconds; /* with the load, for a prompt of n_first_prompt tokens */
    size_t n_first_prompt;
    uint64_t weight_bytes, token_bytes, rss_bytes, peak_rss_bytes;
    struct bench_result *results; /* [n_results] */
    size_t n_results;
};

void write_bench_table(const struct bench_report *report);
void write_bench_csv(const struct bench_report *report);
upg_status write_bench_json(const struct bench_report *report, upg_error *err);

#endif
