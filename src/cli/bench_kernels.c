/* bench_kernels.c -- upg bench --kernels: every kernel of every tier against its plain form, and its
 * speed beside the machine's limits. */
#include "cli/bench_kernels.h"

#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/message.h"
#include "cli/output.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kernel_report {
    const struct settings *settings;
    json_t *array; /* NULL without --json, or when memory is out */
    size_t n_failures;
};

static void write_row(const upg_kernel_finding *f)
{
    printf("%-12s %-16s ", f->tier, f->kernel);
    if (!f->unit)
        printf("%s%s\n", f->failure ? "WRONG: " : "as scalar", f->failure ? f->failure : "");
    else if (isfinite(f->fraction))
        printf("%-22s %9.3f %-5s %5.1f %% %s\n", f->test, f->rate, f->unit, 100 * f->fraction,
               f->limit);
    else
        printf("%-22s %9.3f %s\n", f->test, f->rate, f->unit);
}

static void write_csv_row(const upg_kernel_finding *f)
{
    printf("%s,%s,\"%s\",", f->tier, f->kernel, f->test ? f->test : "");
    if (f->unit)
        printf(",%.4f,%s,", f->rate, f->unit);
    else
        printf("%s,,,", f->failure ? "false" : "true");
    if (isfinite(f->fraction))
        printf("%.4f", f->fraction);
    printf(",%s\n", f->limit);
}

static json_t *json_finding(const upg_kernel_finding *f)
{
    if (!f->unit)
        return json_pack("{s:s, s:s, s:b, s:o}", "tier", f->tier, "kernel", f->kernel, "ok",
                         f->failure == NULL, "failure", json_c_text(f->failure));
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:o, s:s}", "tier", f->tier, "kernel", f->kernel,
                     "test", f->test, "rate", json_number(f->rate), "unit", f->unit,
                     "fraction_of_limit", json_number(f->fraction), "limit", f->limit);
}

static int on_finding(void *context, const upg_kernel_finding *finding)
{
    struct kernel_report *report = context;

    report->n_failures += finding->failure != NULL;
    if (report->settings->json) {
        if (report->array && json_array_append_new(report->array, json_finding(finding)) != 0) {
            json_decref(report->array);
            report->array = NULL;
        }
        return interrupt_seen();
    }
    if (report->settings->csv)
        write_csv_row(finding);
    else
        write_row(finding);
    return !output_now("", 0) || interrupt_seen(); /* each as it comes */
}

upg_status bench_kernels(const struct settings *settings, upg_error *err)
{
    struct kernel_report report = {.settings = settings,
                                   .array = settings->json ? json_array() : NULL};
    upg_machine *machine;
    upg_status status =
        upg_machine_new(&machine, (size_t)settings->n_threads, getenv("UPG_CPU"), err);

    if (status == UPG_OK) {
        if (settings->csv)
            puts("tier,kernel,test,ok,rate,unit,fraction_of_limit,limit");
        status = upg_measure_kernels(machine, (size_t)settings->n_reps, settings->seed, on_finding,
                                     &report, err);
        upg_machine_free(machine);
    }
    if (status == UPG_OK && settings->json)
        status = json_write(report.array, JSON_INDENT(2), err);
    else
        json_decref(report.array);
    if (status == UPG_OK && report.n_failures > 0)
        status = fail(err, UPG_ERR_INTERNAL,
                      "%zu kernels differ from their plain form; report it, and use a lower tier "
                      "(UPG_CPU) until then",
                      report.n_failures);
    return status;
}
