/* program.c -- pipelines from the SPIR-V inside the library. */
#include "gpu/program.h"

#include "base/embed.h"

#include <string.h>

/* UPG_SHADER_FOLDER is where the build put NAME.spv; those that multiply are there with products of
 * four bytes in one instruction (NAME_dot.spv) and without. */
#define X(name) UPG_EMBED(upg_spirv_##name, UPG_SHADER_FOLDER "/" #name ".spv");
GPU_PROGRAMS(X)
GPU_DECODE_PROGRAMS(X)
GPU_PACKED_PROGRAMS(X)
#undef X
#define X(name) UPG_EMBED(upg_spirv_##name##_dot, UPG_SHADER_FOLDER "/" #name "_dot.spv");
GPU_DECODE_PROGRAMS(X)
GPU_PACKED_PROGRAMS(X)
#undef X

struct embedded {
    const char *name;
    const uint8_t *begin, *end, *dot_begin, *dot_end; /* dot NULL: there is no such form */
};

static const struct embedded embedded[] = {
#define X(name) {#name, upg_spirv_##name, upg_spirv_##name##_end, NULL, NULL},
    GPU_PROGRAMS(X)
#undef X
#define X(name)                                                                                    \
    {#name, upg_spirv_##name, upg_spirv_##name##_end, upg_spirv_##name##_dot,                      \
     upg_spirv_##name##_dot_end},
        GPU_DECODE_PROGRAMS(X) GPU_PACKED_PROGRAMS(X)
#undef X
};

const char *gpu_program_name(enum gpu_program program)
{
    return program == GPU_COPY ? "copy" : embedded[program].name;
}

/* NVIDIA's compiler gives a thread what registers there are: 64 of 1024 threads, 128 of 512.  So a
 * workgroup has a multiprocessor to itself, and for one token the larger one is the faster. */
struct gpu_tuning gpu_tuning_of(const struct gpu_limits *limits)
{
    const bool has_room = limits->shared_bytes >= 48 * 1024 && limits->max_group >= 1024;

    return (struct gpu_tuning){.few_threads = has_room ? 1024 : 256,
                               .many_threads = has_room ? 512 : 256,
                               .table_copies = has_room ? 32 : 16,
                               .n_groups = limits->n_cores};
}

static bool is_packed_matrix(enum gpu_program program)
{
    return program >= GPU_PROGRAM_packed_matrix_k2 && program <= GPU_PROGRAM_packed_matrix_k4;
}

uint32_t gpu_threads_of(const struct gpu_tuning *tuning, enum gpu_program program)
{
    const int tile = (program - GPU_PROGRAM_packed_k2_t1) % GPU_PACKED_TILES;

    if (is_packed_matrix(program))
        return 512; /* what its tiles are made for */
    if (program < GPU_PROGRAM_packed_k2_t1 || program > GPU_PROGRAM_packed_k4_t8)
        return tuning->many_threads;
    return tile < 2 ? tuning->few_threads : tuning->many_threads;
}

/* packed_matrix.comp has room for the smaller tables only. */
static uint32_t copies_of(const struct gpu_tuning *tuning, enum gpu_program program)
{
    return is_packed_matrix(program) ? 16 : tuning->table_copies;
}

static upg_status make_pipeline(struct gpu_programs *programs, enum gpu_program program,
                                upg_error *err)
{
    struct gpu_device *gpu = programs->gpu;
    const struct embedded *code = &embedded[program];
    const bool dot = code->dot_begin && gpu->limits.has_dot;
    const uint8_t *begin = dot ? code->dot_begin : code->begin;
    const uint8_t *end = dot ? code->dot_end : code->end;
    const VkShaderModuleCreateInfo module_info = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = (size_t)(end - begin),
        .pCode = (const uint32_t *)(const void *)begin}; /* aligned to 64 */
    const uint32_t values[] = {gpu_threads_of(&programs->tuning, program),
                               copies_of(&programs->tuning, program)};
    const VkSpecializationMapEntry entries[] = {{0, 0, sizeof *values},
                                                {1, sizeof *values, sizeof *values}};
    const VkSpecializationInfo constants = {.mapEntryCount = 2, /* unknown to most programs */
                                            .pMapEntries = entries,
                                            .dataSize = sizeof values,
                                            .pData = values};
    VkComputePipelineCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                                        .layout = gpu->layout};
    VkResult result;

    info.stage = (VkPipelineShaderStageCreateInfo){
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
        .stage = VK_SHADER_STAGE_COMPUTE_BIT,
        .pName = "main",
        .pSpecializationInfo = &constants};
    result = gpu->vk.vkCreateShaderModule(gpu->device, &module_info, NULL, &info.stage.module);
    if (result != VK_SUCCESS)
        return vulkan_fail(err, result, code->name);
    if (programs->n_made++ == 0)
        gpu_pipeline_cache_open(&programs->cache, gpu);
    result = gpu->vk.vkCreateComputePipelines(gpu->device, programs->cache.cache, 1, &info, NULL,
                                              &programs->pipelines[program]);
    gpu->vk.vkDestroyShaderModule(gpu->device, info.stage.module, NULL);
    if (result == VK_SUCCESS)
        return UPG_OK;
    programs->pipelines[program] = VK_NULL_HANDLE;
    return vulkan_fail(err, result, code->name);
}

upg_status gpu_program_get(struct gpu_programs *programs, enum gpu_program program,
                           VkPipeline *pipeline, upg_error *err)
{
    upg_status status = UPG_OK;

    if (!programs->pipelines[program])
        status = make_pipeline(programs, program, err);
    *pipeline = programs->pipelines[program];
    return status;
}

void gpu_programs_clear(struct gpu_programs *programs)
{
    for (size_t i = 0; i < GPU_N_PROGRAMS; i++)
        if (programs->pipelines[i])
            programs->gpu->vk.vkDestroyPipeline(programs->gpu->device, programs->pipelines[i],
                                                NULL);
    if (programs->gpu)
        gpu_pipeline_cache_close(&programs->cache, programs->gpu);
    memset(programs, 0, sizeof *programs);
}
