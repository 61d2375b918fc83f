/* program.h -- the compute programs: SPIR-V from shaders/, made into pipelines when first used. */
#ifndef UPG_GPU_PROGRAM_H
#define UPG_GPU_PROGRAM_H

#include "gpu/pipeline_cache.h"

/* What a program computes is said at the head of its file in shaders/.  Programs with a suffix are
 * made from one file: bits a weight (k), tokens a workgroup (t), type of weights or cache. */
/* clang-format off */
#define GPU_PROGRAMS(X)                                                                            \
    X(add) X(attention_f16) X(attention_q8) X(attention_q4) X(attention_f32)                       \
    X(attention_matrix) X(attention_matrix_q8) X(attention_matrix_q4) X(combine)                   \
    X(embed_k2) X(embed_k3) X(embed_k4) X(finish) X(finish_sums) X(gate)                           \
    X(gemm_matrix) X(keep) X(norm) X(packed_matrix_k2) X(packed_matrix_k3) X(packed_matrix_k4)             \
    X(plain_bf16) X(plain_f16) X(plain_f32) X(plain_i8)                                            \
    X(quantize) X(quantize_combine) X(quantize_gate) X(quantize_norm)                           \
    X(rope_f16) X(rope_q8) X(rope_q4) X(rope_f32) X(squares)
#define GPU_DECODE_PROGRAMS(X) X(decode_k2) X(decode_k3) X(decode_k4)
#define GPU_PACKED_PROGRAMS(X)                                                                     \
    X(packed_k2_t1) X(packed_k2_t2) X(packed_k2_t4) X(packed_k2_t8)                                \
    X(packed_k3_t1) X(packed_k3_t2) X(packed_k3_t4) X(packed_k3_t8)                                \
    X(packed_k4_t1) X(packed_k4_t2) X(packed_k4_t4) X(packed_k4_t8)                                \
    X(gemm)
/* clang-format on */

enum gpu_program {
#define X(name) GPU_PROGRAM_##name,
    GPU_PROGRAMS(X) GPU_DECODE_PROGRAMS(X) GPU_PACKED_PROGRAMS(X)
#undef X
        GPU_N_PROGRAMS,
    GPU_COPY /* no program: copies range 0 to range 1 */
};

enum {
    GPU_PACKED_TILES = 4,    /* t = 1, 2, 4, 8 */
    GPU_DECODE_RUN = 16,     /* RUN of decode.comp */
    GPU_GEMM_TOKENS = 32,    /* TILE of gemm.comp */
    GPU_PACKED_TOKENS = 32,  /* TILE of packed_matrix.comp */
    GPU_MATRIX_TOKENS = 128, /* TILE of gemm_matrix.comp */
    GPU_TILE_QUERIES = 64    /* QUERIES of attention_matrix.comp */
};

static inline enum gpu_program gpu_decode_program(int k)
{
    return (enum gpu_program)(GPU_PROGRAM_decode_k2 + (k - 2));
}

static inline enum gpu_program gpu_embed_program(int k)
{
    return (enum gpu_program)(GPU_PROGRAM_embed_k2 + (k - 2));
}

static inline enum gpu_program gpu_packed_program(int k, uint32_t log2_tile)
{
    return (enum gpu_program)(GPU_PROGRAM_packed_k2_t1 + (k - 2) * GPU_PACKED_TILES +
                              (int)log2_tile);
}

static inline enum gpu_program gpu_packed_matrix_program(int k)
{
    return (enum gpu_program)(GPU_PROGRAM_packed_matrix_k2 + (k - 2));
}

const char *gpu_program_name(enum gpu_program program);

/* How the packed programs suit a device. */
struct gpu_tuning {
    uint32_t few_threads;  /* of a workgroup for 1 or 2 tokens, */
    uint32_t many_threads; /* and for more, which take more registers */
    uint32_t table_copies; /* of packed.glsl's four tables: 32 words if there is room */
    uint32_t n_groups;     /* workgroups that the device runs at a time */
};

struct gpu_tuning gpu_tuning_of(const struct gpu_limits *limits);

/* Threads of a workgroup of a program that decodes. */
uint32_t gpu_threads_of(const struct gpu_tuning *tuning, enum gpu_program program);

struct gpu_programs {
    struct gpu_device *gpu; /* borrowed */
    struct gpu_tuning tuning;
    VkPipeline pipelines[GPU_N_PROGRAMS]; /* NULL: not used yet */
    struct gpu_pipeline_cache cache;      /* opened with the first pipeline */
    size_t n_made;
};

/* The pipeline of a program, made when it is first asked for. */
upg_status gpu_program_get(struct gpu_programs *programs, enum gpu_program program,
                           VkPipeline *pipeline, upg_error *err);
void gpu_programs_clear(struct gpu_programs *programs);

#endif
