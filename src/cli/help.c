/* help.c -- upg help: explain upg, or one of its commands. */
#include "cli/commands.h"

#include "cli/manual.h"
#include "cli/message.h"
#include "cli/parse.h"

#include <stdio.h>

static void list_commands(void)
{
    for (size_t i = 0; upg_commands[i]; i++)
        puts(upg_commands[i]->name);
}

upg_status help_command(const struct settings *settings, upg_error *err)
{
    const char *name = settings->n_operands > 0 ? settings->operands[0] : NULL;
    const struct command *command = name ? find_command(name) : NULL;

    if (name && !command)
        return refuse_command(name, err);
    if (settings->list)
        list_commands();
    else
        write_manual(settings->man ? &roff_form : &plain_form, command);
    return UPG_OK;
}
