/* form.c -- see form.h. */
#include "cli/form.h"

#include "cli/input.h"
#include "cli/message.h"

static upg_status compile(upg_constraint **constraint, const struct opened *opened,
                          upg_grammar_kind kind, const struct text *text, upg_error *err)
{
    upg_vocabulary *vocabulary = NULL;
    upg_grammar *grammar = NULL;
    const upg_tokenizer *tokenizer = NULL;
    upg_status status = require_tokenizer(opened, &tokenizer, err);

    if (status == UPG_OK)
        status = upg_vocabulary_new(&vocabulary, tokenizer, opened->info.stop_ids,
                                    opened->info.n_stop_ids, err);
    if (status == UPG_OK)
        status = upg_grammar_new(&grammar, vocabulary, kind, text->bytes, text->n, NULL, err);
    if (status == UPG_OK)
        status = upg_constraint_new(constraint, grammar, err);
    upg_grammar_free(grammar);
    upg_vocabulary_free(vocabulary);
    return status;
}

upg_status open_form(upg_constraint **constraint, const struct opened *opened,
                     const struct settings *settings, upg_error *err)
{
    const char *file = settings->schema_file ? settings->schema_file : settings->grammar_file;
    struct text text = {0};
    upg_grammar_kind kind = UPG_GRAMMAR_REGEX;
    upg_status status;

    *constraint = NULL;
    if (!file && !settings->pattern)
        return UPG_OK;
    if ((settings->schema_file != NULL) + (settings->grammar_file != NULL) +
            (settings->pattern != NULL) >
        1)
        return fail(err, UPG_ERR_ARGUMENT,
                    "--json-schema, --grammar and --regex exclude each other: give one");
    if (file)
        kind = settings->schema_file ? UPG_GRAMMAR_JSON_SCHEMA : UPG_GRAMMAR_GBNF;
    status = file ? text_read(&text, file, err) : text_copy(&text, settings->pattern, err);
    if (status == UPG_OK) {
        status = compile(constraint, opened, kind, &text, err);
        if (status != UPG_OK && file)
            add_context(err, file);
    }
    text_clear(&text);
    return status;
}
