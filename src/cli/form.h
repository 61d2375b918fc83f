/* form.h -- the form that an answer keeps: --json-schema, --grammar, --regex. */
#ifndef UPG_CLI_FORM_H
#define UPG_CLI_FORM_H

#include "cli/open.h"

/* The constraint that the settings ask for; NULL if they ask for none.  The caller frees it with
 * upg_constraint_free().  More than one of the three is UPG_ERR_ARGUMENT. */
upg_status open_form(upg_constraint **constraint, const struct opened *opened,
                     const struct settings *settings, upg_error *err);

#endif
