/* compress.c -- upg_compress(): measure, plan, encode layer by layer, tune, write, check.
 *
 * Each map is encoded for the inputs that it will really see: calibration rows go through the maps
 * that are compressed already, within a layer too.  The rows of all windows are held at four places
 * (x, heads, y, act); everything else of a layer exists for one batch of windows at a time. */
#include "base/atomic_file.h"
#include "compress/layers.h"
#include "compress/plan.h"
#include "compress/report.h"
#include "compress/sensitivity.h"
#include "compress/trial.h"
#include "compress/tune.h"

#include "compress/gemm.h"
#include "model/check.h"
#include "model/slots.h"
#include "model/upg_writer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>

enum {
    WINDOW = 512,
    HELD_WINDOWS = 8,
    GIANT = 1000 * 1000 * 1000, /* weights from which tuning and long calibration cost too much */
    METADATA_RESERVE = 4096     /* bytes of the file for provenance and quality */
};

struct compression {
    const upg_compress_options *options;
    const char *source, *destination;
    struct upg_model *model;
    struct upg_pool *pool;
    struct upg_calibration calibration;
    json_t *sources; /* hashes of the files */
    struct upg_plan plan;
    struct upg_layers layers;
    struct upg_model outline; /* what the writer is told; shares config and tokenizer */
    struct upg_arena arena;
    struct upg_distance before, after; /* tuning; the same without it */
    size_t tune_steps;
    double original_nll, trial_nll; /* of the first held window */
    double seconds;
};

void upg_compress_options_defaults(upg_compress_options *options)
{
    *options =
        (upg_compress_options){.size = sizeof *options, .tune_steps = UPG_TUNE_AUTO, .seed = 1};
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static upg_model_info info_of(const struct compression *c)
{
    upg_model_info info;

    upg_model_get_info(c->model, &info);
    return info;
}

static const char *effort_name(const struct compression *c)
{
    return c->options->effort ? c->options->effort : "normal";
}

static size_t by_effort(const struct compression *c, size_t fast, size_t normal, size_t best)
{
    const char *name = effort_name(c);

    return strcmp(name, "fast") == 0 ? fast : strcmp(name, "best") == 0 ? best : normal;
}

/* ---- Before the work: everything that can be wrong is found here ---- */

static upg_status check_options(const struct compression *c, upg_error *err)
{
    const upg_compress_options *o = c->options;
    const int n_sizes = (o->ratio > 0.0) + (o->bits_per_weight > 0.0) + (o->max_bytes > 0);

    if (n_sizes > 1)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "size: give one of ratio, bits a weight and bytes, not several");
    if (!(o->ratio >= 0.0) || !(o->bits_per_weight >= 0.0))
        return upg_fail(err, UPG_ERR_ARGUMENT, "size: must be a positive number");
    if (!upg_effort_of(effort_name(c)))
        return upg_fail(err, UPG_ERR_ARGUMENT, "effort: '%s' is not one of fast, normal, best",
                        effort_name(c));
    return UPG_OK;
}

static upg_status check_source(const struct compression *c, upg_error *err)
{
    for (size_t i = 0; i < upg_n_slots(&c->model->config); i++) {
        const struct upg_slot slot = upg_slot_of(c->model, i);
        for (size_t part = 0; part < upg_slot_n_parts(&slot); part++)
            if (slot.parts[part].type == UPG_TYPE_PACKED)
                return upg_fail(err, UPG_ERR_ARGUMENT,
                                "%s: %s: is compressed already; compress the original model",
                                c->source, slot.name);
    }
    return UPG_OK;
}

static uint64_t max_bytes(const struct compression *c)
{
    const upg_compress_options *o = c->options;
    const double weights = (double)info_of(c).n_parameters;

    if (o->max_bytes)
        return o->max_bytes;
    if (o->bits_per_weight > 0.0)
        return (uint64_t)(weights * o->bits_per_weight / 8.0);
    return (uint64_t)(weights * 4.0 / (o->ratio > 0.0 ? o->ratio : 10.0));
}

