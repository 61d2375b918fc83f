/* responses.c -- answers of /v1/responses. */
#include "server/chat.h"

const struct answer_format response_format = {.id_prefix = "resp_"};
