/* line_editor_libedit.c -- editing and history with libedit.
 *
 * The history is $XDG_STATE_HOME/upg/history (XDG Base Directory Specification 0.8), readable for
 * its owner alone.  A history that cannot be read or written is no reason to stop a chat. */
#include "cli/line_editor.h"

#include "cli/interrupt.h"
#include "cli/message.h"

#include <errno.h>
#include <histedit.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

enum { MAX_HISTORY = 1000 };

struct line_editor {
    EditLine *edit;
    History *history;
    const char *prompt;                   /* of the line that is read */
    char *line;                           /* owned */
    char path[PATH_MAX - sizeof ".part"]; /* of the history; "" if there is no place for it */
};

static char *prompt_of(EditLine *edit)
{
    struct line_editor *editor = NULL;

    el_get(edit, EL_CLIENTDATA, &editor);
    return (char *)editor->prompt;
}

/* The next character for libedit: 1, or 0 at the end, or -1 after Ctrl-C.  libedit's own function
 * would miss a signal that comes just before it reads. */
static int read_character(EditLine *edit, wchar_t *character)
{
    struct pollfd ready[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                              {.fd = interrupt_fd(), .events = POLLIN}};
    mbstate_t state = {0};
    char byte;

    (void)edit;
    for (;;) {
        ssize_t n;
        size_t length;

        if (poll(ready, 2, -1) < 0 && errno != EINTR)
            return -1;
        if (interrupt_seen())
            return -1;
        n = read(STDIN_FILENO, &byte, 1);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return (int)n;
        if (n < 0)
            continue;
        length = mbrtowc(character, &byte, 1, &state);
        if (length <= 1)
            return 1;
        if (length == (size_t)-1) /* no character of this locale: leave the byte out */
            memset(&state, 0, sizeof state);
    }
}

/* Find the place of the history and make its folder. */
static void find_history(struct line_editor *editor)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *path = editor->path;
    int n;

    if (state && *state == '/')
        n = snprintf(path, sizeof editor->path, "%s/upg/history", state);
    else if (home && *home)
        n = snprintf(path, sizeof editor->path, "%s/.local/state/upg/history", home);
    else
        return;
    if (n < 0 || (size_t)n >= sizeof editor->path) {
        path[0] = '\0';
        return;
    }
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700); /* if it cannot be made, writing the history fails later */
        *slash = '/';
    }
}

static void read_history(struct line_editor *editor)
{
    HistEvent event;

    history(editor->history, &event, H_SETSIZE, MAX_HISTORY);
    history(editor->history, &event, H_SETUNIQUE, 1);
    find_history(editor);
    if (editor->path[0])
        history(editor->history, &event, H_LOAD, editor->path);
}

static void write_history(const struct line_editor *editor)
{
    char part[PATH_MAX];
    HistEvent event;
    mode_t mask;
    bool written;

    if (!editor->path[0])
        return;
    snprintf(part, sizeof part, "%s.part", editor->path);
    mask = umask(077);
    written = history(editor->history, &event, H_SAVE, part) >= 0;
    umask(mask);
    if (!written || rename(part, editor->path) != 0)
        unlink(part);
}

upg_status line_editor_open(struct line_editor **editor, upg_error *err)
{
    struct line_editor *e = calloc(1, sizeof *e);

    if (!e)
        return fail_memory(err, "a line editor");
    if (MB_CUR_MAX == 1) /* libedit reads characters of the locale: let them be UTF-8 */
        setlocale(LC_CTYPE, "C.UTF-8");
    e->edit = el_init("upg", stdin, stdout, stderr);
    e->history = history_init();
    if (!e->edit || !e->history) {
        line_editor_close(e);
        return fail_memory(err, "a line editor");
    }
    el_set(e->edit, EL_CLIENTDATA, e);
    el_set(e->edit, EL_PROMPT, prompt_of);
    el_set(e->edit, EL_GETCFN, read_character);
    el_set(e->edit, EL_EDITOR, "emacs");
    el_set(e->edit, EL_HIST, history, e->history);
    el_set(e->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(e->edit, NULL); /* the user's ~/.editrc */
    read_history(e);
    *editor = e;
    return UPG_OK;
}

void line_editor_close(struct line_editor *editor)
{
    if (!editor)
        return;
    if (editor->history) {
        write_history(editor);
        history_end(editor->history);
    }
    if (editor->edit)
        el_end(editor->edit);
    free(editor->line);
    free(editor);
}

static bool is_empty(EditLine *edit)
{
    const LineInfo *info = el_line(edit);

    return info->lastchar == info->buffer;
}

enum line_result line_editor_read(struct line_editor *editor, const char *prompt, const char **line)
{
    HistEvent event;
    const char *typed;
    int n;

    editor->prompt = prompt;
    free(editor->line);
    editor->line = NULL;
    typed = el_gets(editor->edit, &n);
    if (!typed || n <= 0) {
        putchar('\n');
        fflush(stdout);
        if (!interrupt_seen())
            return LINE_END;
        return is_empty(editor->edit) ? LINE_INTERRUPTED : LINE_CLEARED;
    }
    if (typed[0] != '\n')
        history(editor->history, &event, H_ENTER, typed);
    editor->line = strdup(typed);
    if (!editor->line)
        return LINE_END;
    editor->line[strcspn(editor->line, "\n")] = '\0';
    *line = editor->line;
    return LINE_READ;
}
