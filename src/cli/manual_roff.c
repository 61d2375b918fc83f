/* manual_roff.c -- pages for man(1), in the man(7) macros. */
#include "cli/manual.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Right behind a heading a paragraph begins by itself, and .PP would be one too many. */
static bool behind_heading;

static void begin_paragraph(void)
{
    if (!behind_heading)
        fputs(".PP\n", stdout);
    behind_heading = false;
}

/* Write text so that roff shows it as it is, quotes and dashes of shell commands included. */
static void escape(const char *text, size_t n)
{
    for (size_t i = 0; i < n && text[i]; i++) {
        switch (text[i]) {
        case '\\': fputs("\\e", stdout); break;
        case '-': fputs("\\-", stdout); break;
        case '\'': fputs("\\(aq", stdout); break;
        case '`': fputs("\\(ga", stdout); break;
        case '^': fputs("\\(ha", stdout); break;
        case '~': fputs("\\(ti", stdout); break;
        case '.': fputs(i == 0 ? "\\&." : ".", stdout); break;
        default: putchar(text[i]);
        }
    }
}

static void upper_case(const char *text)
{
    for (; *text; text++)
        putchar(*text == ' ' ? '-' : toupper((unsigned char)*text));
}

static void line(const char *text)
{
    escape(text, strlen(text));
    putchar('\n');
}

static void section(const char *macro, const char *text)
{
    printf("%s \"", macro);
    escape(text, strlen(text));
    fputs("\"\n", stdout);
}

static void heading(const char *text)
{
    fputs(".SH \"", stdout);
    for (; *text; text++)
        putchar(toupper((unsigned char)*text));
    fputs("\"\n", stdout);
    behind_heading = true;
}

static void subheading(const char *text)
{
    section(".SS", text);
    behind_heading = true;
}

static void begin(const char *name, const char *summary, const char *synopsis)
{
    const char *command = strchr(name, ' ');

    fputs(".TH \"", stdout);
    upper_case(name);
    printf("\" 1 \"\" \"upg %s\" \"upg manual\"\n.nh\n", upg_version());
    heading("Name");
    fputs("upg", stdout);
    if (command)
        printf("\\-%s", command + 1);
    fputs(" \\- ", stdout);
    line(summary);
    heading("Synopsis");
    line(synopsis);
    heading("Description");
}

static void paragraphs(const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        const size_t n = end ? (size_t)(end - text) : strlen(text);

        begin_paragraph();
        escape(text, n);
        putchar('\n');
        text += n + (end ? 2 : 0);
    }
}

static void item(const char *term, const char *text)
{
    behind_heading = false;
    fputs(".TP\n\\fB", stdout);
    escape(term + strspn(term, " "), strlen(term));
    fputs("\\fR\n", stdout);
    line(text);
}

static void example(const char *what, const char *text)
{
    begin_paragraph();
    escape(what, strlen(what));
    fputs(":\n.PP\n.in +4n\n.EX\n", stdout);
    line(text);
    fputs(".EE\n.in\n", stdout);
}

const struct manual_form roff_form = {true, begin, heading, subheading, paragraphs, item, example};
