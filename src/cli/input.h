/* input.h -- texts that a command reads. */
#ifndef UPG_CLI_INPUT_H
#define UPG_CLI_INPUT_H

#include "cli/settings.h"

/* Start from {0}. */
struct text {
    char *bytes; /* [n] and a zero behind, owned */
    size_t n;
};

/* Read all of a file; "-" is standard input.  At most 1 GiB.  UPG_ERR_CANCELLED after Ctrl-C. */
upg_status text_read(struct text *text, const char *path, upg_error *err);
upg_status text_copy(struct text *text, const char *bytes, upg_error *err);
void text_clear(struct text *text);

/* The text of -p, -f, or of the operand numbered `operand`: for "-" what is on standard input,
 * otherwise the operand itself.  Exactly one of them must be given. */
upg_status text_of_settings(struct text *text, const struct settings *settings, size_t operand,
                            upg_error *err);

#endif
