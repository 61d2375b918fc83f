/* engine.c -- making an engine: everything that it needs is allocated here, once. */
#include "engine/engine.h"

#include "base/size.h"
#include "engine/backend_split.h"
#include "engine/device.h"
#include "engine/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_CONTEXT = 4096 };

void upg_engine_options_defaults(upg_engine_options *options)
{
    *options = (upg_engine_options){.size = sizeof *options, .gpu_layers = UPG_GPU_LAYERS_THAT_FIT};
}

size_t upg_default_context(const struct upg_model *model)
{
    return model->config.context < DEFAULT_CONTEXT ? model->config.context : DEFAULT_CONTEXT;
}

/* Fill in what 0 stands for and refuse what cannot be. */
static upg_status complete_options(upg_engine_options *o, const struct upg_model *model,
                                   upg_error *err)
{
    const struct upg_config *c = &model->config;

    if (o->context == 0)
        o->context = upg_default_context(model);
    if (o->context > c->context)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "context: %zu tokens asked for, %s was made for at most %zu", o->context,
                        model->path, c->context);
    if (o->cache_tokens == 0)
        o->cache_tokens = o->context;
    if (o->kv_type < UPG_KV_F16 || o->kv_type > UPG_KV_F32)
        return upg_fail(err, UPG_ERR_ARGUMENT, "kv_type: %d is none", (int)o->kv_type);
    if (o->compute != UPG_COMPUTE_FAST && o->compute != UPG_COMPUTE_REFERENCE)
        return upg_fail(err, UPG_ERR_ARGUMENT, "compute: %d is none", (int)o->compute);
    if (o->compute == UPG_COMPUTE_REFERENCE)
        o->kv_type = UPG_KV_F32;
    if (c->n_kv_heads == 0 || c->n_heads % c->n_kv_heads != 0)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: %zu query heads cannot share %zu key/value heads evenly", model->path,
                        c->n_heads, c->n_kv_heads);
    return UPG_OK;
}

static upg_status make_cache(upg_engine *e, const upg_engine_options *o, upg_error *err)
{
    const struct upg_config *c = &e->model->config;
    upg_status status = upg_kv_cache_init(&e->cache, o->kv_type, c->n_layers, c->n_kv_heads,
                                          c->head_dim, o->cache_tokens, &e->arena, err);

    for (size_t i = 0; status == UPG_OK && i < (c->long_rope.present ? 2 : 1); i++)
        status = upg_rope_init(&e->rope[i], c, i == 1, &e->arena, err);
    return status;
}

/* Weights are read before threads reach for them: see upg_file_map_load(). */
static upg_status load_weights(const upg_model *model, const upg_engine_options *o, upg_error *err)
{
    upg_status status = UPG_OK;

    for (size_t i = 0; i < model->n_maps && status == UPG_OK; i++)
        status = upg_file_map_load(&model->maps[i], o->progress, o->progress_context, err);
    return status;
}

static upg_status make_cpu(upg_engine *e, const upg_engine_options *o,
                           const struct upg_backend_setup *setup, struct upg_backend *backend,
                           upg_error *err)
{
    upg_status status = upg_kernels_init(&e->kernels, o->cpu_tier, e->tier, sizeof e->tier, err);

    if (status == UPG_OK)
        status = upg_pool_new(&e->pool, o->n_threads, err);
    if (status == UPG_OK)
        status = upg_backend_cpu(backend, setup, e->pool, &e->kernels, &e->arena, err);
    return status;
}

/* The layers that the GPU does not have on the CPU. */
static upg_status add_cpu(upg_engine *e, const upg_engine_options *o,
                          const struct upg_backend_setup *setup, struct upg_backend *backend,
                          upg_error *err)
{
    const struct upg_backend rest = *backend;
    struct upg_backend front;
    char gpu[sizeof e->tier], cpu[sizeof e->tier];
    upg_status status;

    memcpy(gpu, e->tier, sizeof gpu);
    status = make_cpu(e, o, setup, &front, err);
    if (status != UPG_OK)
        return status;
    memcpy(cpu, e->tier, sizeof cpu);
    snprintf(e->tier, sizeof e->tier, "%.160s; the others: %.80s", gpu, cpu);
    return upg_backend_split(backend, &front, &rest, e->model, setup->first_layer, &e->arena, err);
}

static upg_status make_backend(upg_engine *e, const upg_engine_options *o,
                               struct upg_backend *backend, upg_error *err)
{
    struct upg_backend_setup setup = {
        .model = e->model, .cache = &e->cache, .context = e->context, .max_rows = UPG_MAX_ROWS};
    upg_status status;

    if (o->compute == UPG_COMPUTE_REFERENCE) {
        if (o->device && strcmp(o->device, "cpu") != 0 && strcmp(o->device, "auto") != 0)
            return upg_fail(err, UPG_ERR_ARGUMENT,
                            "device: the reference computes on the CPU, %s was asked for",
                            o->device);
        snprintf(e->tier, sizeof e->tier, "reference (scalar float32, as asked for)");
        return upg_backend_reference(backend, &setup, &e->arena, err);
    }
    if (!e->arena.only_plans) {
        status = upg_device_backend(&e->gpu, backend, o->device, o->gpu_layers, &setup, e->tier,
                                    sizeof e->tier, err);
        if (status != UPG_OK || (e->gpu && setup.first_layer == 0))
            return status;
        status = load_weights(e->model, o, err);
        if (status != UPG_OK)
            return status;
    }
    if (e->gpu)
        return add_cpu(e, o, &setup, backend, err);
    return make_cpu(e, o, &setup, backend, err);
}

