/* settings.h -- the values that a command line gives: one field an option, whatever the command.
 *
 * Filled by parse_command_line() from the defaults of the table, the environment and the arguments;
 * read-only for the commands.  Strings borrow from argv, the environment or the table. */
#ifndef UPG_CLI_SETTINGS_H
#define UPG_CLI_SETTINGS_H

#include "upg/upg.h"

struct text_list {
    const char **texts; /* [n], the array is owned */
    size_t n;
};

struct count_list {
    size_t *counts; /* [n], owned */
    size_t n;
};

struct bias_list {
    upg_logit_bias *biases; /* [n], owned */
    size_t n;
};

enum template_use { TEMPLATE_DEFAULT = 0, TEMPLATE_ON = 1, TEMPLATE_OFF = 2 };
enum effort { EFFORT_FAST, EFFORT_NORMAL, EFFORT_BEST };
enum log_level { LOG_QUIET, LOG_NORMAL, LOG_VERBOSE };

struct settings {
    const struct command *command;
    const char *model;     /* NULL: the embedded default */
    char *const *operands; /* [n_operands] what stands beside MODEL, borrowed from argv */
    size_t n_operands;

    int help;
    int json, log_level; /* enum log_level */

    const char *prompt, *prompt_file, *system; /* NULL: not given */
    upg_tokens ids;                            /* of --ids, owned */
    int use_template;                          /* enum template_use */
    int parse_special;

    uint64_t n_threads;  /* 0: one a physical core */
    const char *device;  /* as in upg_engine_options, */
    uint64_t gpu_layers; /* and this */
    int kv_type;         /* upg_kv_type */
    uint64_t context;    /* tokens; 0: chosen by the command */
    int compute;         /* upg_compute */

    uint64_t max_tokens, top_k, seed;
    double temperature, top_p, min_p;
    double repetition_penalty, presence_penalty, frequency_penalty;
    int greedy;
    struct bias_list logit_bias;
    struct text_list stop;
    const char *schema_file, *grammar_file, *pattern; /* NULL: not given */

    const char *reference_model, *jsonl_file;
    uint64_t stride;
    int decode;
    int man, list;

    double ratio, bits_per_weight; /* 0: not given */
    uint64_t max_bytes;            /* 0: not given */
    const char *revision;          /* on a hub */
    const char *shape;
    uint64_t n_layers;            /* 0: those of the shape */
    int format;                   /* upg_export_format or upg_synth_format, by the command */
    struct text_list calibration; /* file names */
    int effort;                   /* enum effort */
    uint64_t tune_steps;          /* UINT64_MAX: chosen by upg */

    struct count_list prompts, generations, depths; /* of bench, tokens */
    uint64_t n_reps;
    int csv, kernels;

    const char *host, *certificate_file, *private_key_file; /* NULL: not given */
    const char *api_key_file, *model_name, *prefix_cache_file;
    uint64_t port, max_running, max_waiting, cache_tokens;
    uint64_t max_body_bytes, max_connections;
    uint64_t request_timeout, idle_timeout, grace; /* seconds */
    struct text_list api_keys, origins, host_names;
    int no_page, no_prefix_cache, no_speculation;
};

/* Free what is owned. */
void settings_clear(struct settings *settings);

#endif
