/* metrics.c -- counters in the text format of Prometheus (exposition format 0.0.4). */
#include "server/metrics.h"

#include "server/exchange.h"
#include "server/handlers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const endpoint_names[N_COUNTED_ENDPOINTS] = {
    "other", "chat", "completions", "responses", "embeddings", "tokenize", "detokenize"};

/* The statuses that this server gives; the last stands for all others. */
static const int statuses[N_COUNTED_STATUSES] = {200, 204, 400, 401, 403, 404,
                                                 405, 413, 415, 503, 0,   500};

static size_t endpoint_index(enum endpoint endpoint)
{
    size_t i = 0;

    while (i + 1 < N_COUNTED_ENDPOINTS && endpoint != 0 && ((unsigned)endpoint & (1U << i)) == 0)
        i++;
    return endpoint == 0 ? 0 : i + 1;
}

void metrics_count_exchange(struct metrics *metrics, enum endpoint endpoint, int status,
                            double seconds)
{
    const size_t e = endpoint_index(endpoint);
    size_t s = 0;

    while (s + 1 < N_COUNTED_STATUSES && statuses[s] != status)
        s++;
    atomic_fetch_add(&metrics->exchanges[e][s], 1);
    atomic_fetch_add(&metrics->microseconds[e], (uint_fast64_t)(1e6 * seconds));
}

static void write_value(struct text_buffer *out, const char *name, const char *type,
                        const char *help, double value)
{
    text_buffer_print(out, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name,
                      value);
}

static void write_histogram(struct text_buffer *out, const char *name, const char *help,
                            const upg_histogram *histogram)
{
    uint64_t sum = 0;

    text_buffer_print(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
    for (size_t i = 0; i < UPG_HISTOGRAM_BUCKETS; i++) {
        const double bound = upg_histogram_bound(i);
        sum += histogram->count[i];
        if (isfinite(bound))
            text_buffer_print(out, "%s_bucket{le=\"%g\"} %llu\n", name, bound,
                              (unsigned long long)sum);
    }
    text_buffer_print(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.17g\n%s_count %llu\n", name,
                      (unsigned long long)sum, name, histogram->sum, name, (unsigned long long)sum);
}

static void write_exchanges(struct text_buffer *out, struct metrics *metrics)
{
    text_buffer_add_text(out,
                         "# HELP upg_http_requests_total HTTP requests by endpoint and status; "
                         "status 0: the client left before it was answered.\n"
                         "# TYPE upg_http_requests_total counter\n");
    for (size_t e = 0; e < N_COUNTED_ENDPOINTS; e++)
        for (size_t s = 0; s < N_COUNTED_STATUSES; s++) {
            const unsigned long long n = atomic_load(&metrics->exchanges[e][s]);
            if (n > 0)
                text_buffer_print(out,
                                  "upg_http_requests_total{endpoint=\"%s\",status=\"%d\"} %llu\n",
                                  endpoint_names[e], statuses[s], n);
        }
    text_buffer_add_text(out, "# HELP upg_http_seconds_total Time that HTTP requests took.\n"
                              "# TYPE upg_http_seconds_total counter\n");
    for (size_t e = 0; e < N_COUNTED_ENDPOINTS; e++)
        text_buffer_print(out, "upg_http_seconds_total{endpoint=\"%s\"} %.6f\n", endpoint_names[e],
                          1e-6 * (double)atomic_load(&metrics->microseconds[e]));
}

/* Bytes of memory in use that no file backs; 0 where the system does not tell. */
static double private_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r"); /* pages: "total resident shared ..." */
    char line[256], *end = line;
    unsigned long long resident, shared;

    if (!file)
        return 0;
    if (!fgets(line, sizeof line, file))
        line[0] = '\0';
    fclose(file);
    strtoull(line, &end, 10);
    resident = strtoull(end, &end, 10);
    shared = strtoull(end, &end, 10);
    return resident > shared ? (double)(resident - shared) * (double)sysconf(_SC_PAGESIZE) : 0;
}

