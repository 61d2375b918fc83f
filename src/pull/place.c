/* place.c -- the environment variables of the hub's tools, and folders. */
#include "pull/place.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_TOKEN = 4096 };

char *print_text(const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    int n;

    va_start(arguments, format);
    n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (n >= 0)
        text = malloc((size_t)n + 1);
    if (!text)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)n + 1, format, arguments);
    va_end(arguments);
    return text;
}

/* A variable that is set and not empty. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* HF_HOME, or the folder that stands for it. */
static char *hub_home(void)
{
    if (variable("HF_HOME"))
        return print_text("%s", variable("HF_HOME"));
    if (variable("XDG_CACHE_HOME"))
        return print_text("%s/huggingface", variable("XDG_CACHE_HOME"));
    return print_text("%s/.cache/huggingface", variable("HOME") ? variable("HOME") : ".");
}

/* The first line of a file without white space around it; NULL if there is no such file. */
static char *read_line(const char *path)
{
    char line[MAX_TOKEN];
    FILE *file = fopen(path, "re");
    char *text = NULL;

    if (!file)
        return NULL;
    if (fgets(line, sizeof line, file)) {
        const char *begin = line + strspn(line, " \t\r\n");

        text = print_text("%.*s", (int)strcspn(begin, " \t\r\n"), begin);
    }
    fclose(file);
    return text;
}

static char *find_token(const char *home)
{
    char *path, *token;

    if (variable("HF_TOKEN"))
        return print_text("%s", variable("HF_TOKEN"));
    path = variable("HF_TOKEN_PATH") ? print_text("%s", variable("HF_TOKEN_PATH"))
                                     : print_text("%s/token", home);
    token = path ? read_line(path) : NULL;
    free(path);
    if (token && !*token) {
        free(token);
        token = NULL;
    }
    return token;
}

void place_clear(struct place *place)
{
    free(place->endpoint);
    free(place->token);
    free(place->cache);
    *place = (struct place){0};
}

upg_status place_find(struct place *place, upg_error *err)
{
    const char *endpoint = variable("HF_ENDPOINT");
    char *home = hub_home();
    size_t n;

    if (!endpoint)
        endpoint = "https://huggingface.co";
    n = strlen(endpoint);
    while (n > 0 && endpoint[n - 1] == '/')
        n--;
    *place = (struct place){.endpoint = print_text("%.*s", (int)n, endpoint)};
    if (home) {
        place->token = find_token(home);
        place->cache = variable("HF_HUB_CACHE") ? print_text("%s", variable("HF_HUB_CACHE"))
                                                : print_text("%s/hub", home);
    }
    free(home);
    if (place->endpoint && place->cache)
        return UPG_OK;
    place_clear(place);
    return upg_fail(err, UPG_ERR_MEMORY, "out of memory: names of folders");
}

upg_status make_folders_above(const char *path, upg_error *err)
{
    char *copy = print_text("%s", path);
    upg_status status = copy ? UPG_OK : upg_fail(err, UPG_ERR_MEMORY, "out of memory: %s", path);

    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash && status == UPG_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            status = upg_fail_errno(err, copy, "make the folder");
        *slash = '/';
    }
    free(copy);
    return status;
}
