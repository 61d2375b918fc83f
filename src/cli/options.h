/* options.h -- the options, in the groups that commands are put together from. */
#ifndef UPG_CLI_OPTIONS_H
#define UPG_CLI_OPTIONS_H

#include "cli/command.h"

extern const struct option_group help_group;        /* --help */
extern const struct option_group json_group;        /* --json, --help */
extern const struct option_group output_group;      /* --json, --quiet, --verbose, --log, --help */
extern const struct option_group machine_group;     /* --threads, --device, ... */
extern const struct option_group cache_group;       /* --ctx, --kv */
extern const struct option_group exact_cache_group; /* the same, --kv f32 by default */
extern const struct option_group text_group;        /* -p, -f, --parse-special */
extern const struct option_group run_group;         /* --chat, --no-chat, --system */
extern const struct option_group chat_group;        /* --system */
extern const struct option_group sampling_group;    /* -n, --temperature, ... */
extern const struct option_group form_group;        /* --json-schema, ... (options_form.c) */
extern const struct option_group logits_group;      /* --ids */
extern const struct option_group tokenize_group;    /* --decode, --jsonl */
extern const struct option_group eval_group;        /* --ref, --ctx, --stride, ... */
extern const struct option_group size_group;        /* --ratio, --bpw, --size */
extern const struct option_group compress_group;    /* --calibration, --effort, ... */
extern const struct option_group export_group;      /* --format, --threads */
extern const struct option_group shape_group;       /* --shape, --layers, --bpw */
extern const struct option_group bench_group;       /* --pp, --tg, --depth, --reps, ... */
extern const struct option_group pull_group;        /* --revision */
extern const struct option_group synth_group;       /* --shape, --format, --layers, ... */
extern const struct option_group network_group;     /* --host, --port, ... (options_serve.c) */
extern const struct option_group access_group;      /* --api-key, --cors, ... */
extern const struct option_group load_group;        /* --parallel, --queue, ... */
extern const struct option_group limit_group;       /* --max-body, --grace, ... */
extern const struct option_group manual_group;      /* --man */

#endif
