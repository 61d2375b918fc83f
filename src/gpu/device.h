/* device.h -- an open GPU: queue, memory, the layout that all programs share. */
#ifndef UPG_GPU_DEVICE_H
#define UPG_GPU_DEVICE_H

#include "gpu/vulkan.h"

enum {
    GPU_MAX_RANGES = 10,    /* storage buffers of a program */
    GPU_MAX_CONSTANTS = 16, /* 32-bit push constants of a program */
    GPU_ALIGN = 256         /* of ranges of buffers: no device asks for more */
};

/* What of a device matters here. */
struct gpu_limits {
    char name[256];
    uint8_t cache_id[VK_UUID_SIZE]; /* of what this driver compiles for this device */
    uint32_t api_version;
    VkPhysicalDeviceType type;
    uint64_t local_bytes; /* the greatest heap of device memory, number local_heap */
    uint32_t local_heap;
    uint64_t max_range; /* bytes of a storage buffer that a program sees */
    uint32_t subgroup_size, shared_bytes, max_group;
    uint32_t n_cores;     /* multiprocessors; 16 where the driver does not tell */
    float timestamp_ns;   /* nanoseconds of a tick */
    bool has_clusters;    /* sums and maxima of 8 neighbouring threads */
    bool has_dot;         /* products of four int8 in one instruction */
    bool has_matrix;      /* int8 matrices of 16 x 32 times 32 x 16, in subgroups of 32 */
    bool has_half_matrix; /* and binary16 ones of 16 x 16, with sums in float32 */
};

struct gpu_device {
    struct vulkan vk;
    VkPhysicalDevice physical;
    VkPhysicalDeviceMemoryProperties memory;
    struct gpu_limits limits;
    VkDevice device;
    uint32_t queue_family;
    VkQueue queue;
    VkCommandPool commands;
    VkDescriptorSetLayout ranges;
    VkPipelineLayout layout;
    uint64_t n_bytes; /* allocated */
    bool is_lost;     /* nothing is waited for any more */
};

/* Memory of the device under one VkBuffer. */
struct gpu_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    uint64_t n_bytes;
    void *mapped; /* NULL if the host cannot see it */
};

/* Part of a buffer; offset is a multiple of GPU_ALIGN. */
struct gpu_range {
    VkBuffer buffer;
    uint64_t offset, n_bytes;
};

enum gpu_memory {
    GPU_LOCAL,   /* the device's own */
    GPU_UPLOAD,  /* written by the host, read by the device: the device's own if the host sees it */
    GPU_STAGING, /* the host's, written by it in order */
    GPU_READBACK /* the host's, read by it */
};

/* device: "gpu" (the best that is no CPU), "gpu:N" (number N of the driver's list).
 * UPG_ERR_ARGUMENT, UPG_ERR_UNSUPPORTED, UPG_ERR_MEMORY, UPG_ERR_IO; gpu is zeroed, close it
 * whatever is returned. */
upg_status gpu_device_open(struct gpu_device *gpu, const char *device, upg_error *err);
void gpu_device_close(struct gpu_device *gpu);

/* Bytes that this process may still allocate of the greatest heap, as far as the driver tells; else all
 * of it. */
uint64_t gpu_free_bytes(const struct gpu_device *gpu);

/* what: for the message when memory does not suffice. */
upg_status gpu_buffer_new(struct gpu_device *gpu, struct gpu_buffer *buffer, uint64_t n_bytes,
                          enum gpu_memory kind, const char *what, upg_error *err);
void gpu_buffer_free(struct gpu_device *gpu, struct gpu_buffer *buffer);

static inline struct gpu_range gpu_whole(const struct gpu_buffer *buffer)
{
    return (struct gpu_range){buffer->buffer, 0, buffer->n_bytes};
}

/* Submit a command buffer and wait for it. */
upg_status gpu_submit(struct gpu_device *gpu, VkCommandBuffer commands, VkFence fence,
                      upg_error *err);

#endif
