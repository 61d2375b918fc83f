/* device.c -- choosing and opening a device, its memory, and waiting for it. */
#include "gpu/device.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEVICES = 32, WAIT_SECONDS = 60 };

/* ---- Choice ---- */

static void read_limits(const struct vulkan *vk, VkPhysicalDevice physical,
                        struct gpu_limits *limits, VkPhysicalDeviceMemoryProperties *memory)
{
    VkPhysicalDeviceShaderSMBuiltinsPropertiesNV nvidia = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV,
        .shaderSMCount = 16};
    VkPhysicalDeviceVulkan11Properties v11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES, .pNext = &nvidia};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &v11};
    VkPhysicalDeviceMemoryProperties2 memory2 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
    const VkPhysicalDeviceLimits *l = &properties.properties.limits;

    vk->vkGetPhysicalDeviceProperties2(physical, &properties);
    vk->vkGetPhysicalDeviceMemoryProperties2(physical, &memory2);
    *memory = memory2.memoryProperties;
    memcpy(limits->name, properties.properties.deviceName, sizeof limits->name);
    memcpy(limits->cache_id, properties.properties.pipelineCacheUUID, sizeof limits->cache_id);
    limits->api_version = properties.properties.apiVersion;
    limits->type = properties.properties.deviceType;
    limits->max_range = l->maxStorageBufferRange;
    limits->subgroup_size = v11.subgroupSize;
    limits->has_clusters =
        (v11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_CLUSTERED_BIT) != 0 &&
        (v11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
    limits->n_cores = nvidia.shaderSMCount;
    limits->shared_bytes = l->maxComputeSharedMemorySize;
    limits->max_group = l->maxComputeWorkGroupInvocations;
    limits->timestamp_ns = l->timestampPeriod;
    limits->local_bytes = 0;
    for (uint32_t i = 0; i < memory->memoryHeapCount; i++)
        if (memory->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT &&
            memory->memoryHeaps[i].size > limits->local_bytes)
            limits->local_bytes = memory->memoryHeaps[limits->local_heap = i].size;
}

/* Greater is better; 0: only when asked for by number. */
static int rank(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 3;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 2;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return 1;
    default: return 0; /* a CPU that plays GPU is slower than the CPU backend */
    }
}

static bool parse_number(const char *device, unsigned long *number)
{
    char *end;

    if (device[3] != ':' || device[4] < '0' || device[4] > '9')
        return false;
    *number = strtoul(device + 4, &end, 10);
    return *end == '\0';
}

static upg_status choose(struct gpu_device *gpu, const char *device, upg_error *err)
{
    VkPhysicalDevice list[MAX_DEVICES];
    uint32_t n = MAX_DEVICES;
    unsigned long number = 0;
    const bool has_number = strlen(device) > 3 && parse_number(device, &number);
    VkResult result;
    int best = 0;

    if (strncmp(device, "gpu", 3) != 0 || (device[3] && !has_number))
        return upg_fail(err, UPG_ERR_ARGUMENT, "device: '%s' is neither cpu, auto, gpu nor gpu:N",
                        device);
    result = gpu->vk.vkEnumeratePhysicalDevices(gpu->vk.instance, &n, list);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return vulkan_fail(err, result, "listing devices");
    if (n == 0)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "GPU: Vulkan finds no device; install the GPU's driver, or use device cpu");
    if (has_number && number >= n)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "device: %s was asked for, this machine has %u: "
                        "gpu:0 .. gpu:%u",
                        device, n, n - 1);
    for (uint32_t i = 0; i < n; i++) {
        struct gpu_limits limits = {0};
        VkPhysicalDeviceMemoryProperties memory;

        read_limits(&gpu->vk, list[i], &limits, &memory);
        if (has_number ? i == number : rank(limits.type) > best) {
            best = rank(limits.type);
            gpu->physical = list[i];
            gpu->limits = limits;
            gpu->memory = memory;
        }
    }
    if (!gpu->physical)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "GPU: the only device is a processor that plays GPU; install the GPU's "
                        "driver, use device cpu, or name it as gpu:0");
    return UPG_OK;
}

/* ---- Opening ---- */

static upg_status check_extension(const struct gpu_device *gpu, const char *name, upg_error *err)
{
    VkExtensionProperties *list = NULL;
    uint32_t n = 0;
    bool found = false;

    gpu->vk.vkEnumerateDeviceExtensionProperties(gpu->physical, NULL, &n, NULL);
    list = calloc(n ? n : 1, sizeof *list);
    if (!list)
        return upg_fail_memory(err, "a list of extensions", n * sizeof *list);
    gpu->vk.vkEnumerateDeviceExtensionProperties(gpu->physical, NULL, &n, list);
    for (uint32_t i = 0; i < n; i++)
        found = found || !strcmp(list[i].extensionName, name);
    free(list);
    if (!found)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "GPU: %s lacks %s; update its driver, or use device cpu", gpu->limits.name,
                        name);
    return UPG_OK;
}

