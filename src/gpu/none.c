/* none.c -- a build without Vulkan's headers or a compiler of shaders: there is no GPU. */
#include "gpu/gpu.h"

#include "base/error.h"

upg_status upg_gpu_open(struct upg_gpu **gpu, const char *device, upg_error *err)
{
    (void)gpu;
    return upg_fail(err, UPG_ERR_UNSUPPORTED,
                    "device: %s was asked for, this upg was built without GPU support (it needs "
                    "Vulkan's headers and glslc); use device cpu",
                    device);
}

/* Without upg_gpu_open() nothing below is ever called with a GPU. */
void upg_gpu_close(struct upg_gpu *gpu)
{
    (void)gpu;
}

void upg_gpu_describe(const struct upg_gpu *gpu, char *text, size_t n_text)
{
    (void)gpu;
    if (n_text > 0)
        *text = '\0';
}

size_t upg_gpu_layers_with_room(const struct upg_gpu *gpu, const struct upg_backend_setup *setup)
{
    (void)gpu, (void)setup;
    return 0;
}

uint64_t upg_gpu_n_bytes(const struct upg_gpu *gpu)
{
    (void)gpu;
    return 0;
}

upg_status upg_gpu_backend(struct upg_backend *backend, struct upg_gpu *gpu,
                           const struct upg_backend_setup *setup, upg_error *err)
{
    (void)backend, (void)gpu, (void)setup;
    return upg_fail(err, UPG_ERR_INTERNAL, "device: there is no GPU in this build");
}
