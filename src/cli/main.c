/* main.c -- upg: find the command, read its options, run it, and leave with a status that says how
 * it went. */
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/manual.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/parse.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static upg_status run_settings(const struct settings *settings, upg_error *err)
{
    if (settings->help) {
        write_manual(&plain_form, settings->command);
        return UPG_OK;
    }
    set_quiet(settings->log_level == LOG_QUIET);
    return settings->command->run(settings, err);
}

static upg_status run_named(const char *name, int argc, char **argv, upg_error *err)
{
    const struct command *command = find_command(name);
    struct settings settings;
    upg_status status;

    if (!command)
        return refuse_command(name, err);
    status = parse_command_line(&settings, command, argc, argv, err);
    if (status == UPG_OK)
        status = run_settings(&settings, err);
    settings_clear(&settings);
    return status;
}

/* Version, and the instructions that UPG_CPU and this machine allow. */
static upg_status write_version(upg_error *err)
{
    char tier[256];
    const upg_status status = upg_cpu_tier(getenv("UPG_CPU"), tier, sizeof tier, err);

    if (status == UPG_OK)
        printf("upg %s\ninstructions: %s\n", upg_version(), tier);
    return status;
}

static upg_status run_upg(int argc, char **argv, upg_error *err)
{
    const char *word = argc > 1 ? argv[1] : NULL;

    if (!word)
        return fail(err, UPG_ERR_ARGUMENT, "a command is missing; try 'upg chat'");
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
        write_manual(&plain_form, NULL);
        return UPG_OK;
    }
    if (strcmp(word, "-V") == 0 || strcmp(word, "--version") == 0)
        return write_version(err);
    if (word[0] == '-')
        return fail(err, UPG_ERR_ARGUMENT, "'%s' stands where a command is expected", word);
    return run_named(word, argc - 1, argv + 1, err);
}

/* Says how it went.  That nobody reads on, as in 'upg ... | head', needs no words. */
static void report(upg_status status, const upg_error *err, const char *command)
{
    if (status == UPG_OK || output_is_closed())
        return;
    if (status == UPG_ERR_CANCELLED)
        fputs("upg: interrupted\n", stderr);
    else
        fprintf(stderr, "upg: error: %s\n", err->message);
    if (status == UPG_ERR_ARGUMENT)
        fprintf(stderr, "Try 'upg %s%s--help'.\n", command ? command : "", command ? " " : "");
}

int main(int argc, char **argv)
{
    upg_error err = {0};
    upg_status status, written;

    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a failed write, the program ends in order, */
    signal(SIGXFSZ, SIG_IGN); /* and so is a file beyond the limit */
    interrupt_catch();
    status = run_upg(argc, argv, &err);
    if (status == UPG_OK || status == UPG_ERR_CANCELLED) {
        written = output_check(&err);
        status = written == UPG_OK ? status : written;
    }
    report(status, &err, argc > 1 && find_command(argv[1]) ? argv[1] : NULL);
    return exit_code(status);
}
