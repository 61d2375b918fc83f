/* message.c -- errors, notes and exit codes. */
#include "cli/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool quiet_notes;

static void hide_control_bytes(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            *text = '?';
}

upg_status fail(upg_error *err, upg_status status, const char *format, ...)
{
    va_list args;

    err->status = status;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    hide_control_bytes(err->message);
    return status;
}

upg_status fail_memory(upg_error *err, const char *what)
{
    return fail(err, UPG_ERR_MEMORY, "out of memory while making %s", what);
}

upg_status fail_errno(upg_error *err, const char *path, const char *action)
{
    const int code = errno;
    const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;

    return fail(err, full ? UPG_ERR_SPACE : UPG_ERR_IO, "%s: cannot %s: %s", path, action,
                strerror(code));
}

void add_context(upg_error *err, const char *where)
{
    char message[sizeof err->message];

    memcpy(message, err->message, sizeof message);
    fail(err, err->status, "%s: %s", where, message);
}

void set_quiet(bool quiet)
{
    quiet_notes = quiet;
}

void note(const char *format, ...)
{
    va_list args;

    if (quiet_notes)
        return;
    fputs("upg: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

int exit_code(upg_status status)
{
    switch (status) {
    case UPG_OK: return 0;
    case UPG_ERR_ARGUMENT: return 2;
    case UPG_ERR_FORMAT:
    case UPG_ERR_UNSUPPORTED: return 3;
    case UPG_ERR_MEMORY:
    case UPG_ERR_SPACE: return 4;
    case UPG_ERR_CANCELLED: return 130;
    case UPG_ERR_IO:
    case UPG_ERR_CONTEXT:
    case UPG_ERR_BUSY:
    case UPG_ERR_INTERNAL: break;
    }
    return 1;
}
