/* gpu.c -- opening, describing and closing a GPU. */
#include "gpu/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

upg_status upg_gpu_open(struct upg_gpu **gpu, const char *device, upg_error *err)
{
    struct upg_gpu *g = calloc(1, sizeof *g);
    upg_status status;

    if (!g)
        return upg_fail_memory(err, "a GPU", sizeof *g);
    status = gpu_device_open(&g->device, device, err);
    if (status == UPG_OK) {
        g->programs =
            (struct gpu_programs){.gpu = &g->device, .tuning = gpu_tuning_of(&g->device.limits)};
        status = gpu_step_init(&g->step, &g->programs, err);
    }
    if (status != UPG_OK) {
        upg_gpu_close(g);
        return status;
    }
    *gpu = g;
    return UPG_OK;
}

void upg_gpu_close(struct upg_gpu *gpu)
{
    if (!gpu)
        return;
    gpu_buffer_free(&gpu->device, &gpu->upload);
    gpu_buffer_free(&gpu->device, &gpu->logits);
    gpu_buffer_free(&gpu->device, &gpu->readback);
    gpu_buffer_free(&gpu->device, &gpu->scratch.codes);
    gpu_buffer_free(&gpu->device, &gpu->scratch.scales);
    gpu_buffer_free(&gpu->device, &gpu->scratch.sums);
    gpu_buffer_free(&gpu->device, &gpu->scratch.decoded);
    gpu_buffer_free(&gpu->device, &gpu->scratch.partial);
    gpu_buffer_free(&gpu->device, &gpu->scratch.squares);
    for (size_t i = 0; i < gpu->n_activations; i++) {
        gpu_buffer_free(&gpu->device, &gpu->activations[i].buffer);
        munmap(gpu->activations[i].base, gpu->activations[i].n_bytes);
    }
    for (size_t i = 0; gpu->cache && i < gpu->setup.model->config.n_layers; i++)
        gpu_buffer_free(&gpu->device, &gpu->cache[i]);
    free(gpu->cache);
    free(gpu->decode_scratch);
    gpu_weights_clear(&gpu->weights);
    gpu_step_clear(&gpu->step);
    gpu_programs_clear(&gpu->programs);
    gpu_device_close(&gpu->device);
    free(gpu);
}

static const char *type_name(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return "graphics card";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return "integrated";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return "virtual";
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return "a processor that plays GPU";
    default: return "of an unknown kind";
    }
}

void upg_gpu_describe(const struct upg_gpu *gpu, char *text, size_t n_text)
{
    const struct gpu_limits *l = &gpu->device.limits;

    snprintf(text, n_text, "%s (%s, %.1f GB, Vulkan %u.%u, subgroups of %u%s%s)", l->name,
             type_name(l->type), 1e-9 * (double)l->local_bytes,
             VK_API_VERSION_MAJOR(l->api_version), VK_API_VERSION_MINOR(l->api_version),
             l->subgroup_size, l->has_dot ? ", int8 products" : "",
             l->has_half_matrix ? ", int8 and f16 matrices"
             : l->has_matrix    ? ", int8 matrices"
                                : "");
}

static uint64_t linear_bytes(const struct upg_linear *linear)
{
    uint64_t n_bytes = 0;

    for (size_t i = 0; i < linear->n_parts; i++)
        n_bytes += upg_matrix_stored_bytes(&linear->part[i]);
    return n_bytes;
}

size_t upg_gpu_layers_with_room(const struct upg_gpu *gpu, const struct upg_backend_setup *setup)
{
    const struct upg_model *model = setup->model;
    const struct upg_kv_cache *cache = setup->cache;
    const uint64_t n_free = gpu_free_bytes(&gpu->device);
    const uint64_t others = UINT64_C(500000000); /* a step's buffers, and what the driver takes */
    uint64_t n_bytes = linear_bytes(&model->head) + others;
    size_t n;

    for (n = 0; n < model->config.n_layers; n++) {
        const struct upg_layer *layer = &model->layers[model->config.n_layers - 1 - n];

        n_bytes += linear_bytes(&layer->qkv) + linear_bytes(&layer->o) +
                   linear_bytes(&layer->gate_up) + linear_bytes(&layer->down) +
                   cache->blocks.n_blocks * cache->block_bytes / model->config.n_layers;
        if (n + 1 == model->config.n_layers) /* all layers: the embedding goes along */
            n_bytes += upg_matrix_stored_bytes(&model->embedding);
        if (n_bytes > n_free)
            break;
    }
    return n;
}

uint64_t upg_gpu_n_bytes(const struct upg_gpu *gpu)
{
    return gpu->device.n_bytes;
}
