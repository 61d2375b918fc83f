/* step.c -- recording and replaying. */
#include "gpu/step.h"

#include <stdlib.h>
#include <string.h>

upg_status gpu_step_init(struct gpu_step *step, struct gpu_programs *programs, upg_error *err)
{
    struct gpu_device *gpu = programs->gpu;
    VkCommandBuffer buffers[GPU_N_RECORDINGS];
    const VkCommandBufferAllocateInfo info = {.sType =
                                                  VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = gpu->commands,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = GPU_N_RECORDINGS};
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkResult result = gpu->vk.vkAllocateCommandBuffers(gpu->device, &info, buffers);

    step->programs = programs;
    for (size_t i = 0; result == VK_SUCCESS && i < GPU_N_RECORDINGS; i++)
        step->kept[i].buffer = buffers[i];
    if (result == VK_SUCCESS)
        result = gpu->vk.vkCreateFence(gpu->device, &fence, NULL, &step->fence);
    return result == VK_SUCCESS ? UPG_OK : vulkan_fail(err, result, "making command buffers");
}

void gpu_step_clear(struct gpu_step *step)
{
    struct gpu_device *gpu;

    if (!step->programs)
        return;
    gpu = step->programs->gpu; /* whose pool owns the command buffers */
    if (step->fence)
        gpu->vk.vkDestroyFence(gpu->device, step->fence, NULL);
    if (step->times)
        gpu->vk.vkDestroyQueryPool(gpu->device, step->times, NULL);
    for (size_t i = 0; i < GPU_N_RECORDINGS; i++)
        free(step->kept[i].commands);
    free(step->now.commands);
    memset(step, 0, sizeof *step);
}

void gpu_step_fail(struct gpu_step *step, upg_status status, const char *message)
{
    if (step->failure.status == UPG_OK)
        upg_fail(&step->failure, status, "%s", message);
}

static bool reserve(struct gpu_recording *recording, size_t n)
{
    struct gpu_command *commands;
    size_t capacity = recording->capacity ? recording->capacity : 256;

    while (capacity < n)
        capacity *= 2;
    if (capacity == recording->capacity)
        return true;
    commands = realloc(recording->commands, capacity * sizeof *commands);
    if (!commands)
        return false;
    recording->commands = commands;
    recording->capacity = capacity;
    return true;
}

void gpu_step_add(struct gpu_step *step, const struct gpu_command *command)
{
    if (!reserve(&step->now, step->now.n + 1)) {
        gpu_step_fail(step, UPG_ERR_MEMORY, "out of memory: the commands of a step");
        return;
    }
    step->now.commands[step->now.n++] = *command;
}

struct gpu_command *gpu_step_last(const struct gpu_step *step)
{
    return step->now.n > 0 ? &step->now.commands[step->now.n - 1] : NULL;
}

void gpu_step_take_back(struct gpu_step *step)
{
    step->now.n--;
}

/* ---- Recording ---- */

enum { ALL_STAGES = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT };

/* What was written before is seen by what comes after. */
static void barrier(const struct gpu_device *gpu, VkCommandBuffer buffer, VkPipelineStageFlags to,
                    VkAccessFlags access)
{
    const VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                    .srcAccessMask =
                                        VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                                    .dstAccessMask = access};

    gpu->vk.vkCmdPipelineBarrier(buffer, ALL_STAGES, to, 0, 1, &memory, 0, NULL, 0, NULL);
}

static upg_status record_dispatch(struct gpu_step *step, VkCommandBuffer buffer,
                                  const struct gpu_command *command, upg_error *err)
{
    struct gpu_device *gpu = step->programs->gpu;
    VkDescriptorBufferInfo infos[GPU_MAX_RANGES];
    VkWriteDescriptorSet writes[GPU_MAX_RANGES];
    VkPipeline pipeline;
    const upg_status status =
        gpu_program_get(step->programs, (enum gpu_program)command->program, &pipeline, err);

    if (status != UPG_OK)
        return status;
    for (uint32_t i = 0; i < command->n_ranges; i++) {
        const struct gpu_range *range = &command->ranges[i];

        infos[i] = (VkDescriptorBufferInfo){range->buffer, range->offset, range->n_bytes};
        writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstBinding = i,
                                           .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .pBufferInfo = &infos[i]};
    }
    gpu->vk.vkCmdBindPipeline(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    gpu->vk.vkCmdPushDescriptorSetKHR(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, gpu->layout, 0,
                                      command->n_ranges, writes);
    gpu->vk.vkCmdPushConstants(buffer, gpu->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                               sizeof command->constants, command->constants);
    gpu->vk.vkCmdDispatch(buffer, command->groups[0], command->groups[1], command->groups[2]);
    return UPG_OK;
}

static void record_copy(const struct gpu_device *gpu, VkCommandBuffer buffer,
                        const struct gpu_command *command)
{
    const struct gpu_range *from = &command->ranges[0], *to = &command->ranges[1];
    const VkBufferCopy region = {from->offset, to->offset, from->n_bytes};

    gpu->vk.vkCmdCopyBuffer(buffer, from->buffer, to->buffer, 1, &region);
}

static void record_time(const struct gpu_step *step, VkCommandBuffer buffer, size_t i)
{
    const struct gpu_device *gpu = step->programs->gpu;

    if (step->times && i < GPU_MAX_TIMES)
        gpu->vk.vkCmdWriteTimestamp(buffer, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, step->times,
                                    (uint32_t)i);
}

