/* error.c -- making error messages. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cut half a character from the end and hide control bytes: names in messages come from files. */
static void make_printable(char *text, size_t n)
{
    size_t tail = n;

    while (tail > 0 && ((unsigned char)text[tail - 1] & 0xC0) == 0x80)
        tail--;
    if (tail > 0 && ((unsigned char)text[tail - 1] & 0xC0) == 0xC0) {
        const unsigned char lead = (unsigned char)text[tail - 1];
        const size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
        if (n - (tail - 1) < need)
            text[tail - 1] = '\0';
    }
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = '?';
}

upg_status upg_fail(upg_error *err, upg_status status, const char *format, ...)
{
    if (err) {
        va_list args;

        err->status = status;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        make_printable(err->message, strlen(err->message));
    }
    return status;
}

upg_status upg_fail_memory(upg_error *err, const char *what, size_t n_bytes)
{
    return upg_fail(err, UPG_ERR_MEMORY, "out of memory: %s needs %zu bytes", what, n_bytes);
}

upg_status upg_fail_errno(upg_error *err, const char *path, const char *action)
{
    const int code = errno;
    upg_status status = UPG_ERR_IO;

    if (code == ENOSPC || code == EDQUOT || code == EFBIG)
        status = UPG_ERR_SPACE;
    else if (code == ENOMEM)
        status = UPG_ERR_MEMORY;
    return upg_fail(err, status, "%s: cannot %s: %s", path, action, strerror(code));
}

const char *upg_status_name(upg_status status)
{
    switch (status) {
    case UPG_OK: return "ok";
    case UPG_ERR_ARGUMENT: return "bad argument";
    case UPG_ERR_IO: return "input or output failed";
    case UPG_ERR_FORMAT: return "bad or damaged file";
    case UPG_ERR_UNSUPPORTED: return "not supported";
    case UPG_ERR_MEMORY: return "out of memory";
    case UPG_ERR_SPACE: return "out of disk space";
    case UPG_ERR_CONTEXT: return "context is full";
    case UPG_ERR_CANCELLED: return "cancelled";
    case UPG_ERR_INTERNAL: return "internal error";
    case UPG_ERR_BUSY: return "busy";
    }
    return "unknown status";
}
