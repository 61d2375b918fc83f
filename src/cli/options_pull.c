/* options_pull.c -- the options of 'upg pull'. */
#include "cli/options.h"

#include <stddef.h>

static const struct option_spec pull_options[] = {{.name = "revision",
                                                   .kind = OPTION_TEXT,
                                                   .field = offsetof(struct settings, revision),
                                                   .argument = "NAME",
                                                   .fallback = "main",
                                                   .help = "branch, tag or commit"}};
const struct option_group pull_group = {"Repository", pull_options,
                                        sizeof pull_options / sizeof *pull_options};
