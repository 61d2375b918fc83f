/* fields.h -- the table of request fields.
 *
 * The only place where a field's name, type, range, default and meaning stand: bodies are read by
 * it and /openapi.json is written from it, so they cannot disagree.  What is not in the table is
 * refused with a 400, as the OpenAI API does: a misspelled name must not pass silently. */
#ifndef UPG_SERVER_FIELDS_H
#define UPG_SERVER_FIELDS_H

#include "server/request.h"

/* How a value is read, and the type of the member of struct request that gets it. */
enum field_kind {
    FIELD_FLAG,      /* bool */
    FIELD_COUNT,     /* int64_t, min .. max */
    FIELD_REAL,      /* double, min .. max */
    FIELD_TEXT,      /* const char *, at most max bytes */
    FIELD_PART,      /* read by a function of its own */
    FIELD_NO_MATTER, /* accepted in any form, without effect here: accounting, storage, hints */
    FIELD_REFUSED    /* known to the API, not to this server: only null, or the value `fallback` */
};

struct field {
    const char *name;
    unsigned endpoints; /* enum endpoint, or-ed */
    enum field_kind kind;
    size_t member;        /* offset in struct request */
    double min, max;      /* both included */
    const char *fallback; /* the default as JSON; NULL: none */
    bool required;
    /* FIELD_PART: value is not null.  param is the field's name, for messages. */
    bool (*read)(struct request *request, const char *param, const json_t *value,
                 struct api_error *error);
    const char *schema; /* FIELD_PART: JSON Schema of the value */
    const char *help;
};

extern const struct field request_fields[];
extern const size_t n_request_fields;

/* NULL if the endpoint has no such field. */
const struct field *find_field(enum endpoint endpoint, const char *name);

/* Readers of FIELD_PART.  read_messages.c: */
bool read_messages(struct request *, const char *param, const json_t *, struct api_error *);
bool read_response_input(struct request *, const char *param, const json_t *, struct api_error *);
/* read_prompts.c: */
bool read_prompts(struct request *, const char *param, const json_t *, struct api_error *);
bool read_text_prompt(struct request *, const char *param, const json_t *, struct api_error *);
bool read_tokens(struct request *, const char *param, const json_t *, struct api_error *);
/* read_sampling.c: */
bool read_stop(struct request *, const char *param, const json_t *, struct api_error *);
bool read_logit_bias(struct request *, const char *param, const json_t *, struct api_error *);
bool read_seed(struct request *, const char *param, const json_t *, struct api_error *);
bool read_completion_logprobs(struct request *, const char *param, const json_t *,
                              struct api_error *);
bool read_stream_options(struct request *, const char *param, const json_t *, struct api_error *);
bool read_encoding_format(struct request *, const char *param, const json_t *, struct api_error *);
bool read_include(struct request *, const char *param, const json_t *, struct api_error *);
/* read_format.c: */
bool read_response_format(struct request *, const char *param, const json_t *, struct api_error *);
bool read_text_format(struct request *, const char *param, const json_t *, struct api_error *);
bool read_tools(struct request *, const char *param, const json_t *, struct api_error *);
bool read_response_tools(struct request *, const char *param, const json_t *, struct api_error *);
bool read_tool_choice(struct request *, const char *param, const json_t *, struct api_error *);

/* Help for readers.  The name of an element: "messages[3]" or "messages[3].role" into error->param,
 * which api_fail() accepts. */
const char *element_param(struct api_error *error, const char *param, size_t i, const char *member);

/* "expected a string, but got an integer"; false. */
bool refuse_type(struct api_error *error, const char *param, const char *expected,
                 const json_t *value);

/* Keep a text that was put together as long as the request; takes it, also on failure.  NULL: memory
 * is out, error is filled. */
const char *request_own_text(struct request *request, char *text, struct api_error *error);

/* Append a message.  false: memory is out or there are too many, error is filled. */
bool request_add_message(struct request *request, const upg_message *message,
                         struct api_error *error);

#endif
