/* completion.c -- upg completion: scripts for bash, zsh and fish from the table of commands. */
#include "cli/commands.h"

#include "cli/command.h"
#include "cli/message.h"

#include <stdio.h>
#include <string.h>

static const char *const shell_names = "bash zsh fish";

static void print_command_names(void)
{
    for (size_t i = 0; upg_commands[i]; i++)
        printf("%s%s", i > 0 ? " " : "", upg_commands[i]->name);
}

static void print_choices(const struct option_spec *option)
{
    for (size_t i = 0; option->choices[i].word; i++)
        printf("%s%s", i > 0 ? " " : "", option->choices[i].word);
}

/* The explanation up to its first pause, in single quotes of any shell: no quotes, brackets or
 * colons. */
static void print_hint(const char *help)
{
    const size_t n = strcspn(help, ";:(");

    for (size_t i = 0; i < n && help[i]; i++)
        if (!strchr("'[]\\", help[i]) && !(help[i] == ' ' && i + 1 == n))
            putchar(help[i]);
}

static bool is_file(const struct option_spec *option)
{
    return option->kind == OPTION_FILE || option->kind == OPTION_FILES;
}

/* ---- bash ---- */

/* "run:-k|run:--kv)" of an option, and what follows for its kind of value. */
static void bash_value(const struct command *command, const struct option_spec *option)
{
    fputs("    ", stdout);
    if (option->letter)
        printf("%s:-%c | ", command->name, option->letter);
    printf("%s:--%s) ", command->name, option->name);
    if (option->choices) {
        fputs("_upg_words \"$cur\" \"", stdout);
        print_choices(option);
        fputs("\"; return ;;\n", stdout);
    } else if (is_file(option)) {
        fputs("_upg_files \"$cur\"; return ;;\n", stdout);
    } else {
        fputs("return ;;\n", stdout);
    }
}

static void bash_options(const struct command *command)
{
    const struct option_spec *option;

    printf("    %s:-*) _upg_words \"$cur\" \"", command->name);
    for (size_t i = 0; (option = command_option(command, i)); i++)
        printf("%s--%s", i > 0 ? " " : "", option->name);
    fputs("\" ;;\n", stdout);
}

static void bash_operands(const struct command *command)
{
    printf("    %s:*) ", command->name);
    switch (command->operands.kind) {
    case OPERAND_FILES: fputs("_upg_files \"$cur\"", stdout); break;
    case OPERAND_COMMANDS: fputs("_upg_words \"$cur\" \"$commands\"", stdout); break;
    case OPERAND_SHELLS: printf("_upg_words \"$cur\" \"%s\"", shell_names); break;
    }
    fputs(" ;;\n", stdout);
}

static void write_bash(void)
{
    const struct option_spec *option;

    fputs("# bash completion for upg, written by 'upg completion bash'\n"
          "_upg_words()\n{\n"
          "    mapfile -t COMPREPLY < <(compgen -W \"$2\" -- \"$1\")\n}\n\n"
          "_upg_files()\n{\n"
          "    compopt -o filenames\n"
          "    mapfile -t COMPREPLY < <(compgen -f -- \"$1\")\n}\n\n"
          "_upg()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local commands=\"",
          stdout);
    print_command_names();
    fputs("\"\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        _upg_words \"$cur\" \"$commands --help --version\"\n"
          "        return\n"
          "    fi\n"
          "    if [ \"$cur\" = \"=\" ]; then # --name=\n"
          "        cur=\n"
          "    elif [ \"$prev\" = \"=\" ]; then # --name=value\n"
          "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
          "    fi\n"
          "    case ${COMP_WORDS[1]}:$prev in\n",
          stdout);
    for (size_t c = 0; upg_commands[c]; c++)
        for (size_t i = 0; (option = command_option(upg_commands[c], i)); i++)
            if (option->argument)
                bash_value(upg_commands[c], option);
    fputs("    esac\n"
          "    case ${COMP_WORDS[1]}:$cur in\n",
          stdout);
    for (size_t c = 0; upg_commands[c]; c++) {
        bash_options(upg_commands[c]);
        bash_operands(upg_commands[c]);
    }
    fputs("    esac\n}\n\ncomplete -F _upg upg\n", stdout);
}

/* ---- zsh ---- */

static bool is_repeatable(const struct option_spec *option)
{
    return option->kind == OPTION_TEXTS || option->kind == OPTION_FILES ||
           option->kind == OPTION_BIASES;
}

