/* line_editor.h -- reading lines from a terminal, with editing and history.
 *
 * With libedit (line_editor_libedit.c), or without (line_editor_plain.c). */
#ifndef UPG_CLI_LINE_EDITOR_H
#define UPG_CLI_LINE_EDITOR_H

#include "upg/upg.h"

enum line_result { LINE_READ, LINE_END, LINE_INTERRUPTED };

struct line_editor;

upg_status line_editor_open(struct line_editor **editor, upg_error *err);

/* Also writes the history. */
void line_editor_close(struct line_editor *editor);

/* Read a line.  *line lives until the next call and has no line end.  After Ctrl-C: INTERRUPTED;
 * after Ctrl-D in an empty line: END. */
enum line_result line_editor_read(struct line_editor *editor, const char *prompt,
                                  const char **line);

#endif
