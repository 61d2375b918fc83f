/* call_filter.c -- a filter for answers that may be text or function calls. */
#include "server/call_filter.h"

#include "server/thoughts.h"

#include <stdlib.h>
#include <string.h>

enum binding { UNDECIDED, FREE, BOUND };

struct call_choice {
    enum binding binding;
    upg_constraint *constraint; /* owned */
    const upg_tokenizer *tokenizer;
    struct thought_splitter thoughts;
    struct call_splitter behind; /* passes on what comes behind the thoughts: to text */
    struct text_buffer text;     /* while undecided */
};

/* The array's beginning in an answer of n bytes: its offset; n: more must be seen; SIZE_MAX: this
 * is text.  The marks of Phi-4-mini stand before it. */
static size_t find_array(const char *text, size_t n)
{
    static const char *const marks[] = {"<|tool_call|>", "functools"};
    size_t at = strspn(text, " \t\r\n");

    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const size_t n_mark = strlen(marks[i]);
        if (n - at < n_mark && strncmp(text + at, marks[i], n - at) == 0)
            return n;
        if (strncmp(text + at, marks[i], n_mark) == 0)
            return text[at + n_mark] == '\0'  ? n
                   : text[at + n_mark] == '[' ? at + n_mark
                                              : SIZE_MAX;
    }
    return at == n ? n : text[at] == '[' ? at : SIZE_MAX;
}

static upg_status mask(void *context, size_t n_left, uint32_t *allowed, size_t n_words,
                       upg_error *err)
{
    struct call_choice *choice = context;

    if (choice->binding == BOUND)
        return upg_constraint_mask_within(choice->constraint, n_left, allowed, n_words, err);
    memset(allowed, 0xff, n_words * sizeof *allowed);
    return UPG_OK;
}

static void add_text(void *context, enum segment_kind kind, const char *bytes, size_t n)
{
    struct call_choice *choice = context;

    if (kind == SEGMENT_TEXT)
        text_buffer_add(&choice->text, bytes, n);
}

static upg_status accept(void *context, int32_t id, upg_error *err)
{
    struct call_choice *choice = context;
    const char *bytes;
    size_t n_bytes, at;

    if (choice->binding == BOUND)
        return upg_constraint_accept(choice->constraint, id, err);
    if (choice->binding == FREE)
        return UPG_OK;
    upg_token_bytes(choice->tokenizer, id, 0, &bytes, &n_bytes);
    thought_splitter_feed(&choice->thoughts, &choice->behind, bytes, n_bytes, add_text, choice);
    text_buffer_add(&choice->text, "", 1);
    if (choice->text.failed || choice->thoughts.held.failed) {
        choice->binding = FREE; /* an answer without the form is better than none */
        return UPG_OK;
    }
    choice->text.n--;
    at = find_array(choice->text.bytes, choice->text.n);
    if (at == choice->text.n)
        return UPG_OK;
    /* Text that begins with a bracket and goes on otherwise was no call. */
    choice->binding =
        at != SIZE_MAX && upg_constraint_accept_text(choice->constraint, choice->text.bytes + at,
                                                     choice->text.n - at, NULL) == UPG_OK
            ? BOUND
            : FREE;
    return UPG_OK;
}

static void free_choice(void *context)
{
    struct call_choice *choice = context;

    upg_constraint_free(choice->constraint);
    thought_splitter_clear(&choice->thoughts);
    call_splitter_clear(&choice->behind);
    text_buffer_clear(&choice->text);
    free(choice);
}

bool call_filter(upg_token_filter *filter, upg_constraint *constraint,
                 const upg_tokenizer *tokenizer, struct api_error *error)
{
    struct call_choice *choice = calloc(1, sizeof *choice);

    if (!choice) {
        upg_constraint_free(constraint);
        return api_fail_memory(error);
    }
    choice->constraint = constraint;
    choice->tokenizer = tokenizer;
    choice->behind.state = CALLS_TEXT;
    *filter =
        (upg_token_filter){.context = choice, .mask = mask, .accept = accept, .free = free_choice};
    return true;
}
