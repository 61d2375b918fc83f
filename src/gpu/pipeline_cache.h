/* pipeline_cache.h -- compiled programs on disk: a driver compiles them once. */
#ifndef UPG_GPU_PIPELINE_CACHE_H
#define UPG_GPU_PIPELINE_CACHE_H

#include "gpu/device.h"

struct gpu_pipeline_cache {
    VkPipelineCache cache; /* VK_NULL_HANDLE: there is none, which does as well */
    size_t n_loaded;       /* bytes of the file */
};

/* Begin with what an earlier run left in $XDG_CACHE_HOME/upg or $HOME/.cache/upg for this device and
 * driver, or empty.  A driver drops what is not its own. */
void gpu_pipeline_cache_open(struct gpu_pipeline_cache *cache, struct gpu_device *gpu);

/* Write the file if there is more than was loaded, and a place for it; destroy the cache. */
void gpu_pipeline_cache_close(struct gpu_pipeline_cache *cache, struct gpu_device *gpu);

#endif
