/* replay.c -- run a fuzz target over files, as a plain test: every file of every folder (or file)
 * given. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0;
    struct stat info;

    if (!file || fstat(fileno(file), &info) != 0) {
        perror(path);
        if (file)
            fclose(file);
        return -1;
    }
    data = malloc((size_t)info.st_size + 1);
    if (data)
        size = fread(data, 1, (size_t)info.st_size, file);
    fclose(file);
    if (!data)
        return -1;
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

static int replay(const char *path, int *n_files)
{
    DIR *folder = opendir(path);
    struct dirent *entry;

    if (!folder) {
        (*n_files)++;
        return replay_file(path);
    }
    while ((entry = readdir(folder))) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (replay(name, n_files) != 0) {
            closedir(folder);
            return -1;
        }
    }
    closedir(folder);
    return 0;
}

int main(int argc, char **argv)
{
    int n_files = 0;

    for (int i = 1; i < argc; i++)
        if (replay(argv[i], &n_files) != 0)
            return 1;
    printf("replayed %d files\n", n_files);
    return n_files == 0; /* an empty corpus is a mistake in the test */
}
