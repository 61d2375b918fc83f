/* device.c -- the choice of CPU or GPU. */
#include "engine/device.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* Starting a GPU takes longer than a smaller model's whole answer on the CPU. */
static const uint64_t worthwhile_bytes = 256 * 1000 * 1000;

static upg_status open_backend(struct upg_gpu **gpu, struct upg_backend *backend,
                               const char *device, bool is_auto,
                               const struct upg_backend_setup *setup, upg_error *err)
{
    struct upg_gpu *opened;
    upg_status status = upg_gpu_open(&opened, device, err);

    if (status != UPG_OK)
        return status;
    if (is_auto && !upg_gpu_has_room(opened, setup))
        status = upg_fail(err, UPG_ERR_MEMORY, "the GPU is too small for %s", setup->model->path);
    if (status == UPG_OK)
        status = upg_gpu_backend(backend, opened, setup, err);
    if (status != UPG_OK)
        upg_gpu_close(opened);
    else
        *gpu = opened;
    return status;
}

upg_status upg_device_backend(struct upg_gpu **gpu, struct upg_backend *backend, const char *device,
                              const struct upg_backend_setup *setup, char *why, size_t n_why,
                              upg_error *err)
{
    const bool is_auto = device && !strcmp(device, "auto");
    upg_error failure = {.status = UPG_OK};
    upg_status status;

    *gpu = NULL;
    if (!device || !strcmp(device, "cpu") ||
        (is_auto && setup->model->n_file_bytes < worthwhile_bytes))
        return UPG_OK;
    status = open_backend(gpu, backend, is_auto ? "gpu" : device, is_auto, setup, &failure);
    if (status == UPG_OK)
        upg_gpu_describe(*gpu, why, n_why);
    else if (!is_auto)
        return upg_fail(err, status, "%s", failure.message);
    return UPG_OK;
}
