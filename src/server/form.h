/* form.h -- the form of an answer: what the prompt says of it, and what the sampler is bound to. */
#ifndef UPG_SERVER_FORM_H
#define UPG_SERVER_FORM_H

#include "server/generation.h"

/* May an answer call functions? */
bool form_has_tools(const struct request *request);

/* The ids of the conversation in the model's chat template, with the functions that may be called. */
bool form_render(const struct generation *generation, upg_tokens *tokens, struct api_error *error);

/* The form that the request asks for, as the text of a JSON Schema that the caller frees; NULL in
 * *schema: any text. */
bool form_schema(const struct request *request, char **schema, struct api_error *error);

/* The filter of one choice, for the scheduler to take over; empty if the schema is NULL.  A schema
 * that cannot be honoured is refused with a 400 that names the keyword. */
bool form_filter(const struct generation *generation, const char *schema, upg_token_filter *filter,
                 struct api_error *error);

#endif
