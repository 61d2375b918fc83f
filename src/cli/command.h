/* command.h -- what a command and its options are.
 *
 * The table of commands (commands.c) is the only place where a name, a default, a range or an
 * explanation stands.  Parsing, --help, the manual pages and the completions of three shells are
 * made from it, so they cannot disagree.
 *
 * Texts are plain ASCII; paragraphs are separated by an empty line; lines are broken where they are
 * printed. */
#ifndef UPG_CLI_COMMAND_H
#define UPG_CLI_COMMAND_H

#include "cli/settings.h"

#include <stdbool.h>

/* How the argument of an option is read, and the type of the field of struct settings that gets it.
 */
enum option_kind {
    OPTION_FLAG,   /* int: no argument; the field becomes `on` */
    OPTION_COUNT,  /* uint64_t, min .. max */
    OPTION_AUTO,   /* uint64_t, as a count; "auto" is UINT64_MAX */
    OPTION_SIZE,   /* uint64_t, bytes: a number with or without KiB, MiB, GiB, kB, MB, GB behind */
    OPTION_SEED,   /* uint64_t, as a count; "random" draws one */
    OPTION_REAL,   /* double, min .. max */
    OPTION_TEXT,   /* const char * */
    OPTION_FILE,   /* const char *, a file name: shells complete it */
    OPTION_CHOICE, /* int: the value of one of the words in `choices` */
    OPTION_TEXTS,  /* struct text_list; may be repeated */
    OPTION_FILES,  /* the same of file names */
    OPTION_IDS,    /* upg_tokens: "1,2,3" */
    OPTION_COUNTS, /* struct count_list: "1,2,3", each min .. max */
    OPTION_BIASES  /* struct bias_list: "ID=BIAS"; may be repeated */
};

struct choice {
    const char *word;
    int value;
};

struct option_spec {
    const char *name; /* without the dashes */
    char letter;      /* the short form, 0: none */
    enum option_kind kind;
    size_t field;                 /* offset in struct settings */
    const char *argument;         /* as it is shown: "N"; NULL for a flag */
    const char *fallback;         /* the default as a user would write it; NULL: unset (all zero) */
    double min, max;              /* of a count or a real, both included */
    const struct choice *choices; /* ends with {NULL, 0} */
    int on;                       /* what a flag sets */
    const char *environment;      /* a variable that replaces the default; NULL: none */
    const char *help;
};

/* Options that are listed under one heading. */
struct option_group {
    const char *title;
    const struct option_spec *options; /* [n] */
    size_t n;
};

/* What a shell offers for an operand. */
enum operand_kind { OPERAND_FILES, OPERAND_COMMANDS, OPERAND_SHELLS };

/* What may stand beside the options. */
struct operand_rule {
    const char *synopsis; /* "[MODEL] FILE..." */
    bool model;           /* the first operand is a MODEL that may be absent */
    size_t min, max;      /* number of operands beside MODEL */
    enum operand_kind kind;
};

struct example {
    const char *what, *line;
};

struct command {
    const char *name;
    const char *summary; /* a line without a full stop and apostrophes (shells quote it) */
    const char *description;
    struct operand_rule operands;
    const struct option_group *const *groups; /* NULL-terminated */
    const struct example *examples;           /* ends with {NULL, NULL} */
    /* UPG_ERR_ARGUMENT means wrong usage. */
    upg_status (*run)(const struct settings *settings, upg_error *err);
};

extern const struct command *const upg_commands[]; /* NULL-terminated */

/* NULL if there is none of this name. */
const struct command *find_command(const char *name);

/* Walk over the options of a command in the order of its groups: the i-th, or NULL. */
const struct option_spec *command_option(const struct command *command, size_t i);

#endif
