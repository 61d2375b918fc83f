/* exported.c -- written anew by upg_export() for each group: a second or so. */
#include "unit.h"

#include "model/exported.h"
#include "model/folder.h"

#include <stdlib.h>
#include <unistd.h>

int exported_setup(void **state)
{
    upg_export_options options;
    void *folder;
    char *path = malloc(FOLDER_PATH);
    upg_error err;

    if (!path || folder_setup(&folder) != 0)
        return -1;
    rmdir(folder); /* upg_export() wants to make it */
    memcpy(path, folder, strlen(folder) + 1);
    free(folder);
    upg_export_options_defaults(&options);
    *state = path;
    return upg_export("models/default.upg", path, &options, &err) == UPG_OK ? 0 : -1;
}

int exported_teardown(void **state)
{
    return folder_teardown(state);
}
