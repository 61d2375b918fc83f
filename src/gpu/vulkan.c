/* vulkan.c -- dlopen() of the Vulkan loader, and the pointers to its functions. */
#include "gpu/vulkan.h"

#include <dlfcn.h>
#include <string.h>

#ifdef __APPLE__
static const char *const libraries[] = {"libvulkan.1.dylib", "libvulkan.dylib",
                                        "libMoltenVK.dylib"};
#else
static const char *const libraries[] = {"libvulkan.so.1", "libvulkan.so"};
#endif

const char *vulkan_result_text(VkResult result)
{
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY: return "out of memory";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY: return "out of device memory";
    case VK_ERROR_DEVICE_LOST: return "the device was lost (its driver stopped or was reset)";
    case VK_ERROR_INITIALIZATION_FAILED: return "the driver could not be initialised";
    case VK_ERROR_INCOMPATIBLE_DRIVER: return "no Vulkan driver was found";
    case VK_ERROR_EXTENSION_NOT_PRESENT: return "an extension is missing";
    case VK_ERROR_FEATURE_NOT_PRESENT: return "a feature is missing";
    case VK_TIMEOUT: return "the device does not answer";
    default: return "the driver refused";
    }
}

upg_status vulkan_fail(upg_error *err, VkResult result, const char *action)
{
    const int is_memory =
        result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY;

    return upg_fail(err, is_memory ? UPG_ERR_MEMORY : UPG_ERR_IO, "GPU: %s: %s (%d)", action,
                    vulkan_result_text(result), (int)result);
}

static upg_status fail_missing(upg_error *err, const char *function)
{
    return upg_fail(err, UPG_ERR_UNSUPPORTED,
                    "GPU: this machine's Vulkan has no %s; update its driver, or use device cpu",
                    function);
}

static upg_status load_library(struct vulkan *v, upg_error *err)
{
    PFN_vkGetInstanceProcAddr get;

    for (size_t i = 0; !v->library && i < sizeof libraries / sizeof *libraries; i++)
        v->library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
    if (!v->library)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "GPU: there is no Vulkan library (%s) on this machine; install the "
                        "GPU's driver and the package libvulkan1, or use device cpu",
                        libraries[0]);
    *(void **)&get = dlsym(v->library, "vkGetInstanceProcAddr");
    v->vkGetInstanceProcAddr = get;
    return get ? UPG_OK : fail_missing(err, "vkGetInstanceProcAddr");
}

/* MoltenVK and other drivers that lack parts of Vulkan are listed only to those who say that they
 * know. */
static bool has_portability(const struct vulkan *v)
{
    VkExtensionProperties properties[64];
    uint32_t n = sizeof properties / sizeof *properties;

    v->vkEnumerateInstanceExtensionProperties(NULL, &n, properties); /* VK_INCOMPLETE is fine */
    for (uint32_t i = 0; i < n; i++)
        if (!strcmp(properties[i].extensionName, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME))
            return true;
    return false;
}

upg_status vulkan_open(struct vulkan *v, upg_error *err)
{
    const char *portability = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .pApplicationName = "upg",
                                           .apiVersion = VK_API_VERSION_1_2};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pApplicationInfo = &application};
    const upg_status status = load_library(v, err);
    VkResult result;

    if (status != UPG_OK)
        return status;
#define X(name)                                                                                    \
    v->name = (PFN_##name)v->vkGetInstanceProcAddr(NULL, #name);                                   \
    if (!v->name)                                                                                  \
        return fail_missing(err, #name);
    VULKAN_LOADER_FUNCTIONS(X)
#undef X
    if (has_portability(v)) {
        info.flags = VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
        info.enabledExtensionCount = 1;
        info.ppEnabledExtensionNames = &portability;
    }
    result = v->vkCreateInstance(&info, NULL, &v->instance);
    if (result != VK_SUCCESS) {
        v->instance = NULL;
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "GPU: Vulkan does not start: %s (%d); install the GPU's driver, or use "
                        "device cpu",
                        vulkan_result_text(result), (int)result);
    }
#define X(name)                                                                                    \
    v->name = (PFN_##name)v->vkGetInstanceProcAddr(v->instance, #name);                            \
    if (!v->name)                                                                                  \
        return fail_missing(err, #name);
    VULKAN_INSTANCE_FUNCTIONS(X)
#undef X
    return UPG_OK;
}

upg_status vulkan_load_device(struct vulkan *v, VkDevice device, upg_error *err)
{
#define X(name)                                                                                    \
    v->name = (PFN_##name)v->vkGetDeviceProcAddr(device, #name);                                   \
    if (!v->name)                                                                                  \
        return fail_missing(err, #name);
    VULKAN_DEVICE_FUNCTIONS(X)
#undef X
    return UPG_OK;
}

void vulkan_clear(struct vulkan *v)
{
    if (v->instance)
        v->vkDestroyInstance(v->instance, NULL);
    if (v->library)
        dlclose(v->library);
    memset(v, 0, sizeof *v);
}
