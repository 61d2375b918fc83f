/* pull_absent.c -- 'upg pull' in a program that was built without it. */
#include "cli/pulled.h"

#include "cli/commands.h"
#include "cli/message.h"

upg_status pull_source(char **folder, const char *source, const struct settings *settings,
                       upg_error *err)
{
    (void)source;
    (void)settings;
    (void)err;
    *folder = NULL;
    return UPG_OK;
}

upg_status pull_command(const struct settings *settings, upg_error *err)
{
    (void)settings;
    return fail(err, UPG_ERR_UNSUPPORTED,
                "this upg was built without downloads: install libcurl, nettle and their headers "
                "(Debian: libcurl4-gnutls-dev nettle-dev), then build upg again");
}