static upg_status make_rows(upg_engine *e, size_t max_rows, upg_error *err)
{
    e->max_rows = max_rows;
    e->chunk_rows = max_rows;
    e->rows = upg_arena_alloc(&e->arena, max_rows, sizeof *e->rows);
    e->wanted = upg_arena_alloc(&e->arena, max_rows, sizeof *e->wanted);
    if (!e->rows || !e->wanted)
        return upg_fail_memory(err, "the rows of a step", max_rows * sizeof *e->rows);
    return UPG_OK;
}

/* only_plans: an engine that is as large as asked for, and cannot be used. */
static upg_status make_engine(upg_engine **engine, const upg_model *model,
                              const upg_engine_options *options, bool only_plans, upg_error *err)
{
    upg_engine_options o;
    struct upg_backend backend;
    upg_engine *e = NULL;
    upg_status status;

    upg_engine_options_defaults(&o);
    status = upg_options_read(&o, sizeof o, options, "upg_engine_options_defaults", err);
    if (status == UPG_OK)
        status = complete_options(&o, model, err);
    if (status != UPG_OK)
        return status;

    e = calloc(1, sizeof *e);
    if (!e)
        return upg_fail_memory(err, "an engine", sizeof *e);
    e->model = model;
    e->context = o.context;
    e->arena.only_plans = only_plans;
    status = make_cache(e, &o, err);
    if (status == UPG_OK)
        status = make_backend(e, &o, &backend, err);
    if (status == UPG_OK)
        status = make_rows(e, backend.max_rows, err);
    if (status == UPG_OK)
        status = upg_forward_init(&e->forward, model, &backend, e->max_rows, &e->arena, err);
    if (status == UPG_OK)
        status = upg_engine_reserve_logits(e, 1, err);
    if (status != UPG_OK)
        goto failed;
    *engine = e;
    return UPG_OK;

failed:
    upg_engine_free(e);
    return status;
}

upg_status upg_engine_new(upg_engine **engine, const upg_model *model,
                          const upg_engine_options *options, upg_error *err)
{
    if (!model->embedding.data)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "%s: is an outline without weights; write it with upg_synth() first",
                        model->path);
    return make_engine(engine, model, options, false, err);
}

void upg_engine_free(upg_engine *engine)
{
    if (!engine)
        return;
    upg_pool_free(engine->pool);
    upg_gpu_close(engine->gpu);
    upg_arena_clear(&engine->arena);
    free(engine->logits);
    free(engine);
}

const char *upg_engine_tier(const upg_engine *engine)
{
    return engine->tier;
}

uint64_t upg_engine_n_bytes(const upg_engine *engine)
{
    const size_t logits_bytes =
        engine->logits_capacity * engine->model->config.n_vocab * sizeof(float);

    return sizeof *engine + engine->arena.n_bytes + logits_bytes;
}

static uint64_t linear_bytes(const struct upg_linear *linear)
{
    uint64_t n_bytes = 0;

    for (size_t i = 0; i < linear->n_parts; i++)
        n_bytes += upg_matrix_stored_bytes(&linear->part[i]);
    return n_bytes;
}

/* Weights that every token reads: all but the embedding. */
static uint64_t token_bytes(const struct upg_model *model)
{
    uint64_t n_bytes = linear_bytes(&model->head);

    for (size_t i = 0; i < model->config.n_layers; i++) {
        const struct upg_layer *layer = &model->layers[i];

        n_bytes += linear_bytes(&layer->qkv) + linear_bytes(&layer->o) +
                   linear_bytes(&layer->gate_up) + linear_bytes(&layer->down);
    }
    return n_bytes;
}

upg_status upg_engine_plan(const upg_model *model, const upg_engine_options *options,
                           upg_memory_plan *plan, upg_error *err)
{
    upg_engine *e;
    const upg_status status = make_engine(&e, model, options, true, err);

    if (status != UPG_OK)
        return status;
    *plan = (upg_memory_plan){.weight_bytes = model->n_file_bytes,
                              .cache_bytes = upg_kv_cache_n_bytes(&e->cache),
                              .token_bytes = token_bytes(model),
                              .context = e->context,
                              .n_threads = e->pool ? upg_pool_n_threads(e->pool) : 1};
    plan->scratch_bytes = upg_engine_n_bytes(e) - plan->cache_bytes;
    plan->total_bytes = plan->weight_bytes + plan->cache_bytes + plan->scratch_bytes;
    upg_engine_free(e);
    return UPG_OK;
}

upg_status upg_cpu_tier(const char *highest, char *text, size_t n_text, upg_error *err)
{
    struct upg_kernels kernels;

    return upg_kernels_init(&kernels, highest, text, n_text, err);
}
