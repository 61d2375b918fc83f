/* calls.c -- splitting an answer into text and function calls. */
#include "server/calls.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NAME_BYTES = 72 }; /* names of functions have at most 64 */

/* A scanner of held bytes: each step moves on, or tells that more is needed or that it is no call. */
enum scan { SCAN_YES, SCAN_NO, SCAN_MORE };

struct scanner {
    const char *bytes;
    size_t n, at;
};

static void skip_any(struct scanner *scanner, const char *characters)
{
    while (scanner->at < scanner->n && strchr(characters, scanner->bytes[scanner->at]) &&
           scanner->bytes[scanner->at] != '\0')
        scanner->at++;
}

static enum scan skip_literal(struct scanner *scanner, const char *literal)
{
    const size_t n = strlen(literal), left = scanner->n - scanner->at;
    const size_t n_compared = left < n ? left : n;

    if (memcmp(scanner->bytes + scanner->at, literal, n_compared) != 0)
        return SCAN_NO;
    if (left < n)
        return SCAN_MORE;
    scanner->at += n;
    return SCAN_YES;
}

/* Blanks, then the literal. */
static enum scan skip_token(struct scanner *scanner, const char *literal)
{
    skip_any(scanner, " \t\r\n");
    return skip_literal(scanner, literal);
}

/* A string; a model may write any character of it as an escape.  One that is too long is cut. */
static enum scan skip_string(struct scanner *scanner, char *text, size_t n_text)
{
    enum scan result = skip_token(scanner, "\"");
    const size_t begin = scanner->at - 1;
    json_t *string;

    if (result != SCAN_YES)
        return result;
    while (scanner->at < scanner->n && scanner->bytes[scanner->at] != '"')
        scanner->at += scanner->bytes[scanner->at] == '\\' ? 2 : 1;
    if (scanner->at >= scanner->n)
        return SCAN_MORE;
    scanner->at++;
    string = json_loadb(scanner->bytes + begin, scanner->at - begin, JSON_DECODE_ANY, NULL);
    if (!string)
        return SCAN_NO;
    snprintf(text, n_text, "%s", json_string_value(string));
    json_decref(string);
    return SCAN_YES;
}

/* "KEY": */
static enum scan skip_key(struct scanner *scanner, const char *key)
{
    char found[MAX_NAME_BYTES];
    enum scan result = skip_string(scanner, found, sizeof found);

    if (result == SCAN_YES)
        result = strcmp(found, key) == 0 ? skip_token(scanner, ":") : SCAN_NO;
    return result;
}

/* What may stand before the first call. */
static enum scan skip_opening(struct scanner *scanner)
{
    static const char *const marks[] = {"<|tool_call|>", "functools", "["};
    bool may_come = false;

    skip_any(scanner, " \t\r\n");
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const enum scan result = skip_literal(scanner, marks[i]);
        if (result == SCAN_YES)
            return strcmp(marks[i], "[") == 0 ? SCAN_YES : skip_token(scanner, "[");
        may_come |= result == SCAN_MORE;
    }
    return may_come ? SCAN_MORE : SCAN_NO;
}

/* {"name": "NAME", "arguments":, up to the value. */
static enum scan skip_head(struct scanner *scanner, char name[MAX_NAME_BYTES])
{
    enum scan result = skip_token(scanner, "{");

    if (result == SCAN_YES)
        result = skip_key(scanner, "name");
    if (result == SCAN_YES)
        result = skip_string(scanner, name, MAX_NAME_BYTES);
    if (result == SCAN_YES)
        result = skip_token(scanner, ",");
    if (result == SCAN_YES)
        result = skip_key(scanner, "arguments");
    skip_any(scanner, " \t\r\n");
    if (result == SCAN_YES && scanner->at == scanner->n)
        return SCAN_MORE;
    return result == SCAN_YES && scanner->bytes[scanner->at] != '{' ? SCAN_NO : result;
}

