/* manual.h -- what there is to read about upg and its commands, in two forms from one table. */
#ifndef UPG_CLI_MANUAL_H
#define UPG_CLI_MANUAL_H

#include "cli/command.h"

/* How the parts of a page are written to standard output. */
struct manual_form {
    bool complete; /* a page of its own: exit status, environment and so on belong to it */
    /* name "upg run", summary without a full stop, synopsis "upg run [MODEL] [OPTIONS]" */
    void (*begin)(const char *name, const char *summary, const char *synopsis);
    void (*heading)(const char *text);
    void (*subheading)(const char *text);
    void (*paragraphs)(const char *text); /* divided by empty lines */
    void (*item)(const char *term, const char *text);
    void (*example)(const char *what, const char *line);
};

extern const struct manual_form plain_form; /* for --help */
extern const struct manual_form roff_form;  /* for man */

/* The page of a command, or upg's own for NULL. */
void write_manual(const struct manual_form *form, const struct command *command);

/* "-n, --max-tokens N" into out[n]. */
void option_term(const struct option_spec *option, char *out, size_t n);

#endif
