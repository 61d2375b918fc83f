/* chat.c -- upg chat: read a line, answer it. */
#include "cli/chat.h"

#include "cli/commands.h"
#include "cli/generation.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/line_editor.h"
#include "cli/message.h"
#include "cli/messages.h"
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where lines come from. */
struct line_source {
    struct line_editor *editor; /* of a terminal; NULL: standard input as it is */
    char *line;                 /* owned, of getline() */
    size_t capacity;
    struct text question; /* the lines of one message together */
};

static enum line_result read_line(struct line_source *source, const char *prompt, const char **line)
{
    ssize_t n;

    if (source->editor)
        return line_editor_read(source->editor, prompt, line);
    n = getline(&source->line, &source->capacity, stdin);
    if (n < 0)
        return interrupt_seen() ? LINE_INTERRUPTED : LINE_END;
    source->line[strcspn(source->line, "\n")] = '\0';
    *line = source->line;
    return LINE_READ;
}

static upg_status append_line(struct text *text, const char *line, upg_error *err)
{
    const size_t n = strlen(line);
    char *bytes = realloc(text->bytes, text->n + n + 1);

    if (!bytes)
        return fail_memory(err, "the message");
    memcpy(bytes + text->n, line, n + 1);
    text->bytes = bytes;
    text->n += n;
    return UPG_OK;
}

/* Read a message into source->question: lines that end with a backslash go on. */
static upg_status read_question(struct line_source *source, enum line_result *result,
                                upg_error *err)
{
    struct text *question = &source->question;
    const char *line = "";
    upg_status status = UPG_OK;
    bool more = true;

    text_clear(question);
    while (status == UPG_OK && more) {
        *result = read_line(source, question->n > 0 ? ". " : "> ", &line);
        if (*result == LINE_INTERRUPTED || *result == LINE_CLEARED ||
            (*result == LINE_END && question->n == 0))
            return UPG_OK;
        if (*result ==
            LINE_END) /* in the middle of a message: it ends here, and the next read too */
            line = "";
        *result = LINE_READ;
        status = append_line(question, line, err);
        more = question->n > 0 && question->bytes[question->n - 1] == '\\';
        if (more)
            question->bytes[question->n - 1] = '\n';
    }
    return status;
}

static void count(struct chat *chat, const struct answer *answer)
{
    const upg_generation *generation = &answer->generation;

    chat->n_asked++;
    chat->last_prompt_tokens = generation->n_prompt_tokens;
    chat->last_answer_tokens = generation->ids.n;
    chat->last_prompt_seconds = generation->prompt_seconds;
    chat->last_answer_seconds = generation->generation_seconds;
    chat->n_prompt_tokens += generation->n_prompt_tokens;
    chat->n_answer_tokens += generation->ids.n;
}

static upg_status answer_question(struct chat *chat, const char *question, bool interactive,
                                  upg_error *err)
{
    const struct settings *settings = chat->settings;
    const struct conversation *conversation = &chat->conversation;
    struct answer answer;
    upg_status status =
        conversation_ask(&chat->conversation, question, settings, settings->seed + chat->n_asked,
                         !settings->json, &answer, err);

    if (status == UPG_OK) {
        count(chat, &answer);
        if (!settings->json && !interactive)
            output_now("\n", 1);
        if (answer.n_dropped > 0)
            note("the context of %zu tokens is full: the oldest %zu messages were dropped",
                 conversation->context, answer.n_dropped);
        if (conversation->held.n >= conversation->context)
            note("the context of %zu tokens is full: the answer ends here", conversation->context);
        if (settings->log_level == LOG_VERBOSE)
            chat_print_stats(chat);
        status = output_check(err);
    }
    upg_generation_clear(&answer.generation);
    return status;
}

/* In a terminal, what went wrong is said and the chat goes on, unless nobody can read it. */
static upg_status forgive(upg_status status, upg_error *err)
{
    upg_error output_error;

    if (status == UPG_OK)
        return UPG_OK;
    if (output_check(&output_error) != UPG_OK)
        return status;
    if (status != UPG_ERR_CANCELLED)
        fprintf(stderr, "upg: error: %s\n", err->message);
    return UPG_OK;
}

static upg_status take_turns(struct chat *chat, struct line_source *source, upg_error *err)
{
    const bool interactive = source->editor != NULL;
    upg_status status = UPG_OK;

    while (status == UPG_OK && !chat->leaving) {
        enum line_result result;
        const char *question;

        status = read_question(source, &result, err);
        if (status != UPG_OK || result == LINE_END)
            break;
        if (result == LINE_INTERRUPTED && !interactive)
            return fail(err, UPG_ERR_CANCELLED, "interrupted");
        if (result == LINE_INTERRUPTED)
            note("/quit or Ctrl-D leaves");
        if (result != LINE_READ) {
            interrupt_forget();
            continue;
        }
        question = source->question.bytes;
        if (question[0] == '/')
            status = chat_do(chat, question, err);
        else if (question[strspn(question, " \t\r\n")] != '\0')
            status = answer_question(chat, question, interactive, err);
        if (interactive) {
            status = forgive(status, err);
            interrupt_forget();
        } else if (status == UPG_OK && interrupt_seen()) {
            status = fail(err, UPG_ERR_CANCELLED, "interrupted");
        }
    }
    return status;
}

static upg_status write_document(const struct chat *chat, upg_error *err)
{
    const struct conversation *conversation = &chat->conversation;

    return json_write(json_pack("{s:o, s:I, s:I, s:I}", "messages",
                                messages_to_json(conversation->messages, conversation->n_messages),
                                "prompt_tokens", (json_int_t)chat->n_prompt_tokens,
                                "completion_tokens", (json_int_t)chat->n_answer_tokens, "seed",
                                (json_int_t)chat->settings->seed),
                      JSON_INDENT(2), err);
}

static upg_status converse(struct chat *chat, const struct opened *opened, upg_error *err)
{
    const struct settings *settings = chat->settings;
    struct line_source source = {0};
    upg_status status = conversation_open(&chat->conversation, opened, err);

    if (status == UPG_OK && settings->system)
        status = conversation_set_system(&chat->conversation, settings->system, err);
    if (status == UPG_OK && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !settings->json) {
        note("%s, context of %zu tokens; /help lists commands, Ctrl-D leaves", opened->info.path,
             opened->context);
        status = line_editor_open(&source.editor, err);
    }
    if (status == UPG_OK)
        status = take_turns(chat, &source, err);
    if (status == UPG_OK && settings->json)
        status = write_document(chat, err);
    line_editor_close(source.editor);
    free(source.line);
    text_clear(&source.question);
    conversation_close(&chat->conversation);
    return status;
}

upg_status chat_command(const struct settings *settings, upg_error *err)
{
    struct chat chat = {.settings = settings};
    struct opened opened = {0};
    upg_status status = open_model(&opened, settings->model, settings, err);

    if (status == UPG_OK && !opened.info.chat_template)
        status = fail(err, UPG_ERR_UNSUPPORTED,
                      "%s: has no chat template that upg knows; 'upg run' continues a text",
                      opened.info.path);
    if (status == UPG_OK)
        status = open_engine(&opened, (size_t)settings->context, settings, err);
    if (status == UPG_OK)
        status = converse(&chat, &opened, err);
    opened_close(&opened);
    return status;
}
