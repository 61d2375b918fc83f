/* manual_plain.c -- pages for --help: 80 columns, no control codes. */
#include "cli/manual.h"

#include <stdio.h>
#include <string.h>

enum { LAST_COLUMN = 80, TERM_COLUMN = 2, TEXT_COLUMN = 26 };

/* Write text in lines that end before LAST_COLUMN and begin at `indent`.  The cursor is at
 * `column`. */
static void wrap(const char *text, int column, int indent)
{
    while (*text) {
        const int n = (int)strcspn(text, " ");

        if (column > indent && column + 1 + n > LAST_COLUMN) {
            putchar('\n');
            column = 0;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        if (column < indent)
            printf("%*s", indent - column, "");
        column = (column < indent ? indent : column) + n;
        printf("%.*s", n, text);
        text += n;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void begin(const char *name, const char *summary, const char *synopsis)
{
    printf("%s - %s\n\nUsage: %s\n", name, summary, synopsis);
}

static void heading(const char *text)
{
    printf("\n%s:\n", text);
}

/* The groups of options are headings enough. */
static void subheading(const char *text)
{
    printf("  %s\n", text);
}

static void paragraphs(const char *text)
{
    char paragraph[1024];

    while (*text) {
        const char *end = strstr(text, "\n\n");
        const size_t n = end ? (size_t)(end - text) : strlen(text);

        snprintf(paragraph, sizeof paragraph, "%.*s", (int)n, text);
        putchar('\n');
        wrap(paragraph, 0, 0);
        text += n + (end ? 2 : 0);
    }
}

static void item(const char *term, const char *text)
{
    int column = TERM_COLUMN + (int)strlen(term);

    printf("%*s%s", TERM_COLUMN, "", term);
    if (column + 2 > TEXT_COLUMN) {
        putchar('\n');
        column = 0;
    }
    wrap(text, column, TEXT_COLUMN);
}

static void example(const char *what, const char *line)
{
    printf("  %s:\n    %s\n", what, line);
}

const struct manual_form plain_form = {false,      begin, heading, subheading,
                                       paragraphs, item,  example};