static upg_status record(struct gpu_step *step, struct gpu_recording *recording, upg_error *err)
{
    const struct gpu_device *gpu = step->programs->gpu;
    VkCommandBuffer buffer = recording->buffer;
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkResult result = gpu->vk.vkBeginCommandBuffer(buffer, &begin);
    upg_status status = UPG_OK;

    if (result != VK_SUCCESS)
        return vulkan_fail(err, result, "recording a step");
    if (step->times)
        gpu->vk.vkCmdResetQueryPool(buffer, step->times, 0, GPU_MAX_TIMES);
    record_time(step, buffer, 0);
    for (size_t i = 0; status == UPG_OK && i < recording->n; i++) {
        const struct gpu_command *command = &recording->commands[i];

        if (i > 0 && !command->joined)
            barrier(gpu, buffer, ALL_STAGES,
                    VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                        VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
        if (command->program == GPU_COPY)
            record_copy(gpu, buffer, command);
        else
            status = record_dispatch(step, buffer, command, err);
        record_time(step, buffer, i + 1);
    }
    barrier(gpu, buffer, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    result = gpu->vk.vkEndCommandBuffer(buffer);
    if (status == UPG_OK && result != VK_SUCCESS)
        status = vulkan_fail(err, result, "recording a step");
    return status;
}

/* The recording of these commands, or the one that was not used for longest. */
static struct gpu_recording *find(struct gpu_step *step, bool *is_same)
{
    struct gpu_recording *oldest = &step->kept[0];

    for (size_t i = 0; i < GPU_N_RECORDINGS; i++) {
        struct gpu_recording *kept = &step->kept[i];

        *is_same = kept->n == step->now.n &&
                   !memcmp(kept->commands, step->now.commands, kept->n * sizeof *kept->commands);
        if (*is_same)
            return kept;
        if (kept->last_used < oldest->last_used)
            oldest = kept;
    }
    return oldest;
}

upg_status gpu_step_run(struct gpu_step *step, upg_error *err)
{
    const upg_error failure = step->failure;
    upg_status status = UPG_OK;
    struct gpu_recording *recording;
    bool is_same;

    step->failure.status = UPG_OK;
    if (failure.status != UPG_OK || step->now.n == 0) {
        step->now.n = 0;
        return failure.status == UPG_OK ? UPG_OK
                                        : upg_fail(err, failure.status, "%s", failure.message);
    }
    recording = find(step, &is_same);
    if (!is_same) {
        const struct gpu_recording commands = step->now;

        step->now = (struct gpu_recording){.commands = recording->commands,
                                           .capacity = recording->capacity};
        recording->commands = commands.commands;
        recording->n = commands.n;
        recording->capacity = commands.capacity;
        status = record(step, recording, err);
    }
    step->now.n = 0;
    recording->last_used = ++step->n_steps;
    if (status == UPG_OK)
        status = gpu_submit(step->programs->gpu, recording->buffer, step->fence, err);
    if (status != UPG_OK)
        recording->n = 0; /* a recording that failed is no recording */
    return status;
}

upg_status gpu_step_measure(struct gpu_step *step, upg_error *err)
{
    const struct gpu_device *gpu = step->programs->gpu;
    const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                        .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                        .queryCount = GPU_MAX_TIMES};
    const VkResult result = gpu->vk.vkCreateQueryPool(gpu->device, &info, NULL, &step->times);

    if (result != VK_SUCCESS)
        return vulkan_fail(err, result, "preparing timestamps");
    for (size_t i = 0; i < GPU_N_RECORDINGS; i++)
        step->kept[i].n = 0; /* they do not measure */
    return UPG_OK;
}

upg_status gpu_step_times(struct gpu_step *step, double ns[GPU_N_PROGRAMS + 1],
                          size_t n[GPU_N_PROGRAMS + 1], upg_error *err)
{
    struct gpu_device *gpu = step->programs->gpu;
    const struct gpu_recording *recording = &step->kept[0];
    uint64_t *ticks = calloc(GPU_MAX_TIMES, sizeof *ticks);
    VkResult result;
    size_t n_times;

    if (!ticks)
        return upg_fail_memory(err, "timestamps", GPU_MAX_TIMES * sizeof *ticks);
    for (size_t i = 1; i < GPU_N_RECORDINGS; i++)
        if (step->kept[i].last_used > recording->last_used)
            recording = &step->kept[i];
    n_times = recording->n + 1 < GPU_MAX_TIMES ? recording->n + 1 : GPU_MAX_TIMES;
    result = gpu->vk.vkGetQueryPoolResults(gpu->device, step->times, 0, (uint32_t)n_times,
                                           n_times * sizeof *ticks, ticks, sizeof *ticks,
                                           VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
    for (size_t i = 0; i < GPU_N_PROGRAMS + 1; i++)
        ns[i] = 0, n[i] = 0;
    for (size_t i = 0; result == VK_SUCCESS && i + 1 < n_times; i++) {
        const uint32_t program = recording->commands[i].program;
        const size_t slot = program == GPU_COPY ? GPU_N_PROGRAMS : program;

        ns[slot] += (double)(ticks[i + 1] - ticks[i]) * (double)gpu->limits.timestamp_ns;
        n[slot]++;
    }
    free(ticks);
    return result == VK_SUCCESS ? UPG_OK : vulkan_fail(err, result, "reading timestamps");
}
