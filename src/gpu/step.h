/* step.h -- the commands of a step: written down first, then submitted at once.
 *
 * A command is plain data.  When the commands of a step are those of a command buffer that is
 * recorded already, that one is submitted again: the steps of an answer differ only in what lies in
 * buffers, so that a token costs one submission and no recording. */
#ifndef UPG_GPU_STEP_H
#define UPG_GPU_STEP_H

#include "gpu/program.h"

/* Start from {0}, fill in, gpu_step_add(): recordings are compared byte by byte. */
struct gpu_command {
    uint32_t program; /* enum gpu_program */
    uint32_t joined;  /* 1: does not depend on the command before it */
    uint32_t groups[3];
    uint32_t n_ranges;
    struct gpu_range ranges[GPU_MAX_RANGES];
    uint32_t constants[GPU_MAX_CONSTANTS];
};

enum { GPU_N_RECORDINGS = 4, GPU_MAX_TIMES = 8192 };

struct gpu_recording {
    VkCommandBuffer buffer;
    struct gpu_command *commands; /* [capacity], owned */
    size_t n, capacity;
    uint64_t last_used;
};

struct gpu_step {
    struct gpu_programs *programs; /* borrowed */
    VkFence fence;
    VkQueryPool times;        /* NULL: not measured */
    struct gpu_recording now; /* the step that is written down; buffer NULL */
    struct gpu_recording kept[GPU_N_RECORDINGS];
    uint64_t n_steps;
    upg_error failure; /* the first since the last gpu_step_run() */
};

upg_status gpu_step_init(struct gpu_step *step, struct gpu_programs *programs, upg_error *err);
void gpu_step_clear(struct gpu_step *step);

/* Add a command; a failure is reported by gpu_step_run(). */
void gpu_step_add(struct gpu_step *step, const struct gpu_command *command);

/* The command that was added last, NULL at the begin of a step; and take it back. */
struct gpu_command *gpu_step_last(const struct gpu_step *step);
void gpu_step_take_back(struct gpu_step *step);

/* Keep a failure for gpu_step_run(). */
void gpu_step_fail(struct gpu_step *step, upg_status status, const char *message);

/* Submit what was added, wait, and begin anew. */
upg_status gpu_step_run(struct gpu_step *step, upg_error *err);

/* From now on measure commands, for gpu_step_times(). */
upg_status gpu_step_measure(struct gpu_step *step, upg_error *err);

/* Nanoseconds of each program (and of copies, the last) in the step that ran last, and their
 * number. */
upg_status gpu_step_times(struct gpu_step *step, double ns[GPU_N_PROGRAMS + 1],
                          size_t n[GPU_N_PROGRAMS + 1], upg_error *err);

#endif