static upg_status choose_queue(struct gpu_device *gpu, upg_error *err)
{
    VkQueueFamilyProperties families[MAX_DEVICES];
    uint32_t n = MAX_DEVICES;

    gpu->vk.vkGetPhysicalDeviceQueueFamilyProperties(gpu->physical, &n, families);
    for (uint32_t i = 0; i < n; i++)
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            gpu->queue_family = i;
            return UPG_OK;
        }
    return upg_fail(err, UPG_ERR_UNSUPPORTED, "GPU: %s cannot compute", gpu->limits.name);
}

/* Whether matrices of this form can be multiplied by a subgroup. */
static bool has_form(const VkCooperativeMatrixPropertiesKHR *forms, uint32_t n, uint32_t k,
                     VkComponentTypeKHR from, VkComponentTypeKHR to)
{
    for (uint32_t i = 0; i < n; i++)
        if (forms[i].MSize == 16 && forms[i].NSize == 16 && forms[i].KSize == k &&
            forms[i].AType == from && forms[i].BType == from && forms[i].CType == to &&
            forms[i].ResultType == to && !forms[i].saturatingAccumulation &&
            forms[i].scope == VK_SCOPE_SUBGROUP_KHR)
            return true;
    return false;
}

/* Whether the device has the matrices of gemm_matrix.comp and of attention_matrix.comp. */
static void find_matrices(struct gpu_device *gpu)
{
    enum { MAX_FORMS = 128 };
    VkCooperativeMatrixPropertiesKHR forms[MAX_FORMS];
    uint32_t n = MAX_FORMS;
    const PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR list =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)gpu->vk.vkGetInstanceProcAddr(
            gpu->vk.instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    struct gpu_limits *l = &gpu->limits;
    VkResult result;

    if (!list || l->subgroup_size != 32 || l->shared_bytes < 48 * 1024 || l->max_group < 512)
        return;
    for (size_t i = 0; i < MAX_FORMS; i++)
        forms[i] = (VkCooperativeMatrixPropertiesKHR){
            .sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    result = list(gpu->physical, &n, forms);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return;
    l->has_matrix =
        has_form(forms, n, 32, VK_COMPONENT_TYPE_SINT8_KHR, VK_COMPONENT_TYPE_SINT32_KHR);
    l->has_half_matrix =
        l->has_matrix && l->has_clusters &&
        has_form(forms, n, 16, VK_COMPONENT_TYPE_FLOAT16_KHR, VK_COMPONENT_TYPE_FLOAT32_KHR);
}

static upg_status make_device(struct gpu_device *gpu, upg_error *err)
{
    const char *const extensions[] = {
        VK_KHR_PUSH_DESCRIPTOR_EXTENSION_NAME, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME,
        "VK_KHR_portability_subset", VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME};
    const char *enabled[4] = {extensions[0]};
    uint32_t n_enabled = 1;
    const float priority = 1;
    VkPhysicalDeviceShaderIntegerDotProductFeatures dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES};
    VkPhysicalDeviceVulkanMemoryModelFeatures model = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES};
    VkPhysicalDeviceShaderFloat16Int8Features bytes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES, .pNext = &model};
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
        .pNext = &bytes};
    VkPhysicalDeviceFeatures2 has = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
    VkPhysicalDeviceFeatures2 wants = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
    upg_status status = check_extension(gpu, extensions[0], err);
    VkResult result;

    if (status == UPG_OK)
        status = choose_queue(gpu, err);
    if (status != UPG_OK)
        return status;
    if (check_extension(gpu, extensions[1], NULL) == UPG_OK) {
        enabled[n_enabled++] = extensions[1];
        has.pNext = &dot;
    }
    if (check_extension(gpu, extensions[2], NULL) == UPG_OK) /* then it must be enabled */
        enabled[n_enabled++] = extensions[2];
    if (check_extension(gpu, extensions[3], NULL) == UPG_OK)
        find_matrices(gpu);
    if (gpu->limits.has_matrix) {
        model.pNext = has.pNext;
        has.pNext = &matrix;
    }
    gpu->vk.vkGetPhysicalDeviceFeatures2(gpu->physical, &has);
    gpu->limits.has_dot = dot.shaderIntegerDotProduct;
    if (gpu->limits.has_dot)
        wants.pNext = &dot;
    gpu->limits.has_matrix =
        matrix.cooperativeMatrix && bytes.shaderInt8 && model.vulkanMemoryModel;
    gpu->limits.has_half_matrix =
        gpu->limits.has_half_matrix && gpu->limits.has_matrix && bytes.shaderFloat16;
    if (gpu->limits.has_matrix) {
        enabled[n_enabled++] = extensions[3];
        matrix.cooperativeMatrixRobustBufferAccess = VK_FALSE;
        model.pNext = wants.pNext;
        wants.pNext = &matrix;
    }

    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = gpu->queue_family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = &wants,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = n_enabled,
                                     .ppEnabledExtensionNames = enabled};
    result = gpu->vk.vkCreateDevice(gpu->physical, &info, NULL, &gpu->device);
    if (result != VK_SUCCESS) {
        gpu->device = NULL;
        return vulkan_fail(err, result, "opening the device");
    }
    status = vulkan_load_device(&gpu->vk, gpu->device, err);
    if (status == UPG_OK)
        gpu->vk.vkGetDeviceQueue(gpu->device, gpu->queue_family, 0, &gpu->queue);
    return status;
}