static void zsh_option(const struct option_spec *option)
{
    fputs(" \\\n            ", stdout);
    if (is_repeatable(option))
        printf("'*--%s", option->name);
    else if (option->letter)
        printf("'(-%c --%s)'{-%c%s,--%s", option->letter, option->name, option->letter,
               option->argument ? "+" : "", option->name);
    else
        printf("'--%s", option->name);
    if (option->argument)
        putchar('=');
    fputs(option->letter && !is_repeatable(option) ? "}'[" : "[", stdout);
    print_hint(option->help);
    putchar(']');
    if (option->argument)
        printf(":%s:", option->argument);
    if (option->choices) {
        putchar('(');
        print_choices(option);
        putchar(')');
    } else if (is_file(option)) {
        fputs("_files", stdout);
    }
    putchar('\'');
}

static void zsh_operands(const struct command *command)
{
    fputs(" \\\n            ", stdout);
    switch (command->operands.kind) {
    case OPERAND_FILES: fputs("'*:file:_files'", stdout); break;
    case OPERAND_COMMANDS:
        fputs("'1:command:(", stdout);
        print_command_names();
        fputs(")'", stdout);
        break;
    case OPERAND_SHELLS: printf("'1:shell:(%s)'", shell_names); break;
    }
}

static void write_zsh(void)
{
    const struct option_spec *option;

    fputs("#compdef upg\n"
          "# zsh completion for upg, written by 'upg completion zsh'\n"
          "_upg()\n{\n"
          "    local -a commands\n"
          "    commands=(\n",
          stdout);
    for (size_t c = 0; upg_commands[c]; c++)
        printf("        '%s:%s'\n", upg_commands[c]->name, upg_commands[c]->summary);
    fputs("    )\n"
          "    if (( CURRENT == 2 )); then\n"
          "        _describe command commands\n"
          "        return\n"
          "    fi\n"
          "    shift words\n"
          "    (( CURRENT-- ))\n"
          "    case $words[1] in\n",
          stdout);
    for (size_t c = 0; upg_commands[c]; c++) {
        printf("    %s)\n        _arguments -s -S", upg_commands[c]->name);
        for (size_t i = 0; (option = command_option(upg_commands[c], i)); i++)
            zsh_option(option);
        zsh_operands(upg_commands[c]);
        fputs(" ;;\n", stdout);
    }
    fputs("    esac\n}\n\n"
          "if [ \"$funcstack[1]\" = _upg ]; then\n"
          "    _upg \"$@\"\n"
          "else\n"
          "    compdef _upg upg\n"
          "fi\n",
          stdout);
}

/* ---- fish ---- */

static void fish_option(const struct command *command, const struct option_spec *option)
{
    printf("complete -c upg -n '__fish_seen_subcommand_from %s' -l %s", command->name,
           option->name);
    if (option->letter)
        printf(" -s %c", option->letter);
    if (option->choices) {
        fputs(" -x -a '", stdout);
        print_choices(option);
        putchar('\'');
    } else if (is_file(option)) {
        fputs(" -r -F", stdout);
    } else if (option->argument) {
        fputs(" -x", stdout);
    }
    fputs(" -d '", stdout);
    print_hint(option->help);
    fputs("'\n", stdout);
}

static void fish_operands(const struct command *command)
{
    printf("complete -c upg -n '__fish_seen_subcommand_from %s'", command->name);
    switch (command->operands.kind) {
    case OPERAND_FILES: fputs(" -F\n", stdout); break;
    case OPERAND_COMMANDS:
        fputs(" -a '", stdout);
        print_command_names();
        fputs("'\n", stdout);
        break;
    case OPERAND_SHELLS: printf(" -a '%s'\n", shell_names); break;
    }
}

static void write_fish(void)
{
    const struct option_spec *option;

    fputs("# fish completion for upg, written by 'upg completion fish'\n"
          "complete -c upg -f\n"
          "complete -c upg -n __fish_use_subcommand -l help -s h -d 'explain upg'\n"
          "complete -c upg -n __fish_use_subcommand -l version -s V -d 'show the version'\n",
          stdout);
    for (size_t c = 0; upg_commands[c]; c++)
        printf("complete -c upg -n __fish_use_subcommand -a %s -d '%s'\n", upg_commands[c]->name,
               upg_commands[c]->summary);
    for (size_t c = 0; upg_commands[c]; c++) {
        for (size_t i = 0; (option = command_option(upg_commands[c], i)); i++)
            fish_option(upg_commands[c], option);
        fish_operands(upg_commands[c]);
    }
}

upg_status completion_command(const struct settings *settings, upg_error *err)
{
    const char *shell = settings->operands[0];

    if (strcmp(shell, "bash") == 0)
        write_bash();
    else if (strcmp(shell, "zsh") == 0)
        write_zsh();
    else if (strcmp(shell, "fish") == 0)
        write_fish();
    else
        return fail(err, UPG_ERR_ARGUMENT, "'%s' is none of the shells bash, zsh, fish", shell);
    return UPG_OK;
}
