/* pipeline_cache.c -- reading and writing the cache's file, as a whole; failures cost only time. */
#include "gpu/pipeline_cache.h"

#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_PATH = 4096, MAX_BYTES = 64 << 20 };

/* A variable that is set and not empty. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* The folder, which is made; false: there is none. */
static bool find_folder(char path[MAX_PATH])
{
    const char *cache = variable("XDG_CACHE_HOME"), *home = variable("HOME");
    const int n = cache  ? snprintf(path, MAX_PATH, "%s", cache)
                  : home ? snprintf(path, MAX_PATH, "%s/.cache", home)
                         : -1;

    if (n < 0 || n + 5 > MAX_PATH)
        return false;
    mkdir(path, 0777); /* there already, as a rule */
    memcpy(path + n, "/upg", sizeof "/upg");
    mkdir(path, 0777);
    return access(path, W_OK) == 0;
}

static bool find_path(const struct gpu_device *gpu, char path[MAX_PATH])
{
    const uint8_t *id = gpu->limits.cache_id;
    size_t n;

    if (!find_folder(path))
        return false;
    n = strlen(path);
    if (n + 2 * VK_UUID_SIZE + 32 > MAX_PATH)
        return false;
    n += (size_t)snprintf(path + n, MAX_PATH - n, "/gpu-");
    for (size_t i = 0; i < VK_UUID_SIZE; i++)
        n += (size_t)snprintf(path + n, MAX_PATH - n, "%02x", id[i]);
    snprintf(path + n, MAX_PATH - n, ".pipelines");
    return true;
}

void gpu_pipeline_cache_open(struct gpu_pipeline_cache *cache, struct gpu_device *gpu)
{
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    struct upg_buffer file = {0};
    char path[MAX_PATH];

    if (find_path(gpu, path) && upg_buffer_read_file(&file, path, MAX_BYTES, NULL) == UPG_OK) {
        info.initialDataSize = file.n;
        info.pInitialData = file.bytes;
    }
    if (gpu->vk.vkCreatePipelineCache(gpu->device, &info, NULL, &cache->cache) != VK_SUCCESS)
        cache->cache = VK_NULL_HANDLE;
    cache->n_loaded = info.initialDataSize;
    upg_buffer_clear(&file);
}

/* Write beside the file and move over it: other processes read one or the other. */
static void write_whole(const char *path, const void *bytes, size_t n_bytes)
{
    char beside[MAX_PATH + 32];
    FILE *file;
    bool is_written;

    snprintf(beside, sizeof beside, "%s.%ld", path, (long)getpid());
    file = fopen(beside, "wb");
    if (!file)
        return;
    is_written = fwrite(bytes, 1, n_bytes, file) == n_bytes;
    is_written = fclose(file) == 0 && is_written;
    if (!is_written || rename(beside, path) != 0)
        remove(beside);
}

void gpu_pipeline_cache_close(struct gpu_pipeline_cache *cache, struct gpu_device *gpu)
{
    char path[MAX_PATH];
    size_t n_bytes = 0;
    void *bytes = NULL;

    if (!cache->cache)
        return;
    if (!gpu->is_lost && find_path(gpu, path) &&
        gpu->vk.vkGetPipelineCacheData(gpu->device, cache->cache, &n_bytes, NULL) == VK_SUCCESS &&
        n_bytes != cache->n_loaded && n_bytes > 0 && n_bytes <= MAX_BYTES)
        bytes = malloc(n_bytes);
    if (bytes &&
        gpu->vk.vkGetPipelineCacheData(gpu->device, cache->cache, &n_bytes, bytes) == VK_SUCCESS)
        write_whole(path, bytes, n_bytes);
    free(bytes);
    gpu->vk.vkDestroyPipelineCache(gpu->device, cache->cache, NULL);
}