/* All programs have storage buffers 0 .. 9, pushed with each dispatch, and the same constants. */
static upg_status make_layout(struct gpu_device *gpu, upg_error *err)
{
    VkDescriptorSetLayoutBinding bindings[GPU_MAX_RANGES];
    const VkPushConstantRange constants = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                           .size = GPU_MAX_CONSTANTS * sizeof(uint32_t)};
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                          .queueFamilyIndex = gpu->queue_family};
    VkResult result;

    for (uint32_t i = 0; i < GPU_MAX_RANGES; i++)
        bindings[i] =
            (VkDescriptorSetLayoutBinding){.binding = i,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .descriptorCount = 1,
                                           .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    const VkDescriptorSetLayoutCreateInfo set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .flags = VK_DESCRIPTOR_SET_LAYOUT_CREATE_PUSH_DESCRIPTOR_BIT_KHR,
        .bindingCount = GPU_MAX_RANGES,
        .pBindings = bindings};
    result = gpu->vk.vkCreateDescriptorSetLayout(gpu->device, &set, NULL, &gpu->ranges);
    if (result != VK_SUCCESS)
        return vulkan_fail(err, result, "describing buffers");
    const VkPipelineLayoutCreateInfo layout = {.sType =
                                                   VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                               .setLayoutCount = 1,
                                               .pSetLayouts = &gpu->ranges,
                                               .pushConstantRangeCount = 1,
                                               .pPushConstantRanges = &constants};
    result = gpu->vk.vkCreatePipelineLayout(gpu->device, &layout, NULL, &gpu->layout);
    if (result == VK_SUCCESS)
        result = gpu->vk.vkCreateCommandPool(gpu->device, &pool, NULL, &gpu->commands);
    return result == VK_SUCCESS ? UPG_OK : vulkan_fail(err, result, "preparing the device");
}

upg_status gpu_device_open(struct gpu_device *gpu, const char *device, upg_error *err)
{
    upg_status status = vulkan_open(&gpu->vk, err);

    if (status == UPG_OK)
        status = choose(gpu, device, err);
    if (status == UPG_OK)
        status = make_device(gpu, err);
    if (status == UPG_OK)
        status = make_layout(gpu, err);
    return status;
}

void gpu_device_close(struct gpu_device *gpu)
{
    if (gpu->device && gpu->queue) {
        gpu->vk.vkDestroyCommandPool(gpu->device, gpu->commands, NULL);
        gpu->vk.vkDestroyPipelineLayout(gpu->device, gpu->layout, NULL);
        gpu->vk.vkDestroyDescriptorSetLayout(gpu->device, gpu->ranges, NULL);
        gpu->vk.vkDestroyDevice(gpu->device, NULL);
    }
    vulkan_clear(&gpu->vk);
    memset(gpu, 0, sizeof *gpu);
}

/* ---- Memory ---- */

uint64_t gpu_free_bytes(const struct gpu_device *gpu)
{
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, .pNext = &budget};
    const uint64_t *budget_of = &budget.heapBudget[gpu->limits.local_heap];
    const uint64_t *usage_of = &budget.heapUsage[gpu->limits.local_heap];
    const uint64_t n_all = gpu->limits.local_bytes;
    uint64_t n_free;

    if (check_extension(gpu, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME, NULL) != UPG_OK)
        return n_all;
    gpu->vk.vkGetPhysicalDeviceMemoryProperties2(gpu->physical, &memory);
    n_free = *budget_of > *usage_of ? *budget_of - *usage_of : 0;
    return n_free < n_all ? n_free : n_all;
}

