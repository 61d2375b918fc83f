/* scratch.h -- a folder that a test may fill and that goes away afterwards. */
#ifndef UPG_TESTS_BASE_SCRATCH_H
#define UPG_TESTS_BASE_SCRATCH_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct scratch {
    char folder[64];
    char path[128]; /* of scratch_path(), until the next call */
};

static inline int scratch_setup(void **state)
{
    struct scratch *scratch = calloc(1, sizeof *scratch);

    if (!scratch)
        return -1;
    snprintf(scratch->folder, sizeof scratch->folder, "/tmp/upg-test-XXXXXX");
    *state = scratch;
    return mkdtemp(scratch->folder) ? 0 : -1;
}

static inline const char *scratch_path(struct scratch *scratch, const char *name)
{
    snprintf(scratch->path, sizeof scratch->path, "%s/%s", scratch->folder, name);
    return scratch->path;
}

/* Number of files in the folder. */
static inline int scratch_count(const struct scratch *scratch)
{
    DIR *folder = opendir(scratch->folder);
    int n = 0;

    if (!folder)
        return -1;
    for (struct dirent *entry; (entry = readdir(folder));)
        n += entry->d_name[0] != '.';
    closedir(folder);
    return n;
}

static inline int scratch_teardown(void **state)
{
    struct scratch *scratch = *state;
    DIR *folder = opendir(scratch->folder);

    if (folder) {
        for (struct dirent *entry; (entry = readdir(folder));)
            if (entry->d_name[0] != '.')
                unlinkat(dirfd(folder), entry->d_name, 0);
        closedir(folder);
    }
    rmdir(scratch->folder);
    free(scratch);
    return 0;
}

#define scratch_test(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

#endif
