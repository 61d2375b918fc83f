/* pulled.h -- names on a hub where a file is expected. */
#ifndef UPG_CLI_PULLED_H
#define UPG_CLI_PULLED_H

#include "cli/settings.h"

/* If `source` is no file but a name like microsoft/phi-4, pull it: *folder is then an owned C string,
 * else NULL. */
upg_status pull_source(char **folder, const char *source, const struct settings *settings,
                       upg_error *err);

#endif
