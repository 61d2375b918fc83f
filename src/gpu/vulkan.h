/* vulkan.h -- the functions of Vulkan, found at run time: upg starts where there is no Vulkan. */
#ifndef UPG_GPU_VULKAN_H
#define UPG_GPU_VULKAN_H

#include "base/error.h"

#include <stdbool.h>

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

/* VK_KHR_cooperative_matrix, younger than the headers of Debian 12. */
#ifndef VK_KHR_cooperative_matrix
#define VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME "VK_KHR_cooperative_matrix"
#define VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR                          \
    ((VkStructureType)1000506000)
#define VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR ((VkStructureType)1000506001)
#define VK_SCOPE_SUBGROUP_KHR VK_SCOPE_SUBGROUP_NV
#define VK_COMPONENT_TYPE_FLOAT16_KHR VK_COMPONENT_TYPE_FLOAT16_NV
#define VK_COMPONENT_TYPE_FLOAT32_KHR VK_COMPONENT_TYPE_FLOAT32_NV
#define VK_COMPONENT_TYPE_SINT8_KHR VK_COMPONENT_TYPE_SINT8_NV
#define VK_COMPONENT_TYPE_SINT32_KHR VK_COMPONENT_TYPE_SINT32_NV
typedef VkComponentTypeNV VkComponentTypeKHR;

typedef struct VkPhysicalDeviceCooperativeMatrixFeaturesKHR {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix, cooperativeMatrixRobustBufferAccess;
} VkPhysicalDeviceCooperativeMatrixFeaturesKHR;

typedef struct VkCooperativeMatrixPropertiesKHR {
    VkStructureType sType;
    void *pNext;
    uint32_t MSize, NSize, KSize;
    VkComponentTypeNV AType, BType, CType, ResultType;
    VkBool32 saturatingAccumulation;
    VkScopeNV scope;
} VkCooperativeMatrixPropertiesKHR;

typedef VkResult(VKAPI_PTR *PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)(
    VkPhysicalDevice, uint32_t *, VkCooperativeMatrixPropertiesKHR *);
#endif

/* Functions of the loader, of an instance, and of a device; each list is one moment of finding. */
/* clang-format off */
#define VULKAN_LOADER_FUNCTIONS(X)                                                                 \
    X(vkCreateInstance) X(vkEnumerateInstanceExtensionProperties)
#define VULKAN_INSTANCE_FUNCTIONS(X)                                                               \
    X(vkDestroyInstance) X(vkEnumeratePhysicalDevices) X(vkGetPhysicalDeviceProperties2)           \
    X(vkGetPhysicalDeviceFeatures2) X(vkGetPhysicalDeviceMemoryProperties2)                        \
    X(vkGetPhysicalDeviceQueueFamilyProperties) X(vkEnumerateDeviceExtensionProperties)            \
    X(vkCreateDevice) X(vkGetDeviceProcAddr)
#define VULKAN_DEVICE_FUNCTIONS(X)                                                                 \
    X(vkDestroyDevice) X(vkGetDeviceQueue) X(vkQueueSubmit) X(vkCreateBuffer) X(vkDestroyBuffer)   \
    X(vkGetBufferMemoryRequirements) X(vkAllocateMemory) X(vkFreeMemory) X(vkBindBufferMemory)     \
    X(vkMapMemory) X(vkCreateShaderModule) X(vkDestroyShaderModule) X(vkCreateComputePipelines)    \
    X(vkDestroyPipeline) X(vkCreateDescriptorSetLayout) X(vkDestroyDescriptorSetLayout)            \
    X(vkCreatePipelineLayout) X(vkDestroyPipelineLayout) X(vkCreateCommandPool)                    \
    X(vkDestroyCommandPool) X(vkAllocateCommandBuffers) X(vkBeginCommandBuffer)                    \
    X(vkEndCommandBuffer) X(vkCmdBindPipeline) X(vkCmdPushConstants)                               \
    X(vkCmdPushDescriptorSetKHR) X(vkCmdDispatch) X(vkCmdPipelineBarrier) X(vkCmdCopyBuffer)       \
    X(vkCmdResetQueryPool) X(vkCmdWriteTimestamp) X(vkCreateQueryPool) X(vkDestroyQueryPool)       \
    X(vkGetQueryPoolResults) X(vkCreateFence) X(vkDestroyFence) X(vkResetFences)                   \
    X(vkWaitForFences) X(vkCreatePipelineCache) X(vkDestroyPipelineCache)                          \
    X(vkGetPipelineCacheData)
/* clang-format on */

struct vulkan {
    void *library; /* of dlopen() */
    PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr;
    VkInstance instance;
#define X(name) PFN_##name name;
    VULKAN_LOADER_FUNCTIONS(X)
    VULKAN_INSTANCE_FUNCTIONS(X)
    VULKAN_DEVICE_FUNCTIONS(X)
#undef X
};

/* Load the library and make an instance.  UPG_ERR_UNSUPPORTED if the machine has no Vulkan 1.2.
 * vulkan is zeroed; clear it whatever is returned. */
upg_status vulkan_open(struct vulkan *vulkan, upg_error *err);

/* Find the functions of a device. */
upg_status vulkan_load_device(struct vulkan *vulkan, VkDevice device, upg_error *err);

void vulkan_clear(struct vulkan *vulkan);

/* What a result means, for messages: "the device was lost". */
const char *vulkan_result_text(VkResult result);

/* UPG_ERR_MEMORY if memory ran out, else UPG_ERR_IO, with "GPU: ACTION: what happened". */
upg_status vulkan_fail(upg_error *err, VkResult result, const char *action);

#endif
