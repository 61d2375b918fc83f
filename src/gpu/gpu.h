/* gpu.h -- the Vulkan backend, as the engine sees it. */
#ifndef UPG_GPU_GPU_H
#define UPG_GPU_GPU_H

#include "engine/backend.h"

struct upg_gpu; /* an open device and, after upg_gpu_backend(), a model in its memory */

/* device: "gpu" (the best device that is no CPU) or "gpu:N" (number N of the driver's list).
 * UPG_ERR_ARGUMENT for other names and numbers, UPG_ERR_UNSUPPORTED without a driver or a device
 * that can do it, UPG_ERR_MEMORY, UPG_ERR_IO.  The caller closes it. */
upg_status upg_gpu_open(struct upg_gpu **gpu, const char *device, upg_error *err);
void upg_gpu_close(struct upg_gpu *gpu); /* NULL is allowed */

/* "NVIDIA H100 (gpu, 80.0 GB, Vulkan 1.3, subgroups of 32, int8 products)", cut to n_text bytes. */
void upg_gpu_describe(const struct upg_gpu *gpu, char *text, size_t n_text);

/* How many layers, the last ones, of the setup's model go into the device's free memory with the head,
 * their part of the cache and buffers, roughly; 0: the head alone may, or not even that. */
size_t upg_gpu_layers_with_room(const struct upg_gpu *gpu, const struct upg_backend_setup *setup);

/* Bytes of device memory in use. */
uint64_t upg_gpu_n_bytes(const struct upg_gpu *gpu);

/* Load the weights of the setup's layers and fill in the backend, once for a device; it lives as long
 * as the device is open.  These layers' parts of the cache's blocks are from then on in the device's
 * memory, in forms of its own.
 * UPG_ERR_UNSUPPORTED for shapes and types that it cannot do, UPG_ERR_MEMORY, UPG_ERR_IO. */
upg_status upg_gpu_backend(struct upg_backend *backend, struct upg_gpu *gpu,
                           const struct upg_backend_setup *setup, upg_error *err);

#endif