/* Wanted properties by kind, the best first; the last has to do. */
static const VkMemoryPropertyFlags wanted[][3] = {
    [GPU_LOCAL] = {VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0},
    [GPU_UPLOAD] = {VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                        VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT},
    [GPU_STAGING] = {VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                     VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                     VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT},
    [GPU_READBACK] = {VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT |
                          VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
                      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT}};

/* Allocate from the first memory type that has what is wanted and room. */
static VkResult allocate(struct gpu_device *gpu, const VkMemoryRequirements *needs,
                         enum gpu_memory kind, VkDeviceMemory *memory)
{
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;

    for (size_t choice = 0; choice < 3; choice++)
        for (uint32_t type = 0; type < gpu->memory.memoryTypeCount; type++) {
            const VkMemoryPropertyFlags has = gpu->memory.memoryTypes[type].propertyFlags;
            const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                               .allocationSize = needs->size,
                                               .memoryTypeIndex = type};

            if (!(needs->memoryTypeBits >> type & 1) ||
                (has & wanted[kind][choice]) != wanted[kind][choice])
                continue;
            result = gpu->vk.vkAllocateMemory(gpu->device, &info, NULL, memory);
            if (result == VK_SUCCESS)
                return result;
        }
    return result;
}

upg_status gpu_buffer_new(struct gpu_device *gpu, struct gpu_buffer *buffer, uint64_t n_bytes,
                          enum gpu_memory kind, const char *what, upg_error *err)
{
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .size = n_bytes ? n_bytes : GPU_ALIGN,
                                     .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                              VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                              VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    VkMemoryRequirements needs;
    VkResult result;

    memset(buffer, 0, sizeof *buffer);
    result = gpu->vk.vkCreateBuffer(gpu->device, &info, NULL, &buffer->buffer);
    if (result == VK_SUCCESS) {
        buffer->n_bytes = info.size;
        gpu->vk.vkGetBufferMemoryRequirements(gpu->device, buffer->buffer, &needs);
        result = allocate(gpu, &needs, kind, &buffer->memory);
    }
    if (result == VK_SUCCESS)
        result = gpu->vk.vkBindBufferMemory(gpu->device, buffer->buffer, buffer->memory, 0);
    if (result == VK_SUCCESS && kind != GPU_LOCAL)
        result =
            gpu->vk.vkMapMemory(gpu->device, buffer->memory, 0, VK_WHOLE_SIZE, 0, &buffer->mapped);
    gpu->n_bytes += buffer->n_bytes;
    if (result == VK_SUCCESS)
        return UPG_OK;
    gpu_buffer_free(gpu, buffer);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY)
        return upg_fail(err, UPG_ERR_MEMORY,
                        "GPU: %s needs %.1f MB, more than is free on %s (%.1f GB in all); use a "
                        "smaller model or context, fewer --gpu-layers, or device cpu",
                        what, 1e-6 * (double)n_bytes, gpu->limits.name,
                        1e-9 * (double)gpu->limits.local_bytes);
    return vulkan_fail(err, result, what);
}

void gpu_buffer_free(struct gpu_device *gpu, struct gpu_buffer *buffer)
{
    if (buffer->buffer)
        gpu->vk.vkDestroyBuffer(gpu->device, buffer->buffer, NULL);
    if (buffer->memory)
        gpu->vk.vkFreeMemory(gpu->device, buffer->memory, NULL);
    gpu->n_bytes -= buffer->n_bytes;
    memset(buffer, 0, sizeof *buffer);
}

upg_status gpu_submit(struct gpu_device *gpu, VkCommandBuffer commands, VkFence fence,
                      upg_error *err)
{
    const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                               .commandBufferCount = 1,
                               .pCommandBuffers = &commands};
    VkResult result = gpu->is_lost ? VK_ERROR_DEVICE_LOST : VK_SUCCESS;

    if (result == VK_SUCCESS)
        result = gpu->vk.vkResetFences(gpu->device, 1, &fence);
    if (result == VK_SUCCESS)
        result = gpu->vk.vkQueueSubmit(gpu->queue, 1, &info, fence);
    if (result == VK_SUCCESS)
        result = gpu->vk.vkWaitForFences(gpu->device, 1, &fence, VK_TRUE,
                                         WAIT_SECONDS * UINT64_C(1000000000));
    if (result == VK_SUCCESS)
        return UPG_OK;
    gpu->is_lost = true;
    return vulkan_fail(err, result, "computing a step");
}
