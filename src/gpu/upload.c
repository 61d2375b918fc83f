/* upload.c -- staging: the host writes a part, the device copies it, and so on. */
#include "gpu/upload.h"

#include <string.h>

enum { STAGING_BYTES = 32 << 20, PIECE_BYTES = 1 << 20 };

upg_status gpu_upload_init(struct gpu_upload *upload, struct gpu_device *gpu, upg_error *err)
{
    const VkCommandBufferAllocateInfo info = {.sType =
                                                  VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = gpu->commands,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = 1};
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkResult result;

    upload->gpu = gpu;
    result = gpu->vk.vkAllocateCommandBuffers(gpu->device, &info, &upload->commands);
    if (result == VK_SUCCESS)
        result = gpu->vk.vkCreateFence(gpu->device, &fence, NULL, &upload->fence);
    if (result != VK_SUCCESS)
        return vulkan_fail(err, result, "preparing the upload");
    return gpu_buffer_new(gpu, &upload->staging, STAGING_BYTES, GPU_STAGING, "the staging buffer",
                          err);
}

void gpu_upload_clear(struct gpu_upload *upload)
{
    if (!upload->gpu)
        return;
    if (upload->fence)
        upload->gpu->vk.vkDestroyFence(upload->gpu->device, upload->fence, NULL);
    gpu_buffer_free(upload->gpu, &upload->staging);
}

void gpu_upload_begin(struct gpu_upload *upload, struct gpu_buffer *buffer)
{
    upload->buffer = buffer;
    upload->used = upload->written = upload->sent = 0;
}

/* Send what is in the staging buffer. */
static void send(struct gpu_upload *upload)
{
    const struct gpu_device *gpu = upload->gpu;
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    const VkBufferCopy region = {0, upload->used + upload->sent, upload->written - upload->sent};
    VkResult result;

    if (region.size == 0 || upload->failure.status != UPG_OK)
        return;
    result = gpu->vk.vkBeginCommandBuffer(upload->commands, &begin);
    if (result == VK_SUCCESS) {
        gpu->vk.vkCmdCopyBuffer(upload->commands, upload->staging.buffer, upload->buffer->buffer, 1,
                                &region);
        result = gpu->vk.vkEndCommandBuffer(upload->commands);
    }
    if (result != VK_SUCCESS)
        vulkan_fail(&upload->failure, result, "uploading weights");
    else
        gpu_submit(upload->gpu, upload->commands, upload->fence, &upload->failure);
    upload->sent = upload->written;
}

void *gpu_upload_bytes(struct gpu_upload *upload, uint64_t n_bytes)
{
    uint8_t *at;

    if (!upload->buffer || upload->failure.status != UPG_OK) {
        upload->written += n_bytes;
        return NULL;
    }
    if (upload->written - upload->sent + n_bytes > STAGING_BYTES)
        send(upload);
    at = (uint8_t *)upload->staging.mapped + (upload->written - upload->sent);
    upload->written += n_bytes;
    return at;
}

struct gpu_range gpu_upload_range(struct gpu_upload *upload)
{
    struct gpu_range range = {.offset = upload->used, .n_bytes = upload->written};

    if (upload->buffer) {
        range.buffer = upload->buffer->buffer;
        send(upload);
    }
    upload->used += (upload->written + GPU_ALIGN - 1) / GPU_ALIGN * GPU_ALIGN;
    upload->written = upload->sent = 0;
    return range;
}

struct gpu_range gpu_upload_copy(struct gpu_upload *upload, const void *from, uint64_t n_bytes)
{
    for (uint64_t at = 0; at < n_bytes; at += PIECE_BYTES) {
        const uint64_t n = n_bytes - at < PIECE_BYTES ? n_bytes - at : PIECE_BYTES;
        void *to = gpu_upload_bytes(upload, n);

        if (to)
            memcpy(to, (const uint8_t *)from + at, n);
    }
    return gpu_upload_range(upload);
}
