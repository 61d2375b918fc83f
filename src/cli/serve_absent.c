/* serve_absent.c -- 'upg serve' in a program that was built without the server. */
#include "cli/commands.h"

#include "cli/message.h"

upg_status serve_command(const struct settings *settings, upg_error *err)
{
    (void)settings;
    return fail(err, UPG_ERR_UNSUPPORTED,
                "this upg was built without the server: install libmicrohttpd and its headers "
                "(Debian: libmicrohttpd-dev), then build upg again");
}
