/* api_error.c -- errors in the shape of the OpenAI API. */
#include "server/api_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { RETRY_AFTER_S = 2 };

static void keep_printable(char *text)
{
    for (; *text; text++)
        if (*text < 0x20 || *text > 0x7e)
            *text = '?';
}

bool api_fail(struct api_error *error, int http_status, const char *param, const char *format, ...)
{
    va_list arguments;

    error->http_status = http_status;
    if (param != error->param)
        snprintf(error->param, sizeof error->param, "%s", param ? param : "");
    keep_printable(error->param);
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    keep_printable(error->message);
    return false;
}

bool api_fail_library(struct api_error *error, const char *param, const upg_error *cause)
{
    switch (cause->status) {
    case UPG_ERR_CONTEXT: error->code = "context_length_exceeded"; /* fallthrough */
    case UPG_ERR_ARGUMENT:
    case UPG_ERR_UNSUPPORTED: return api_fail(error, 400, param, "%s", cause->message);
    case UPG_ERR_MEMORY:
        error->retry_after_s = RETRY_AFTER_S;
        return api_fail(error, 503, NULL, "%s", cause->message);
    default: return api_fail(error, 500, NULL, "%s", cause->message);
    }
}

bool api_fail_memory(struct api_error *error)
{
    return api_fail(error, 500, NULL, "out of memory");
}

static const char *type_name(int http_status)
{
    switch (http_status) {
    case 401: return "authentication_error";
    case 429: return "rate_limit_error";
    case 503: return "service_unavailable_error";
    default: return http_status < 500 ? "invalid_request_error" : "server_error";
    }
}

json_t *api_error_json(const struct api_error *error)
{
    return json_pack("{s:{s:s, s:s, s:o, s:s?}}", "error", "message", error->message, "type",
                     type_name(error->http_status), "param",
                     error->param[0] ? json_string(error->param) : json_null(), "code",
                     error->code);
}
