/* device.h -- where an engine computes: the CPU, or a GPU. */
#ifndef UPG_ENGINE_DEVICE_H
#define UPG_ENGINE_DEVICE_H

#include "engine/backend.h"
#include "gpu/gpu.h"

/* Make the backend of a GPU if `device` says so.
 *   device        "cpu" or NULL; "gpu" and "gpu:N"; "auto": a GPU if there is one, a model worth it
 *                 and room for a layer, else *gpu stays NULL and nothing fails
 *   n_gpu_layers  of the model's layers, the last ones; UPG_GPU_LAYERS_THAT_FIT
 *   setup         receives first_layer
 *   gpu           receives the open device, the caller's to close; NULL: the CPU computes all
 *   why           receives a sentence that says what was chosen */
upg_status upg_device_backend(struct upg_gpu **gpu, struct upg_backend *backend, const char *device,
                              size_t n_gpu_layers, struct upg_backend_setup *setup, char *why,
                              size_t n_why, upg_error *err);

#endif
