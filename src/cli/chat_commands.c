/* chat_commands.c -- what a chat does when a line begins with a slash. */
#include "cli/chat.h"

#include "cli/generation.h"
#include "cli/input.h"
#include "cli/json_output.h"
#include "cli/message.h"
#include "cli/messages.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static upg_status say_help(struct chat *chat, const char *argument, upg_error *err);

static upg_status reset(struct chat *chat, const char *argument, upg_error *err)
{
    struct conversation *conversation = &chat->conversation;
    const size_t n_kept = conversation_has_system(conversation);

    (void)argument, (void)err;
    conversation_remove(conversation, n_kept, conversation->n_messages - n_kept);
    note("a new conversation");
    return UPG_OK;
}

static upg_status set_system(struct chat *chat, const char *argument, upg_error *err)
{
    const upg_status status = conversation_set_system(&chat->conversation, argument, err);

    if (status == UPG_OK)
        note(*argument ? "the system text is set" : "there is no system text now");
    return status;
}

/* What was computed goes to, or comes from, a file beside the messages' one.  Without it, all is
 * computed again: nothing else is lost, so a failure is only told. */
static void use_cache_file(struct chat *chat, const char *messages_path, bool saves)
{
    const size_t n = strlen(messages_path) + sizeof ".cache";
    char *path = malloc(n);
    upg_status status = UPG_OK;
    upg_error err;

    if (!path)
        return;
    snprintf(path, n, "%s.cache", messages_path);
    if (saves && chat->conversation.held.n > 0)
        status = conversation_save_cache(&chat->conversation, path, &err);
    else if (!saves && access(path, F_OK) == 0)
        status = conversation_load_cache(&chat->conversation, path, &err);
    if (status != UPG_OK)
        note("%s; the conversation will be computed again", err.message);
    free(path);
}

static upg_status save(struct chat *chat, const char *argument, upg_error *err)
{
    const struct conversation *conversation = &chat->conversation;
    json_t *array = messages_to_json(conversation->messages, conversation->n_messages);
    char *text = array ? json_dumps(array, JSON_INDENT(2)) : NULL;
    struct output_file file;
    upg_status status;

    json_decref(array);
    if (!text)
        return fail_memory(err, "the JSON document");
    status = output_file_open(&file, argument, err);
    if (status == UPG_OK) {
        status = output_file_write(&file, text, strlen(text), err);
        if (status == UPG_OK)
            status = output_file_write(&file, "\n", 1, err);
        status = output_file_close(&file, status, err);
    }
    free(text);
    if (status == UPG_OK) {
        note("%s: %zu messages saved", argument, conversation->n_messages);
        use_cache_file(chat, argument, true);
    }
    return status;
}

static upg_status load_text(struct chat *chat, const struct text *text, upg_error *err)
{
    json_error_t where;
    json_t *document = json_loadb(text->bytes, text->n, JSON_REJECT_DUPLICATES, &where);
    const json_t *array =
        json_is_object(document) ? json_object_get(document, "messages") : document;
    upg_message *messages = NULL;
    size_t n = 0;
    upg_status status;

    if (!document)
        return fail(err, UPG_ERR_FORMAT, "line %d: %s", where.line, where.text);
    status = messages_of_json(&messages, &n, array, err);
    if (status == UPG_OK)
        status = conversation_replace(&chat->conversation, messages, n, err);
    free(messages);
    json_decref(document);
    return status;
}

/* What /save wrote, or what `upg chat --json` did. */
static upg_status load(struct chat *chat, const char *argument, upg_error *err)
{
    struct text text = {0};
    upg_status status = text_read(&text, argument, err);

    if (status != UPG_OK)
        return status;
    status = load_text(chat, &text, err);
    text_clear(&text);
    if (status != UPG_OK) {
        add_context(err, argument);
        return status;
    }
    note("%s: %zu messages loaded", argument, chat->conversation.n_messages);
    use_cache_file(chat, argument, false);
    return UPG_OK;
}

void chat_print_stats(const struct chat *chat)
{
    note("%zu of %zu tokens in use, %zu messages; last question: %zu new tokens, %.1f tokens/s; "
         "last answer: %zu tokens, %.1f tokens/s",
         chat->conversation.held.n, chat->conversation.context, chat->conversation.n_messages,
         chat->last_prompt_tokens, rate(chat->last_prompt_tokens, chat->last_prompt_seconds),
         chat->last_answer_tokens, rate(chat->last_answer_tokens, chat->last_answer_seconds));
}

static upg_status say_stats(struct chat *chat, const char *argument, upg_error *err)
{
    (void)argument, (void)err;
    chat_print_stats(chat);
    return UPG_OK;
}

static upg_status quit(struct chat *chat, const char *argument, upg_error *err)
{
    (void)argument, (void)err;
    chat->leaving = true;
    return UPG_OK;
}

enum wanted { WANTS_NOTHING, WANTS_FILE, MAY_HAVE_TEXT };

static const struct chat_command {
    const char *name, *argument, *help;
    enum wanted wanted;
    upg_status (*run)(struct chat *chat, const char *argument, upg_error *err);
} chat_commands[] = {
    {"/help", "", "show these commands", WANTS_NOTHING, say_help},
    {"/reset", "", "begin anew; the system text stays", WANTS_NOTHING, reset},
    {"/system", "TEXT", "say who the assistant is; without TEXT: nothing", MAY_HAVE_TEXT,
     set_system},
    {"/save", "FILE", "write the conversation as JSON messages", WANTS_FILE, save},
    {"/load", "FILE", "go on with a conversation that was saved", WANTS_FILE, load},
    {"/stats", "", "show tokens in use and speeds", WANTS_NOTHING, say_stats},
    {"/quit", "", "leave (or press Ctrl-D)", WANTS_NOTHING, quit},
};

#define N_COMMANDS (sizeof chat_commands / sizeof *chat_commands)

static upg_status say_help(struct chat *chat, const char *argument, upg_error *err)
{
    (void)chat, (void)argument, (void)err;
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, "  %-8s%-6s%s\n", chat_commands[i].name, chat_commands[i].argument,
                chat_commands[i].help);
    fputs("  A line that ends with \\ goes on in the next one.  Ctrl-C stops an answer.\n", stderr);
    return UPG_OK;
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

upg_status chat_do(struct chat *chat, const char *line, upg_error *err)
{
    const size_t n = strcspn(line, " \t");
    const char *argument = skip_blanks(line + n);

    for (size_t i = 0; i < N_COMMANDS; i++) {
        const struct chat_command *command = &chat_commands[i];

        if (strncmp(command->name, line, n) != 0 || command->name[n] != '\0')
            continue;
        if (command->wanted == WANTS_FILE && !*argument)
            return fail(err, UPG_ERR_ARGUMENT, "%s: needs the name of a file", command->name);
        if (command->wanted == WANTS_NOTHING && *argument)
            return fail(err, UPG_ERR_ARGUMENT, "%s: takes nothing behind it", command->name);
        return command->run(chat, argument, err);
    }
    return fail(err, UPG_ERR_ARGUMENT,
                "there is no command '%.*s'; /help lists them (a blank in front makes the line a "
                "message)",
                (int)n, line);
}
