/* tokenize_jsonl.c -- the line protocol of upg tokenize. */
#include "cli/tokenize_jsonl.h"

#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/message.h"
#include "cli/messages.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A field that is true, false, or absent. */
static upg_status get_flag(bool *flag, const json_t *object, const char *key, bool absent,
                           upg_error *err)
{
    const json_t *value = json_object_get(object, key);

    if (value && !json_is_boolean(value))
        return fail(err, UPG_ERR_FORMAT, "'%s' is neither true nor false", key);
    *flag = value ? json_is_true(value) : absent;
    return UPG_OK;
}

static upg_status answer_text(const upg_tokenizer *tokenizer, const json_t *question,
                              const json_t *text, upg_error *err)
{
    upg_tokens ids = {0};
    bool parse_special = false;
    upg_status status = get_flag(&parse_special, question, "parse_special", false, err);

    if (status == UPG_OK)
        status = upg_tokenize(tokenizer, json_string_value(text), json_string_length(text),
                              parse_special ? UPG_TEXT_PARSE_SPECIAL : UPG_TEXT_PLAIN, &ids, err);
    if (status == UPG_OK)
        status = json_write(json_pack("{s:o}", "ids", json_ids(&ids)), JSON_COMPACT, err);
    upg_tokens_clear(&ids);
    return status;
}

static upg_status answer_messages(const upg_tokenizer *tokenizer, const json_t *question,
                                  const json_t *array, upg_error *err)
{
    upg_message *messages = NULL;
    upg_tokens ids = {0};
    char *prompt = NULL;
    size_t n;
    bool generation_prompt = true;
    upg_status status = get_flag(&generation_prompt, question, "add_generation_prompt", true, err);

    if (status == UPG_OK)
        status = messages_of_json(&messages, &n, array, err);
    if (status == UPG_OK)
        status = upg_chat_render(tokenizer, messages, n, generation_prompt, &ids, &prompt, err);
    if (status == UPG_OK)
        status = json_write(
            json_pack("{s:o, s:o}", "ids", json_ids(&ids), "prompt", json_c_text(prompt)),
            JSON_COMPACT, err);
    free(messages);
    upg_free(prompt);
    upg_tokens_clear(&ids);
    return status;
}

static upg_status answer_line(const upg_tokenizer *tokenizer, const char *line, size_t n,
                              upg_error *err)
{
    json_error_t where;
    json_t *question = json_loadb(line, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    const json_t *text = json_object_get(question, "text");
    const json_t *messages = json_object_get(question, "messages");
    upg_status status;

    if (!question)
        status = fail(err, UPG_ERR_FORMAT, "%s, near column %d", where.text, where.column);
    else if (json_is_string(text) && !messages)
        status = answer_text(tokenizer, question, text, err);
    else if (messages && !text)
        status = answer_messages(tokenizer, question, messages, err);
    else
        status = fail(err, UPG_ERR_FORMAT, "needs either a string 'text' or 'messages'");
    json_decref(question);
    return status;
}

static upg_status answer_lines(const upg_tokenizer *tokenizer, FILE *stream, const char *name,
                               upg_error *err)
{
    char *line = NULL, where[64];
    size_t capacity = 0, number = 0;
    ssize_t n = 0;
    upg_status status = UPG_OK;

    while (status == UPG_OK && (n = getline(&line, &capacity, stream)) >= 0) {
        number++;
        if (line[strspn(line, " \t\r\n")] == '\0' && strlen(line) == (size_t)n)
            continue;
        status = answer_line(tokenizer, line, (size_t)n, err);
        if (status == UPG_ERR_FORMAT || status == UPG_ERR_UNSUPPORTED) {
            snprintf(where, sizeof where, "line %zu", number);
            add_context(err, where);
            add_context(err, name);
        }
    }
    if (status == UPG_OK && interrupt_seen())
        status = fail(err, UPG_ERR_CANCELLED, "interrupted");
    else if (status == UPG_OK && ferror(stream))
        status = fail_errno(err, name, "read");
    free(line);
    return status;
}

upg_status tokenize_jsonl(const upg_tokenizer *tokenizer, const char *path, upg_error *err)
{
    const bool standard = strcmp(path, "-") == 0;
    FILE *stream = standard ? stdin : fopen(path, "rb");
    upg_status status;

    if (!stream)
        return fail_errno(err, path, "open");
    status = answer_lines(tokenizer, stream, standard ? "standard input" : path, err);
    if (!standard)
        fclose(stream);
    return status;
}
