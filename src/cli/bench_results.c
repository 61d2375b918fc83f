/* bench_results.c -- a table for people, CSV and JSON for programs. */
#include "cli/bench_results.h"

#include "cli/json_output.h"

#include <math.h>
#include <stdio.h>

static double ms_per_token(const struct bench_result *result)
{
    return 1e3 / result->tokens_per_s;
}

static double gib(uint64_t n_bytes)
{
    return (double)n_bytes / 1073741824.0;
}

void write_bench_table(const struct bench_report *r)
{
    printf("%s: %.2f GiB, of which a token reads %.2f\n", r->model, gib(r->weight_bytes),
           gib(r->token_bytes));
    printf("%s, %zu threads, %s\n", r->cpu, r->n_threads, r->tier);
    printf("limits, measured between the tests: %.2f GB/s read, %.3f TOPS int8\n", r->read_gb_per_s,
           r->int8_tops);
    printf("loaded in %.3f s, first token of a %zu-token prompt after %.3f s; memory %.2f GiB, at "
           "most %.2f\n\n",
           r->load_seconds, r->n_first_prompt, r->first_token_seconds, gib(r->rss_bytes),
           gib(r->peak_rss_bytes));
    printf("%-16s %10s %8s %10s %10s   %s\n", "test", "tokens/s", "+-", "ms/token", "ms/layer",
           "of the limit");
    for (size_t i = 0; i < r->n_results; i++) {
        const struct bench_result *result = &r->results[i];

        printf("%-16s %10.2f %8.2f %10.3f %10.4f   ", result->test, result->tokens_per_s,
               result->stddev, ms_per_token(result), result->ms_per_layer);
        if (isfinite(result->fraction))
            printf("%.1f %% %s\n", 100 * result->fraction, result->limit);
        else
            printf("-\n");
    }
}

void write_bench_csv(const struct bench_report *r)
{
    puts("model,cpu,threads,tier,read_gb_s,int8_tops,test,tokens_per_second,stddev,ms_per_token,"
         "ms_per_layer,limit,fraction_of_limit");
    for (size_t i = 0; i < r->n_results; i++) {
        const struct bench_result *result = &r->results[i];

        printf("\"%s\",\"%s\",%zu,\"%s\",%.3f,%.4f,%s,%.4f,%.4f,%.4f,%.5f,%s,", r->model, r->cpu,
               r->n_threads, r->tier, r->read_gb_per_s, r->int8_tops, result->test,
               result->tokens_per_s, result->stddev, ms_per_token(result), result->ms_per_layer,
               result->limit);
        if (isfinite(result->fraction))
            printf("%.4f", result->fraction);
        putchar('\n');
    }
}

static json_t *json_results(const struct bench_report *r)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < r->n_results; i++) {
        const struct bench_result *result = &r->results[i];
        json_t *entry = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:s}", "test", result->test,
                                  "tokens_per_second", json_number(result->tokens_per_s), "stddev",
                                  json_number(result->stddev), "ms_per_token",
                                  json_number(ms_per_token(result)), "ms_per_layer",
                                  json_number(result->ms_per_layer), "fraction_of_limit",
                                  json_number(result->fraction), "limit", result->limit);

        if (json_array_append_new(array, entry) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

upg_status write_bench_json(const struct bench_report *r, upg_error *err)
{
    json_t *machine =
        json_pack("{s:o, s:I, s:o, s:o, s:o, s:n}", "cpu", json_c_text(r->cpu), "cores_used",
                  (json_int_t)r->n_threads, "tier", json_c_text(r->tier), "read_gb_s",
                  json_number(r->read_gb_per_s), "int8_tops", json_number(r->int8_tops), "gpu");

    return json_write(json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "machine",
                                machine, "model", json_c_text(r->model), "results", json_results(r),
                                "load_seconds", json_number(r->load_seconds), "first_token_seconds",
                                json_number(r->first_token_seconds), "first_prompt_tokens",
                                (json_int_t)r->n_first_prompt, "weight_bytes",
                                (json_int_t)r->weight_bytes, "weight_bytes_per_token",
                                (json_int_t)r->token_bytes, "rss_bytes", (json_int_t)r->rss_bytes,
                                "peak_rss_bytes", (json_int_t)r->peak_rss_bytes),
                      JSON_INDENT(2), err);
}
