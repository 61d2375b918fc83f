/* line_editor_plain.c -- the terminal's own editing, where there is no libedit. */
#include "cli/line_editor.h"

#include "cli/interrupt.h"
#include "cli/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line_editor {
    char *line; /* owned, of getline() */
    size_t capacity;
};

upg_status line_editor_open(struct line_editor **editor, upg_error *err)
{
    *editor = calloc(1, sizeof **editor);
    return *editor ? UPG_OK : fail_memory(err, "a line editor");
}

void line_editor_close(struct line_editor *editor)
{
    if (editor)
        free(editor->line);
    free(editor);
}

enum line_result line_editor_read(struct line_editor *editor, const char *prompt, const char **line)
{
    ssize_t n;

    fputs(prompt, stdout);
    fflush(stdout);
    n = getline(&editor->line, &editor->capacity, stdin);
    if (n < 0) {
        clearerr(stdin);
        putchar('\n');
        return interrupt_seen() ? LINE_INTERRUPTED : LINE_END;
    }
    editor->line[strcspn(editor->line, "\n")] = '\0';
    *line = editor->line;
    return LINE_READ;
}
