/* generation.h -- what `run` and `chat` have in common: options, and text that is written as it
 * comes. */
#ifndef UPG_CLI_GENERATION_H
#define UPG_CLI_GENERATION_H

#include "cli/open.h"
#include "cli/progress.h"

#include <stdbool.h>

/* Generate after `prompt`, which is appended to the sequence.
 *   constraint  as in upg_generate_options; NULL: any text
 *   seed    in place of that of the settings
 *   stream  write the text to standard output as it comes, and a line end after it on a terminal
 * Ctrl-C and a failed write end the generation: finish CANCELLED. */
upg_status generate(upg_sequence *sequence, const upg_tokens *prompt,
                    const struct settings *settings, upg_constraint *constraint, uint64_t seed,
                    bool stream, upg_generation *generation, upg_error *err);

/* "stop", "length", "cancelled" */
const char *finish_name(upg_finish finish);

/* n / seconds, 0 when no time has passed. */
double rate(size_t n, double seconds);

#endif