/* Everything that the codes depend on. */
static uint64_t fingerprint(const struct compression *c)
{
    const uint64_t numbers[] = {c->calibration.hash, c->calibration.n_windows, c->options->seed,
                                max_bytes(c), c->layers.n_windows};
    char *sources = json_dumps(c->sources, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t hash = XXH3_64bits(numbers, sizeof numbers);

    if (sources)
        hash ^= XXH3_64bits_withSeed(sources, strlen(sources), hash);
    free(sources);
    hash ^= XXH3_64bits_withSeed(effort_name(c), strlen(effort_name(c)), hash);
    return XXH3_64bits_withSeed(upg_version(), strlen(upg_version()), hash);
}

static size_t n_calibration_windows(const struct compression *c)
{
    const size_t available = c->calibration.n_windows - HELD_WINDOWS;
    const bool giant = info_of(c).n_parameters > GIANT;
    size_t tokens = c->options->calibration_tokens;

    if (tokens == 0)
        tokens = giant ? by_effort(c, 4096, 8192, 16384) : by_effort(c, 16384, 65536, 131072);
    tokens = tokens < WINDOW ? WINDOW : tokens;
    return tokens / WINDOW < available ? tokens / WINDOW : available;
}

static upg_status prepare(struct compression *c, upg_error *err)
{
    const upg_model_options model_options = {.size = sizeof model_options,
                                             .progress = c->options->progress,
                                             .progress_context = c->options->progress_context};
    upg_status status = check_options(c, err);

    upg_gemm_init(UPG_GEMM_BFLOAT16);
    if (status == UPG_OK)
        status = upg_model_open(&c->model, c->source, &model_options, err);
    if (status == UPG_OK)
        status = check_source(c, err);
    if (status == UPG_OK)
        status = upg_model_check_values(c->model, true, err);
    if (status == UPG_OK)
        status = upg_pool_new(&c->pool, upg_gemm_threads(c->options->n_threads), err);
    if (status == UPG_OK)
        status = upg_calibration_open(&c->calibration, c->model->tokenizer, c->options->calibration,
                                      c->options->n_calibration, WINDOW, HELD_WINDOWS,
                                      c->options->seed, err);
    if (status == UPG_OK)
        status = upg_model_sources(c->model, &c->sources, &model_options, err);
    return status;
}

/* ---- The plan ---- */

/* A model that has the shapes, types and seeds of the file to be, and norms to be tuned. */
static upg_status make_outline(struct compression *c, upg_error *err)
{
    const struct upg_config *config = &c->model->config;

    c->outline = (struct upg_model){.config = *config,
                                    .tokenizer = c->model->tokenizer,
                                    .stop_ids = c->model->stop_ids,
                                    .format = "upg",
                                    .path = c->destination};
    c->outline.layers = upg_arena_alloc(&c->arena, config->n_layers, sizeof *c->outline.layers);
    if (!c->outline.layers)
        return upg_fail_memory(err, "the plan", config->n_layers * sizeof *c->outline.layers);
    for (size_t i = 0; i < upg_n_norms(config); i++) {
        const struct upg_norm from = upg_norm_of(c->model, i), to = upg_norm_of(&c->outline, i);
        float *copy = upg_arena_alloc(&c->arena, config->d_model, sizeof *copy);
        if (!copy)
            return upg_fail_memory(err, "norms", config->d_model * sizeof *copy);
        memcpy(copy, *from.values, config->d_model * sizeof *copy);
        *to.values = copy;
    }
    return UPG_OK;
}

/* Matrices of the outline as the plan has them. */
static void outline_plan(struct compression *c, const struct upg_plan *plan)
{
    for (size_t i = 0; i < plan->n_slots; i++) {
        const struct upg_slot slot = upg_slot_of(&c->outline, i);
        const struct upg_coded_map map = upg_plan_map(plan, i, c->options->seed);
        for (size_t part = 0; part < map.n_parts; part++)
            slot.parts[part] = upg_coded_part_matrix(&map, part);
        if (slot.linear) {
            slot.linear->n_parts = map.n_parts;
            slot.linear->n_rows = slot.n_rows;
            slot.linear->n_cols = slot.n_cols;
        }
    }
    if (c->outline.config.tied_embeddings) {
        c->outline.head.n_parts = 1;
        c->outline.head.part[0] = c->outline.embedding;
        c->outline.head.n_rows = c->outline.config.n_vocab;
        c->outline.head.n_cols = c->outline.config.d_model;
    }
}

/* Bytes of the file besides codes: what the writer says of a plan, less the codes. */
static upg_status measure_fixed_bytes(struct compression *c, uint64_t *fixed, upg_error *err)
{
    struct upg_writer *writer;
    struct upg_plan start;
    upg_status status = upg_plan_start(&start, c->model, 4, err);

    if (status != UPG_OK)
        return status;
    outline_plan(c, &start);
    status = upg_writer_open(&writer, c->destination, &c->outline, METADATA_RESERVE, err);
    if (status == UPG_OK) {
        *fixed = upg_writer_n_bytes(writer) - upg_plan_code_bytes(&start);
        upg_writer_discard(writer);
    }
    upg_plan_clear(&start);
    return status;
}

static float *copy_floats(struct upg_arena *arena, const float *from, size_t n, upg_error *err)
{
    float *copy = upg_arena_alloc(arena, n, sizeof *copy);

    if (copy)
        memcpy(copy, from, n * sizeof *copy);
    else
        upg_fail_memory(err, "what was measured", n * sizeof *copy);
    return copy;
}

static upg_status make_plan(struct compression *c, upg_error *err)
{
    const size_t d = c->model->config.d_model;
    const size_t n_windows = info_of(c).n_parameters > GIANT ? 2 : HELD_WINDOWS;
    struct upg_sensitivity sensitivity;
    uint64_t fixed = 0;
    upg_status status = measure_fixed_bytes(c, &fixed, err);

    if (status == UPG_OK)
        status = upg_sensitivity_measure(&sensitivity, c->pool, c->model, c->calibration.ids,
                                         n_windows, WINDOW, c->options->seed, c->options->progress,
                                         c->options->progress_context, err);
    if (status != UPG_OK)
        return status;
    status = upg_plan_make(&c->plan, c->model, &sensitivity, fixed, max_bytes(c), err);
    if (status == UPG_OK && c->model->config.tied_embeddings) {
        c->layers.tied_hessian = copy_floats(&c->arena, sensitivity.head_hessian, d * d, err);
        status = c->layers.tied_hessian ? UPG_OK : UPG_ERR_MEMORY;
    }
    if (status == UPG_OK) {
        c->layers.held = (struct upg_held_windows){
            .ids = c->calibration.ids,
            .n_windows = n_windows,
            .hidden = copy_floats(&c->arena, sensitivity.hidden, n_windows * WINDOW * d, err)};
        status = c->layers.held.hidden ? UPG_OK : UPG_ERR_MEMORY;
    }
    c->original_nll = sensitivity.nll;
    upg_sensitivity_clear(&sensitivity);
    if (status == UPG_OK) {
        outline_plan(c, &c->plan);
        upg_report_plan(c->options, c->model, &c->plan, info_of(c).n_parameters);
    }
    return status;
}

/* ---- Encoding, tuning, writing ---- */

static void tell_spent(void *context, const struct upg_spent *spent)
{
    const struct compression *c = context;

    upg_report_spent(c->options, c->model->config.n_layers, spent);
}

static upg_status encode(struct compression *c, upg_error *err)
{
    upg_status status = upg_store_open(&c->layers.store, c->destination, fingerprint(c), err);

    if (status != UPG_OK)
        return status;
    c->layers.maps = upg_arena_alloc(&c->arena, c->plan.n_slots, sizeof *c->layers.maps);
    if (!c->layers.maps)
        return upg_fail_memory(err, "maps", c->plan.n_slots * sizeof *c->layers.maps);
    for (size_t i = 0; i < c->plan.n_slots; i++)
        c->layers.maps[i] = upg_plan_map(&c->plan, i, c->options->seed);
    c->layers.keep = c->tune_steps > 0;
    c->layers.ids = c->calibration.ids + HELD_WINDOWS * WINDOW;
    c->layers.on_layer = tell_spent;
    c->layers.layer_context = c;
    status = upg_layers_encode(&c->layers, c->pool, c->model, upg_effort_of(effort_name(c)),
                               c->options->progress, c->options->progress_context, err);
    c->before = c->after = c->layers.held.distance;
    return status;
}

static upg_status tune(struct compression *c, upg_error *err)
{
    const size_t n_norms = upg_n_norms(&c->model->config);
    float **norms = upg_arena_alloc(&c->arena, n_norms, sizeof *norms);
    struct upg_student student = {c->model, c->layers.maps, norms};
    const struct upg_tune_options options = {.n_steps = c->tune_steps,
                                             .windows_per_step = 8,
                                             .learning_rate = 1e-3,
                                             .progress = c->options->progress,
                                             .progress_context = c->options->progress_context};

    if (!norms)
        return upg_fail_memory(err, "norms", n_norms * sizeof *norms);
    for (size_t i = 0; i < n_norms; i++)
        norms[i] = (float *)(uintptr_t)*upg_norm_of(&c->outline, i).values;
    return upg_tune(c->pool, &student, &c->calibration, &options, &c->after, err);
}

static upg_status write_slot(struct compression *c, struct upg_writer *writer, size_t slot,
                             upg_error *err)
{
    struct upg_coded_map *map = &c->layers.maps[slot];
    upg_status status = upg_layers_load(&c->layers, slot, err);

    for (size_t i = 0; i < map->n_parts && status == UPG_OK; i++) {
        const struct upg_matrix matrix = upg_coded_part_matrix(map, i);
        status = upg_writer_matrix(writer, &matrix, err);
    }
    if (!c->layers.keep)
        upg_coded_map_clear(map);
    return status;
}

static upg_status write_file(struct compression *c, upg_error *err)
{
    json_t *provenance = upg_report_provenance(c->options, c->sources, &c->calibration);
    json_t *quality = upg_report_quality(&c->calibration, c->layers.held.n_windows, &c->after);
    struct upg_writer *writer = NULL;
    upg_status status = UPG_OK;

    if (!provenance || !quality)
        status = upg_fail_memory(err, "metadata", METADATA_RESERVE);
    if (status == UPG_OK)
        status =
            upg_writer_open(&writer, c->layers.store.finished, &c->outline, METADATA_RESERVE, err);
    for (size_t i = 0; i < c->plan.n_slots && status == UPG_OK; i++)
        status = write_slot(c, writer, i, err);
    if (status == UPG_OK)
        status = upg_writer_commit(writer, provenance, quality, err);
    else
        upg_writer_discard(writer);
    json_decref(provenance);
    json_decref(quality);
    return status;
}

/* A file that every command can read gets the name that was asked for. */
static upg_status check_file(struct compression *c, upg_error *err)
{
    const char *file = c->layers.store.finished;
    upg_status status = upg_verify(file, NULL, err);

    if (status == UPG_OK)
        status = upg_trial_run(file, c->calibration.ids, WINDOW, c->options->n_threads,
                               &c->trial_nll, err);
    if (status == UPG_OK)
        status = upg_rename_file(file, c->destination, err);
    return status;
}

static uint64_t file_bytes(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

static void clear(struct compression *c)
{
    if (c->layers.maps)
        for (size_t i = 0; i < c->plan.n_slots; i++)
            upg_coded_map_clear(&c->layers.maps[i]);
    upg_store_close(&c->layers.store);
    upg_plan_clear(&c->plan);
    upg_calibration_clear(&c->calibration);
    json_decref(c->sources);
    upg_pool_free(c->pool);
    upg_model_free(c->model);
    upg_arena_clear(&c->arena);
}

upg_status upg_compress(const char *source, const char *destination,
                        const upg_compress_options *options, char **report, upg_error *err)
{
    upg_compress_options defaults;
    struct compression c = {.source = source, .destination = destination};
    const double begin = now();
    upg_status status;

    upg_compress_options_defaults(&defaults);
    c.options = options ? options : &defaults;
    status = prepare(&c, err);
    if (status == UPG_OK) {
        const bool giant = info_of(&c).n_parameters > GIANT;
        c.tune_steps = c.options->tune_steps != UPG_TUNE_AUTO ? c.options->tune_steps
                       : giant                                ? 0
                                                              : by_effort(&c, 0, 60, 300);
        c.layers.n_windows = n_calibration_windows(&c);
        c.layers.window = WINDOW;
        c.layers.fit = !giant;
        status = make_outline(&c, err);
    }
    if (status == UPG_OK)
        status = make_plan(&c, err);
    if (status == UPG_OK)
        status = encode(&c, err);
    if (status == UPG_OK && c.tune_steps > 0)
        status = tune(&c, err);
    if (status == UPG_OK)
        status = write_file(&c, err);
    if (status == UPG_OK)
        status = check_file(&c, err);
    if (status == UPG_OK) {
        c.seconds = now() - begin;
        upg_report_trial(c.options, c.original_nll, c.trial_nll);
        upg_store_remove(&c.layers.store, c.plan.n_slots);
        if (report) {
            const struct upg_report_numbers numbers = {.n_file_bytes = file_bytes(destination),
                                                       .n_parameters = info_of(&c).n_parameters,
                                                       .seconds = c.seconds,
                                                       .trial_nll = c.trial_nll,
                                                       .original_nll = c.original_nll,
                                                       .before =
                                                           c.tune_steps > 0 ? &c.before : NULL,
                                                       .after = &c.after};
            status = upg_report_json(report, c.model, c.layers.maps, &numbers, err);
        }
    }
    clear(&c);
    return status;
}
