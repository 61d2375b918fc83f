/* parse.h -- from argv to settings. */
#ifndef UPG_CLI_PARSE_H
#define UPG_CLI_PARSE_H

#include "cli/command.h"

/* Read the arguments of `command`; argv[0] is the command's name.  GNU habits: options and operands
 * in any order, "--name value", "--name=value", an unambiguous beginning of a name, "-n5", "-n 5",
 * "--" ends the options.
 *
 * UPG_ERR_ARGUMENT names what is wrong and, for a misspelled option, the nearest right one.  The
 * caller clears the settings in any case. */
upg_status parse_command_line(struct settings *settings, const struct command *command, int argc,
                              char **argv, upg_error *err);

/* UPG_ERR_ARGUMENT: there is no command `name`; the message says which one may be meant. */
upg_status refuse_command(const char *name, upg_error *err);

/* Of n_words words the one most like `word`, if it is like it at all; else NULL.
 *   word_at  gives word i of `words` */
const char *nearest_word(const char *word, const void *words, size_t n_words,
                         const char *(*word_at)(const void *words, size_t i));

#endif
