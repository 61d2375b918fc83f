/* line_editor.h -- reading lines from a terminal, with editing and history.
 *
 * With libedit (line_editor_libedit.c), or without (line_editor_plain.c). */
#ifndef UPG_CLI_LINE_EDITOR_H
#define UPG_CLI_LINE_EDITOR_H

#include "upg/upg.h"

enum line_result {
    LINE_READ,
    LINE_END,         /* Ctrl-D in an empty line, or the end of the file */
    LINE_INTERRUPTED, /* Ctrl-C */
    LINE_CLEARED      /* Ctrl-C where something was typed already */
};

struct line_editor;

upg_status line_editor_open(struct line_editor **editor, upg_error *err);

/* Also writes the history. */
void line_editor_close(struct line_editor *editor);

/* Read a line.  *line lives until the next call and has no line end. */
enum line_result line_editor_read(struct line_editor *editor, const char *prompt,
                                  const char **line);

#endif
