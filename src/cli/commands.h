/* commands.h -- what the commands do; one file each.  See commands.c for what they are. */
#ifndef UPG_CLI_COMMANDS_H
#define UPG_CLI_COMMANDS_H

#include "cli/settings.h"

upg_status run_command(const struct settings *settings, upg_error *err);
upg_status chat_command(const struct settings *settings, upg_error *err);
upg_status serve_command(const struct settings *settings, upg_error *err);
upg_status tokenize_command(const struct settings *settings, upg_error *err);
upg_status logits_command(const struct settings *settings, upg_error *err);
upg_status inspect_command(const struct settings *settings, upg_error *err);
upg_status verify_command(const struct settings *settings, upg_error *err);
upg_status eval_command(const struct settings *settings, upg_error *err);
upg_status compress_command(const struct settings *settings, upg_error *err);
upg_status export_command(const struct settings *settings, upg_error *err);
upg_status bench_command(const struct settings *settings, upg_error *err);
upg_status plan_command(const struct settings *settings, upg_error *err);
upg_status pull_command(const struct settings *settings, upg_error *err);
upg_status synth_command(const struct settings *settings, upg_error *err);
upg_status help_command(const struct settings *settings, upg_error *err);
upg_status completion_command(const struct settings *settings, upg_error *err);

#endif
