/* device.c -- the choice of CPU or GPU, or of how much on which. */
#include "engine/device.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* Starting a GPU takes longer than a smaller model's whole answer on the CPU. */
static const uint64_t worthwhile_bytes = 256 * 1000 * 1000;

static upg_status choose_layers(const struct upg_gpu *gpu, bool is_auto, size_t n_gpu_layers,
                                struct upg_backend_setup *setup, upg_error *err)
{
    const size_t n_layers = setup->model->config.n_layers;

    if (n_gpu_layers == UPG_GPU_LAYERS_THAT_FIT) {
        n_gpu_layers = upg_gpu_layers_with_room(gpu, setup);
        if (is_auto && n_gpu_layers == 0)
            return upg_fail(err, UPG_ERR_MEMORY, "the GPU is too small for %s", setup->model->path);
    }
    setup->first_layer = n_gpu_layers < n_layers ? n_layers - n_gpu_layers : 0;
    return UPG_OK;
}

static upg_status open_backend(struct upg_gpu **gpu, struct upg_backend *backend,
                               const char *device, bool is_auto, size_t n_gpu_layers,
                               struct upg_backend_setup *setup, upg_error *err)
{
    struct upg_gpu *opened;
    upg_status status = upg_gpu_open(&opened, device, err);

    if (status != UPG_OK)
        return status;
    status = choose_layers(opened, is_auto, n_gpu_layers, setup, err);
    if (status == UPG_OK)
        status = upg_gpu_backend(backend, opened, setup, err);
    if (status != UPG_OK)
        upg_gpu_close(opened);
    else
        *gpu = opened;
    return status;
}

static void describe(const struct upg_gpu *gpu, const struct upg_backend_setup *setup, char *why,
                     size_t n_why)
{
    const size_t n_layers = setup->model->config.n_layers, n = n_layers - setup->first_layer;
    int n_text = 0;

    if (n < n_layers)
        n_text = snprintf(why, n_why, "%zu of %zu layers and the head on ", n, n_layers);
    upg_gpu_describe(gpu, why + n_text, n_why - (size_t)n_text);
}

upg_status upg_device_backend(struct upg_gpu **gpu, struct upg_backend *backend, const char *device,
                              size_t n_gpu_layers, struct upg_backend_setup *setup, char *why,
                              size_t n_why, upg_error *err)
{
    const bool is_auto = device && !strcmp(device, "auto");
    upg_error failure = {.status = UPG_OK};
    upg_status status;

    *gpu = NULL;
    if (!device || !strcmp(device, "cpu") ||
        (is_auto && setup->model->n_file_bytes < worthwhile_bytes))
        return UPG_OK;
    status = open_backend(gpu, backend, is_auto ? "gpu" : device, is_auto, n_gpu_layers, setup,
                          &failure);
    if (status == UPG_OK)
        describe(*gpu, setup, why, n_why);
    else if (!is_auto)
        return upg_fail(err, status, "%s", failure.message);
    else
        setup->first_layer = 0;
    return UPG_OK;
}
