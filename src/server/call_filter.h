/* call_filter.h -- a filter for answers that may be text or function calls, as the model likes.
 *
 * Everything is allowed until the answer, or what comes behind its thoughts (thoughts.h), begins like
 * calls (calls.h); from there on it is bound to their schema. */
#ifndef UPG_SERVER_CALL_FILTER_H
#define UPG_SERVER_CALL_FILTER_H

#include "server/api_error.h"

/* constraint: at its beginning; taken, also on failure.  The tokenizer is borrowed for as long as
 * the filter lives. */
bool call_filter(upg_token_filter *filter, upg_constraint *constraint,
                 const upg_tokenizer *tokenizer, struct api_error *error);

#endif
