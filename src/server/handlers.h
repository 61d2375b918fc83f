/* handlers.h -- what the routes do; see routes.c. */
#ifndef UPG_SERVER_HANDLERS_H
#define UPG_SERVER_HANDLERS_H

#include "server/exchange.h"

bool handle_chat(struct exchange *exchange, struct api_error *error);
bool handle_completions(struct exchange *exchange, struct api_error *error);
bool handle_responses(struct exchange *exchange, struct api_error *error);
bool handle_embeddings(struct exchange *exchange, struct api_error *error);
bool handle_tokenize(struct exchange *exchange, struct api_error *error);
bool handle_detokenize(struct exchange *exchange, struct api_error *error);
bool handle_models(struct exchange *exchange, struct api_error *error);
bool handle_model(struct exchange *exchange, struct api_error *error);
bool handle_health(struct exchange *exchange, struct api_error *error);
bool handle_ready(struct exchange *exchange, struct api_error *error);
bool handle_metrics(struct exchange *exchange, struct api_error *error);
bool handle_openapi(struct exchange *exchange, struct api_error *error);
bool handle_page(struct exchange *exchange, struct api_error *error);

#endif
