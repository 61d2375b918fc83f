/* input.c -- reading files and standard input. */
#include "cli/input.h"

#include "cli/interrupt.h"
#include "cli/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_TEXT_BYTES ((size_t)1 << 30)
enum { FIRST_CAPACITY = 1 << 16 };

/* Make room for at least one more byte and the zero; false: see err. */
static bool grow(struct text *text, size_t *capacity, const char *path, upg_error *err)
{
    const size_t more = *capacity ? 2 * *capacity : FIRST_CAPACITY;
    char *bytes;

    if (text->n >= MAX_TEXT_BYTES) {
        fail(err, UPG_ERR_FORMAT, "%s: more than 1 GiB of text; split it", path);
        return false;
    }
    bytes = realloc(text->bytes, more + 1);
    if (!bytes) {
        fail_memory(err, "room for the text");
        return false;
    }
    text->bytes = bytes;
    *capacity = more;
    return true;
}

static upg_status read_all(struct text *text, int fd, const char *path, upg_error *err)
{
    size_t capacity = 0;

    for (;;) {
        ssize_t n;

        if (text->n == capacity && !grow(text, &capacity, path, err))
            return err->status;
        n = read(fd, text->bytes + text->n, capacity - text->n);
        if (n == 0)
            break;
        if (n > 0)
            text->n += (size_t)n;
        else if (interrupt_seen())
            return fail(err, UPG_ERR_CANCELLED, "interrupted");
        else if (errno != EINTR)
            return fail_errno(err, path, "read");
    }
    text->bytes[text->n] = '\0';
    return UPG_OK;
}

upg_status text_read(struct text *text, const char *path, upg_error *err)
{
    const bool standard = strcmp(path, "-") == 0;
    const int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    upg_status status;

    if (fd < 0)
        return fail_errno(err, path, "open");
    text_clear(text);
    status = read_all(text, fd, standard ? "standard input" : path, err);
    if (!standard)
        close(fd);
    if (status != UPG_OK)
        text_clear(text);
    return status;
}

upg_status text_copy(struct text *text, const char *bytes, upg_error *err)
{
    char *copy = strdup(bytes);

    if (!copy)
        return fail_memory(err, "a copy of the text");
    text_clear(text);
    text->bytes = copy;
    text->n = strlen(copy);
    return UPG_OK;
}

void text_clear(struct text *text)
{
    free(text->bytes);
    text->bytes = NULL;
    text->n = 0;
}

upg_status text_of_settings(struct text *text, const struct settings *settings, size_t operand,
                            upg_error *err)
{
    const char *word = operand < settings->n_operands ? settings->operands[operand] : NULL;
    const int n_given =
        (settings->prompt != NULL) + (settings->prompt_file != NULL) + (word != NULL);

    if (n_given == 0 && settings->model)
        return fail(
            err, UPG_ERR_ARGUMENT,
            "no text is given ('%s' was taken as the model); say -p TEXT, -f FILE, or - for "
            "standard input",
            settings->model);
    if (n_given == 0)
        return fail(err, UPG_ERR_ARGUMENT,
                    "no text is given; say -p TEXT, -f FILE, or - for standard input");
    if (n_given > 1)
        return fail(err, UPG_ERR_ARGUMENT,
                    "more than one text is given; use only one of -p, -f and '%s'",
                    word ? word : "-");
    if (settings->prompt)
        return text_copy(text, settings->prompt, err);
    if (settings->prompt_file)
        return text_read(text, settings->prompt_file, err);
    if (strcmp(word, "-") == 0)
        return text_read(text, "-", err);
    return text_copy(text, word, err);
}
