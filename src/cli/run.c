/* run.c -- upg run: generate once. */
#include "cli/commands.h"

#include "cli/form.h"
#include "cli/generation.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/message.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static upg_status make_prompt(upg_tokens *prompt, const upg_tokenizer *tokenizer,
                              const struct text *text, const struct settings *settings,
                              upg_error *err)
{
    upg_message messages[2];
    size_t n = 0;

    if (!settings->system && settings->use_template != TEMPLATE_ON)
        return upg_tokenize(tokenizer, text->bytes, text->n,
                            settings->parse_special ? UPG_TEXT_PARSE_SPECIAL : UPG_TEXT_PLAIN,
                            prompt, err);
    if (strlen(text->bytes) != text->n)
        return fail(err, UPG_ERR_ARGUMENT, "a chat message cannot hold a zero byte");
    if (settings->system)
        messages[n++] = (upg_message){.role = "system", .content = settings->system};
    messages[n++] = (upg_message){.role = "user", .content = text->bytes};
    return upg_chat_render(tokenizer, messages, n, 1, prompt, NULL, err);
}

static upg_status check_length(const upg_tokens *prompt, size_t context, upg_error *err)
{
    if (prompt->n == 0)
        return fail(err, UPG_ERR_ARGUMENT, "the text is empty: there is nothing to go on with");
    if (prompt->n > context)
        return fail(err, UPG_ERR_CONTEXT,
                    "the prompt has %zu tokens, the context %zu; shorten it or give a larger --ctx",
                    prompt->n, context);
    return UPG_OK;
}

/* The library's messages about what is in a model leave out whose model it is, once it is open. */
static upg_status name_model(upg_status status, const struct opened *opened, upg_error *err)
{
    if (status == UPG_ERR_FORMAT || status == UPG_ERR_UNSUPPORTED)
        add_context(err, opened->info.path);
    return status;
}

static upg_status check_template_options(const struct settings *settings, upg_error *err)
{
    if (settings->system && settings->use_template == TEMPLATE_OFF)
        return fail(err, UPG_ERR_ARGUMENT, "--system needs the chat template: leave out --no-chat");
    if (settings->parse_special && (settings->system || settings->use_template == TEMPLATE_ON))
        return fail(err, UPG_ERR_ARGUMENT,
                    "--parse-special and --chat exclude each other: a message is plain text");
    return UPG_OK;
}

/* Do both streams end in one place, a log for example? */
static bool streams_are_one(void)
{
    struct stat out, error;

    return fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &error) == 0 &&
           out.st_dev == error.st_dev && out.st_ino == error.st_ino;
}

static void print_statistics(const upg_generation *generation, const struct opened *opened,
                             const struct settings *settings)
{
    if (settings->log_level != LOG_QUIET && !isatty(STDOUT_FILENO) && streams_are_one())
        fputc('\n', stderr); /* the text has no line end of its own */
    note("prompt: %zu tokens, %.1f tokens/s; answer: %zu tokens, %.1f tokens/s (%s); load: %.2f s; "
         "seed: %llu",
         generation->n_prompt_tokens, rate(generation->n_prompt_tokens, generation->prompt_seconds),
         generation->ids.n, rate(generation->ids.n, generation->generation_seconds),
         finish_name(generation->finish), opened->load_seconds, (unsigned long long)settings->seed);
}

static upg_status write_document(const upg_generation *generation, const struct opened *opened,
                                 const struct settings *settings, upg_error *err)
{
    json_t *document = json_pack(
        "{s:o, s:o, s:s, s:I, s:I, s:{s:o, s:o, s:o}, s:{s:o, s:o}, s:I}", "text",
        json_text(generation->text, generation->n_text_bytes), "ids", json_ids(&generation->ids),
        "finish_reason", finish_name(generation->finish), "prompt_tokens",
        (json_int_t)generation->n_prompt_tokens, "completion_tokens", (json_int_t)generation->ids.n,
        "seconds", "load", json_number(opened->load_seconds), "prompt",
        json_number(generation->prompt_seconds), "generation",
        json_number(generation->generation_seconds), "tokens_per_second", "prompt",
        json_number(rate(generation->n_prompt_tokens, generation->prompt_seconds)), "generation",
        json_number(rate(generation->ids.n, generation->generation_seconds)), "seed",
        (json_int_t)settings->seed);

    return json_write(document, JSON_INDENT(2), err);
}

static upg_status run_text(const struct opened *opened, const upg_tokens *prompt,
                           upg_constraint *constraint, const struct settings *settings,
                           upg_error *err)
{
    upg_sequence *sequence = NULL;
    upg_generation generation = {0};
    upg_status status = upg_sequence_new(&sequence, opened->engine, err);

    if (status == UPG_OK)
        status = generate(sequence, prompt, settings, constraint, settings->seed, !settings->json,
                          &generation, err);
    if (status == UPG_OK && settings->json)
        status = write_document(&generation, opened, settings, err);
    else if (status == UPG_OK)
        print_statistics(&generation, opened, settings);
    if (status == UPG_OK && interrupt_seen())
        status = fail(err, UPG_ERR_CANCELLED, "interrupted");
    upg_generation_clear(&generation);
    upg_sequence_free(sequence);
    return status;
}

upg_status run_command(const struct settings *settings, upg_error *err)
{
    struct opened opened = {0};
    struct text text = {0};
    upg_tokens prompt = {0};
    const upg_tokenizer *tokenizer = NULL;
    upg_constraint *constraint = NULL;
    upg_status status = check_template_options(settings, err);

    if (status == UPG_OK)
        status = text_of_settings(&text, settings, 0, err);
    if (status == UPG_OK)
        status = open_model(&opened, settings->model, settings, err);
    if (status == UPG_OK)
        status = require_tokenizer(&opened, &tokenizer, err);
    if (status == UPG_OK)
        status = name_model(make_prompt(&prompt, tokenizer, &text, settings, err), &opened, err);
    if (status == UPG_OK)
        status = open_form(&constraint, &opened, settings, err);
    if (status == UPG_OK)
        status = open_engine(&opened, (size_t)settings->context, settings, err);
    if (status == UPG_OK)
        status = check_length(&prompt, opened.context, err);
    if (status == UPG_OK)
        status = name_model(run_text(&opened, &prompt, constraint, settings, err), &opened, err);
    upg_constraint_free(constraint);
    upg_tokens_clear(&prompt);
    text_clear(&text);
    opened_close(&opened);
    return status;
}
