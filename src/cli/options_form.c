/* options_form.c -- options for the form that an answer keeps. */
#include "cli/options.h"

#include <stddef.h>

#define FIELD(name) offsetof(struct settings, name)

static const struct option_spec form_options[] = {
    {.name = "json-schema",
     .kind = OPTION_FILE,
     .field = FIELD(schema_file),
     .argument = "FILE",
     .help = "the answer is JSON that this JSON Schema allows; docs/constrained-output.md has the "
             "keywords"},
    {.name = "grammar",
     .kind = OPTION_FILE,
     .field = FIELD(grammar_file),
     .argument = "FILE",
     .help = "the answer is a text of this GBNF grammar"},
    {.name = "regex",
     .kind = OPTION_TEXT,
     .field = FIELD(pattern),
     .argument = "RE",
     .help = "the answer matches this regular expression as a whole"}};
const struct option_group form_group = {"Form of the answer", form_options,
                                        sizeof form_options / sizeof *form_options};