static void give_up(struct call_splitter *splitter, segment_fn segment, void *context)
{
    splitter->state = CALLS_TEXT;
    if (splitter->held.n > 0)
        segment(context, SEGMENT_TEXT, splitter->held.bytes, splitter->held.n);
    text_buffer_empty(&splitter->held);
}

/* Look for the next call in what is held. */
static void look(struct call_splitter *splitter, segment_fn segment, void *context)
{
    struct scanner scanner = {splitter->held.bytes, splitter->held.n, 0};
    char name[MAX_NAME_BYTES];
    enum scan result = SCAN_YES;

    if (splitter->state == CALLS_UNDECIDED)
        result = skip_opening(&scanner);
    else
        skip_any(&scanner, " \t\r\n},");
    if (result == SCAN_YES && splitter->state == CALLS_BETWEEN && scanner.at < scanner.n &&
        scanner.bytes[scanner.at] == ']')
        return; /* the end of the array: the rest is for call_splitter_end() */
    if (result == SCAN_YES)
        result = skip_head(&scanner, name);
    if (result == SCAN_NO) {
        give_up(splitter, segment, context);
    } else if (result == SCAN_YES) {
        segment(context, SEGMENT_CALL, name, strlen(name));
        splitter->n_calls++;
        splitter->state = CALLS_ARGUMENTS;
        splitter->depth = 0;
        splitter->in_string = splitter->after_backslash = false;
        splitter->held.n -= scanner.at;
        memmove(splitter->held.bytes, splitter->held.bytes + scanner.at, splitter->held.n);
    }
}

/* Follow one byte of the arguments; true: it is their last. */
static bool follow(struct call_splitter *splitter, char c)
{
    if (splitter->after_backslash)
        splitter->after_backslash = false;
    else if (splitter->in_string && c == '\\')
        splitter->after_backslash = true;
    else if (c == '"')
        splitter->in_string = !splitter->in_string;
    else if (!splitter->in_string && (c == '{' || c == '['))
        splitter->depth++;
    else if (!splitter->in_string && (c == '}' || c == ']'))
        return --splitter->depth == 0;
    return false;
}

/* Arguments are told as they come, so all that is held is told here. */
static void tell_arguments(struct call_splitter *splitter, segment_fn segment, void *context)
{
    size_t n = 0;
    bool is_over = false;

    while (n < splitter->held.n && !is_over)
        is_over = follow(splitter, splitter->held.bytes[n++]);
    if (n > 0)
        segment(context, SEGMENT_ARGUMENTS, splitter->held.bytes, n);
    splitter->held.n -= n;
    memmove(splitter->held.bytes, splitter->held.bytes + n, splitter->held.n);
    if (is_over) {
        segment(context, SEGMENT_CALL_END, "", 0);
        splitter->state = CALLS_BETWEEN;
    }
}

void call_splitter_feed(struct call_splitter *splitter, const char *bytes, size_t n,
                        segment_fn segment, void *context)
{
    enum call_state before;

    if (splitter->state == CALLS_TEXT) {
        if (n > 0)
            segment(context, SEGMENT_TEXT, bytes, n);
        return;
    }
    text_buffer_add(&splitter->held, bytes, n);
    do {
        before = splitter->state;
        if (splitter->state == CALLS_ARGUMENTS)
            tell_arguments(splitter, segment, context);
        else if (splitter->held.n > 0)
            look(splitter, segment, context);
    } while (splitter->state != before && splitter->state != CALLS_TEXT && splitter->held.n > 0);
}

void call_splitter_end(struct call_splitter *splitter, segment_fn segment, void *context)
{
    struct scanner scanner = {splitter->held.bytes, splitter->held.n, 0};

    if (splitter->state == CALLS_BETWEEN && splitter->held.n > 0) {
        skip_any(&scanner, " \t\r\n},]");
        skip_token(&scanner, "<|/tool_call|>");
        if (scanner.at == scanner.n)
            text_buffer_empty(&splitter->held);
    }
    give_up(splitter, segment, context);
}

void call_splitter_clear(struct call_splitter *splitter)
{
    text_buffer_clear(&splitter->held);
    memset(splitter, 0, sizeof *splitter);
}
