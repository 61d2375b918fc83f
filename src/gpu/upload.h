/* upload.h -- filling device memory through a staging buffer. */
#ifndef UPG_GPU_UPLOAD_H
#define UPG_GPU_UPLOAD_H

#include "gpu/device.h"

/* Ranges are cut from a buffer one after the other.  With buffer NULL they are only counted: the
 * same code first measures a buffer and then fills it. */
struct gpu_upload {
    struct gpu_device *gpu;
    struct gpu_buffer staging;
    VkCommandBuffer commands;
    VkFence fence;
    struct gpu_buffer *buffer; /* that is filled; NULL: measuring */
    uint64_t used;             /* bytes of it, a multiple of GPU_ALIGN */
    uint64_t written, sent;    /* of the current range: in staging or sent, and sent */
    upg_error failure;         /* the first */
};

/* upload is zeroed; clear it whatever is returned. */
upg_status gpu_upload_init(struct gpu_upload *upload, struct gpu_device *gpu, upg_error *err);
void gpu_upload_clear(struct gpu_upload *upload);

/* Begin filling a buffer, or measuring one (NULL). */
void gpu_upload_begin(struct gpu_upload *upload, struct gpu_buffer *buffer);

/* The next n_bytes of the current range, to be written at once; n_bytes <= 1 MiB.  NULL while
 * measuring and after a failure. */
void *gpu_upload_bytes(struct gpu_upload *upload, uint64_t n_bytes);

/* End a range. */
struct gpu_range gpu_upload_range(struct gpu_upload *upload);

/* n_bytes of memory as a range of its own. */
struct gpu_range gpu_upload_copy(struct gpu_upload *upload, const void *from, uint64_t n_bytes);

#endif
