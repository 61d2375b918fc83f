/* folder.c -- temporary folders. */
#include "unit.h"

#include "base/arena.h"
#include "model/folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int folder_setup(void **state)
{
    char *folder = strdup("/tmp/upg-test-XXXXXX");

    *state = folder;
    return folder && mkdtemp(folder) ? 0 : -1;
}

void folder_empty(const char *folder)
{
    DIR *directory = opendir(folder);
    struct dirent *entry;

    assert_non_null(directory);
    while ((entry = readdir(directory)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
}

int folder_teardown(void **state)
{
    folder_empty(*state);
    rmdir(*state);
    free(*state);
    return 0;
}

const char *folder_path(char *out, const char *folder, const char *name)
{
    snprintf(out, FOLDER_PATH, "%s/%s", folder, name);
    return out;
}

void folder_write(const char *folder, const char *name, const void *bytes, size_t n)
{
    char path[FOLDER_PATH];
    FILE *file = fopen(folder_path(path, folder, name), "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

void folder_write_text(const char *folder, const char *name, const char *text)
{
    folder_write(folder, name, text, strlen(text));
}

unsigned char *folder_read(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    struct stat info;
    unsigned char *bytes;

    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &info), 0);
    *n = (size_t)info.st_size;
    bytes = upg_aligned_alloc(*n, 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *n, file), *n);
    fclose(file);
    return bytes;
}