static void write_finished(struct text_buffer *out, const upg_scheduler_stats *stats)
{
    static const char *const reasons[] = {"stop", "length", "cancelled", "failed"};

    text_buffer_add_text(out, "# HELP upg_requests_finished_total Answers by how they ended.\n"
                              "# TYPE upg_requests_finished_total counter\n");
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        text_buffer_print(out, "upg_requests_finished_total{reason=\"%s\"} %llu\n", reasons[i],
                          (unsigned long long)stats->n_finished[i]);
}

static void write_gauges(struct text_buffer *out, const upg_scheduler_stats *stats)
{
    const char *gauge = "gauge";

    write_value(out, "upg_requests_waiting", gauge, "Answers that wait for their turn.",
                (double)stats->n_waiting);
    write_value(out, "upg_requests_running", gauge, "Answers in the model.",
                (double)stats->n_running);
    write_value(out, "upg_kv_blocks", gauge, "Blocks of the KV cache.", (double)stats->n_blocks);
    write_value(out, "upg_kv_blocks_used", gauge, "Blocks used by running answers.",
                (double)stats->n_blocks_used);
    write_value(out, "upg_kv_blocks_cached", gauge, "Blocks held for the prefix cache alone.",
                (double)stats->n_blocks_cached);
    write_value(out, "upg_kv_block_tokens", gauge, "Tokens of a block.",
                (double)stats->block_tokens);
    write_value(out, "upg_engine_bytes", gauge, "Memory of caches and buffers.",
                (double)stats->n_bytes);
    write_value(out, "upg_step_age_seconds", gauge, "Time since the last step of the model ended.",
                stats->step_age_seconds);
    write_value(out, "upg_private_memory_bytes", gauge, "Memory that no file backs.",
                private_bytes());
}

static void write_counters(struct text_buffer *out, const upg_scheduler_stats *stats)
{
    const struct {
        const char *name, *help;
        uint64_t value;
    } counters[] = {
        {"upg_requests_submitted_total", "Answers begun.", stats->n_submitted},
        {"upg_requests_refused_total", "Answers refused because too many waited.",
         stats->n_refused},
        {"upg_prompt_tokens_total", "Tokens of prompts.", stats->n_prompt_tokens},
        {"upg_cached_tokens_total", "Tokens of prompts found in the prefix cache.",
         stats->n_cached_tokens},
        {"upg_generated_tokens_total", "Tokens of answers.", stats->n_tokens},
        {"upg_drafted_tokens_total", "Tokens that speculation proposed.", stats->n_drafted},
        {"upg_accepted_tokens_total", "Proposed tokens that were right.", stats->n_accepted},
        {"upg_preemptions_total", "Times that an answer gave its blocks to an older one.",
         stats->n_preemptions},
        {"upg_kv_blocks_evicted_total", "Blocks that the prefix cache gave up.",
         stats->n_blocks_evicted},
        {"upg_steps_total", "Steps of the model.", stats->n_steps},
        {"upg_rows_total", "Tokens computed in steps.", stats->n_rows},
        {"upg_batch_total", "Answers in steps; over upg_steps_total, the mean batch.",
         stats->n_batch},
    };

    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        write_value(out, counters[i].name, "counter", counters[i].help, (double)counters[i].value);
}

bool handle_metrics(struct exchange *exchange, struct api_error *error)
{
    struct server *server = exchange->server;
    upg_scheduler_stats stats = {.size = sizeof stats};
    struct text_buffer out = {0};

    (void)error;
    upg_scheduler_get_stats(server->scheduler, &stats);
    write_exchanges(&out, &server->metrics);
    write_value(&out, "upg_http_requests_open", "gauge", "HTTP requests in work, this one too.",
                (double)atomic_load(&server->n_exchanges));
    write_gauges(&out, &stats);
    write_counters(&out, &stats);
    write_finished(&out, &stats);
    write_histogram(&out, "upg_wait_seconds", "From submission to the first part of the prompt.",
                    &stats.wait);
    write_histogram(&out, "upg_time_to_first_token_seconds", "From submission.",
                    &stats.first_token);
    write_histogram(&out, "upg_time_between_tokens_seconds", "Of running answers.",
                    &stats.between_tokens);
    write_histogram(&out, "upg_request_seconds", "From submission to the end.", &stats.request);
    write_histogram(&out, "upg_step_seconds", "Of the model.", &stats.step);
    return reply_text(exchange, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &out);
}
